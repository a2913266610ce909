"""A mergeable latency histogram of bounded relative error, written by the processor and read by the analytics API.

DDSketch (Masson, Rim, Lee, VLDB 2019) with relative accuracy 2 %: bucket i holds the latencies in
(gamma^(i-1), gamma^i] microseconds. Histograms of any ranges, clients and types add up.
"""

from collections.abc import Mapping
from math import ceil, log
from typing import Final

RELATIVE_ERROR: Final = 0.02
GAMMA: Final = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
_LOG_GAMMA: Final = log(GAMMA)


def bucket_of(latency_us: int) -> int:
    """The bucket of a latency in microseconds; below 1 counts as 1. Fits a smallint for any time span."""
    return ceil(log(latency_us) / _LOG_GAMMA) if latency_us > 1 else 0


def bucket_value_us(bucket: int) -> float:
    """The value that is within 2 % of every latency of the bucket."""
    return 2 * GAMMA**bucket / (GAMMA + 1)


def percentile_us(histogram: Mapping[int, int], share: float) -> float | None:
    """The latency that ``share`` of the events do not exceed, in microseconds; None when there are none."""
    rank = share * (sum(histogram.values()) - 1)
    seen = 0
    for bucket in sorted(histogram):
        seen += histogram[bucket]
        if seen > rank:
            return bucket_value_us(bucket)
    return None
