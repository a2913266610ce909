"""Response times as counts in growing buckets: any number of them in a few hundred integers."""

from __future__ import annotations

import math
from collections import Counter

# Neighbouring buckets are 2 % apart, so a percentile is off by at most 1 %: less than two runs differ.
_LOG_GAMMA = math.log(1.02)
_SMALLEST_US = 1.0


class LatencyHistogram:
    """Adds in constant time; percentiles are right to 1 % (the buckets of DDSketch, VLDB 2019)."""

    def __init__(self) -> None:
        self._buckets: Counter[int] = Counter()
        self.count = 0

    def add(self, seconds: float) -> None:
        """One response time; what is below a microsecond counts as one."""
        self._buckets[math.ceil(math.log(max(seconds * 1e6, _SMALLEST_US)) / _LOG_GAMMA)] += 1
        self.count += 1

    def percentile_ms(self, percent: float) -> float | None:
        """The least time that `percent` of all did not exceed (nearest rank); None while there is none."""
        rank = math.ceil(self.count * percent / 100)
        for bucket in sorted(self._buckets):
            rank -= self._buckets[bucket]
            if rank <= 0:
                return _middle_us(bucket) / 1000
        return None


def _middle_us(bucket: int) -> float:
    """The value whose relative distance to both ends of the bucket is the same."""
    upper = math.exp(bucket * _LOG_GAMMA)
    return 2 * upper / (1 + math.exp(_LOG_GAMMA))
