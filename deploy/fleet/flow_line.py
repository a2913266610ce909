"""One line a second: what flows, from the totals that the streams' functions keep in Redis anyway."""

import time
from dataclasses import dataclass
from typing import Final

import redis

from shared.redis_keys import ShardKeys

_QUIET_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Totals:
    """Events ever, over all shards, at one moment."""

    at: float
    accepted: int
    settled: int
    failed: int

    @property
    def waiting(self) -> int:
        return self.accepted - self.settled


def read_totals(client: redis.Redis, shards: int) -> Totals:
    """Read them in one round trip. Raises redis.RedisError."""
    pipeline = client.pipeline(transaction=False)
    for shard in map(ShardKeys, range(shards)):
        pipeline.hmget(shard.events.totals, "added", "settled")
        pipeline.hmget(shard.dead.totals, "added")
    counts = [[int(value or 0) for value in row] for row in pipeline.execute()]
    events, dead = counts[::2], counts[1::2]
    return Totals(
        time.monotonic(), sum(row[0] for row in events), sum(row[1] for row in events), sum(row[0] for row in dead)
    )


def flow_line(before: Totals, now: Totals) -> str:
    """Rates since ``before``, and what is there."""
    seconds = max(now.at - before.at, 1e-9)
    stored = now.settled - now.failed
    stored_before = before.settled - before.failed
    return (
        f"accepted {_rate(now.accepted - before.accepted, seconds)}   "
        f"stored {_rate(stored - stored_before, seconds)}   "
        f"waiting {now.waiting:>9,}   failed {now.failed:>6,}   total {now.accepted:>13,}"
    )


class NewsWorth:
    """Which lines to print: all on a terminal; elsewhere, as in a log, those that differ, and one a minute."""

    def __init__(self, *, always: bool) -> None:
        self._always = always
        self._last: tuple[str, float] | None = None

    def has(self, line: str) -> bool:
        """Whether to print this one now."""
        now = time.monotonic()
        if (
            not self._always
            and self._last is not None
            and line == self._last[0]
            and now < self._last[1] + _QUIET_SECONDS
        ):
            return False
        self._last = line, now
        return True


def _rate(count: int, seconds: float) -> str:
    return f"{max(count, 0) / seconds:>9,.0f}/s"
