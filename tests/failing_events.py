"""Events that fail and recover, passed on step by step: the event stream's path and the dead stream's."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from psycopg.rows import dict_row

from shared.failed_events import NO_RETRIES, RetryPolicy
from shared.stream_entry import Block, EventFrame
from stream_processor.failed_event_sink import FailedEventSink
from tests.pipeline import KEYS, Pipeline, connect, put

POISON = b'{"a": "\\u0000"}'
"""JSON that jsonb does not take."""


class Enricher:
    """An enricher that fails while it is told to."""

    def __init__(self) -> None:
        self.broken = False
        self.seen: list[Block] = []

    def __call__(self, block: Block, _: EventFrame) -> dict[str, Any]:
        self.seen.append(block)
        if self.broken:
            raise ValueError("broken")
        return {"region": "eu"}


class Failing:
    """Both streams' paths, with an enricher that can be broken and mended."""

    def __init__(self, redis_url: str, database_url: str, retry: RetryPolicy) -> None:
        self.database_url = database_url
        self.redis_url = redis_url
        self.enricher = Enricher()
        self.events = Pipeline(redis_url, database_url, enrichers=[self.enricher])
        self.dead = Pipeline(redis_url, database_url, keys=KEYS.dead, sink=FailedEventSink(retry))
        self.redis = self.events.redis

    def pass_on(self) -> None:
        """What waits is stored or fails; what failed is written down."""
        self.events.pass_on()
        self.dead.pass_on()

    def send(self, *blocks: Block) -> None:
        """Accept blocks, each in an entry, and pass them on."""
        for block in blocks:
            put(self.redis, block)
        self.pass_on()

    def rows(self) -> list[dict[str, Any]]:
        """All failed events, the first one first."""
        with connect(self.database_url) as connection, connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute("SELECT * FROM failed_events ORDER BY id").fetchall()

    def row(self) -> Mapping[str, Any]:
        (only,) = self.rows()
        return only


@contextmanager
def failing(redis_url: str, database_url: str, retry: RetryPolicy = NO_RETRIES) -> Iterator[Failing]:
    made = Failing(redis_url, database_url, retry)
    try:
        yield made
    finally:
        made.events.close()
        made.dead.close()


def always_fails(_: Block, __: EventFrame) -> dict[str, Any]:
    """For WEIR_ENRICHERS."""
    raise ValueError("broken")
