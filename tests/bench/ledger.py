"""What became of a run's events: waits until all are stored, and counts what was lost."""

import time
from dataclasses import dataclass

import psycopg
import redis

from shared.redis_keys import ShardKeys
from tests.bench.stack import Stack

_CALM_SECONDS = 0.5
_STALL_SECONDS = 60.0
_TABLES = "events, event_ids, stored_entries, audit_logs, failed_events, " + ", ".join(
    f"rollup_{name}_minute" for name in ("events", "latency", "intake")
)


@dataclass(frozen=True)
class Outcome:
    """Events of one run; a lost one was answered 202 and has no row."""

    stored: int
    lost: int
    stored_at: float
    """`time.perf_counter` when the last of them was seen to be stored."""


class Ledger:
    """Reads the totals in Redis and the tables in PostgreSQL. Blocking."""

    def __init__(self, stack: Stack, shards: int = 1) -> None:
        self._stack = stack
        self._redis = redis.Redis.from_url(stack.redis.url, decode_responses=True)
        self._postgres = psycopg.connect(stack.postgres.url, autocommit=True)
        every = [ShardKeys(shard) for shard in range(shards)]
        self._totals = [stream.totals for keys in every for stream in (keys.events, keys.audit)]

    def open_books(self) -> None:
        """Empty tables and a checkpoint behind us, so that every run starts alike."""
        self.await_settled()
        self._postgres.execute(f"TRUNCATE {_TABLES}")
        self._postgres.execute("CHECKPOINT")

    def await_settled(self) -> float:
        """Returns when all events and audit records are stored, and the time at which that was so.

        Raises AssertionError when nothing moves for a minute, or a process has ended.
        """
        seen, changed = self._totals_now(), time.perf_counter()
        while True:
            time.sleep(0.01)
            totals = self._totals_now()
            if totals != seen:
                seen, changed = totals, time.perf_counter()
            self._stack.assert_alive()
            calm = time.perf_counter() - changed
            if calm > _CALM_SECONDS and all(added == settled for added, settled in seen):
                return changed
            assert calm < _STALL_SECONDS, f"nothing is stored any more: added and settled are {seen}"

    def close_books(self, acknowledged: int, batch: int) -> Outcome:
        """Waits, and counts: every event answered 202, to the generator or by the audit log, must have its row.

        The audit log also knows of requests that were cut when the generator ended, after the gateway took them.
        """
        stored_at = self.await_settled()
        stored = self._count("SELECT count(*) FROM events")
        answered = self._count("SELECT count(*) FROM audit_logs WHERE status = 202") * batch
        return Outcome(stored, max(0, acknowledged - stored) + max(0, answered - stored), stored_at)

    def _count(self, query: str) -> int:
        row = self._postgres.execute(query.encode()).fetchone()
        assert row is not None
        return int(row[0])

    def _totals_now(self) -> tuple[tuple[int, int], ...]:
        found = []
        for key in self._totals:
            added, settled = self._redis.hmget(key, ["added", "settled"])
            found.append((int(added or 0), int(settled or 0)))
        return tuple(found)
