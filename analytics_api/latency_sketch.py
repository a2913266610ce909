"""Percentiles from DDSketch histograms, within 2 % of the truth (Masson, Rim, Lee: DDSketch, VLDB 2019).

Bucket i holds latencies in (gamma^(i-1), gamma^i] microseconds. Histograms of any ranges and types add up.
"""

from collections.abc import Mapping
from typing import Final

GAMMA: Final = 1.02 / 0.98


def percentile_us(histogram: Mapping[int, int], share: float) -> float | None:
    """The latency that ``share`` of the events do not exceed, in microseconds; None when there are none."""
    rank = share * (sum(histogram.values()) - 1)
    seen = 0
    for bucket in sorted(histogram):
        seen += histogram[bucket]
        if seen > rank:
            return bucket_value_us(bucket)
    return None


def bucket_value_us(bucket: int) -> float:
    """The value that is within 2 % of every latency of the bucket."""
    return 2 * GAMMA**bucket / (GAMMA + 1)
