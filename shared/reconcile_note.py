"""What the last run of ``weir reconcile`` found, left in Redis for those who watch the metrics."""

import time
from dataclasses import dataclass
from typing import Any, Final, cast

import redis
import redis.asyncio

from shared.redis_keys import ShardKeys

_KEPT_SECONDS: Final = 30 * 86_400


@dataclass(frozen=True, slots=True)
class ReconcileNote:
    """When the run ended, in seconds since 1970, and how many differences it named."""

    at: float
    differences: int


def leave_reconcile_note(client: "redis.Redis", differences: int) -> None:
    """Leave word of a run that ended just now; it expires by itself. Raises redis.RedisError."""
    facts: dict[Any, Any] = {"at": f"{time.time():.0f}", "differences": differences}
    key = ShardKeys(0).reconcile
    with client.pipeline(transaction=True) as pipeline:
        pipeline.hset(key, mapping=facts)
        pipeline.expire(key, _KEPT_SECONDS)
        pipeline.execute()


async def read_reconcile_note(client: "redis.asyncio.Redis") -> ReconcileNote | None:
    """The last run's note; None when there was no run lately. Raises redis.RedisError."""
    at, differences = cast(list[bytes | None], await client.hmget(ShardKeys(0).reconcile, ["at", "differences"]))
    return None if at is None or differences is None else ReconcileNote(float(at), int(differences))
