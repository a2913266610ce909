"""One line a second: what flows, from the totals that the streams' functions keep in Redis anyway."""

import time
from dataclasses import dataclass

import redis

from shared.redis_keys import ShardKeys


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


def _rate(count: int, seconds: float) -> str:
    return f"{max(count, 0) / seconds:>9,.0f}/s"
