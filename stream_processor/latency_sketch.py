"""A mergeable latency histogram of bounded relative error.

DDSketch (Masson, Rim, Lee, VLDB 2019) with relative accuracy 2 %: bucket i holds the values in (gamma^(i-1), gamma^i].
"""

from math import ceil, log
from typing import Final

RELATIVE_ERROR: Final = 0.02
GAMMA: Final = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
_LOG_GAMMA: Final = log(GAMMA)


def bucket_of(latency_us: int) -> int:
    """The bucket of a latency in microseconds; below 1 counts as 1. Fits a smallint for any time span."""
    return ceil(log(latency_us) / _LOG_GAMMA) if latency_us > 1 else 0
