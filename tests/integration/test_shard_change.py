"""From one shard to three and back while events flow: each is stored once, and all is counted."""

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest
import redis

from deploy.reconcile.database_snapshot import Scope
from deploy.reconcile.reconciliation import reconcile
from shared.api_keys import Scope as KeyScope
from shared.redis_keys import ShardKeys, shard_of
from shared.shards_in_use import all_shards
from shared.stream_status import read_stream_status
from tests.gateway_process import BATCH, GatewayUnderTest, running_gateway
from tests.pipeline import assert_rollups_equal_recounts, intake, processing, stored_ids, value
from tests.waiting import eventually

CLIENTS = [f"client-{number}" for number in range(6)]
BATCH_EVENTS = 20
SLOW_SECONDS = 60.0


class Producers:
    """Posts batches of all clients in turn to the gateways at hand, each with the same ids until it is answered."""

    def __init__(self, keys: dict[str, str]) -> None:
        self.gateways: list[GatewayUnderTest] = []
        self.accepted: list[tuple[str, list[str]]] = []
        self._keys = keys
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def has_more(self, batches: int = 2 * len(CLIENTS)) -> None:
        """Returns when so many more are accepted."""
        wanted = len(self.accepted) + batches
        eventually(lambda: len(self.accepted) >= wanted, within_seconds=SLOW_SECONDS, what="events flow")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(30)
        assert not self._thread.is_alive()

    def post(self, gateway: GatewayUnderTest, client_id: str, ids: list[str]) -> httpx2.Response:
        events = [{"event_id": one, "event_type": "order.paid", "payload": {}} for one in ids]
        return gateway.call("POST", BATCH, key=self._keys[client_id], json={"events": events})

    def _run(self) -> None:
        for number in itertools.count():
            client_id = CLIENTS[number % len(CLIENTS)]
            ids = [f"{client_id}-{number}-{place}" for place in range(BATCH_EVENTS)]
            tries = itertools.count(number // len(CLIENTS))
            while not self._answered(client_id, ids, next(tries)):
                if self._stopping.wait(0.05):
                    return
            self.accepted.append((client_id, ids))
            if self._stopping.wait(0.01):
                return

    def _answered(self, client_id: str, ids: list[str], turn: int) -> bool:
        gateways = list(self.gateways)
        try:
            return self.post(gateways[turn % len(gateways)], client_id, ids).is_success
        except httpx2.HTTPError:
            return False


@contextmanager
def producing(gateway: GatewayUnderTest) -> Iterator[Producers]:
    producers = Producers({one: gateway.make_key(one, KeyScope.INGEST) for one in CLIENTS})
    producers.gateways = [gateway]
    producers.start()
    try:
        yield producers
    finally:
        producers.stop()


def waiting(client: Any) -> int:
    """Events and records in all shards' streams."""
    return sum(stream.length for stream in read_stream_status(client, 3))


@pytest.mark.timeout(400)
def test_shards_are_raised_and_lowered_while_events_flow(redis_url: str, database_url: str, tmp_path: Path) -> None:
    client: Any = redis.Redis.from_url(redis_url)
    with psycopg.connect(database_url) as connection:  # counting began before this minute
        connection.execute("UPDATE schema_migrations SET applied_at = applied_at - interval '1 day'")
    moving = [one for one in CLIENTS if shard_of(one, 3) != 0]
    assert moving
    with (
        running_gateway(tmp_path, database_url, redis_url) as one_shard,
        producing(one_shard) as producers,
        processing(redis_url, database_url, consumer="of-1"),
    ):
        producers.has_more()
        # Processors first: for a while those of both numbers run side by side.
        with (
            processing(redis_url, database_url, consumer="of-3", shards=3),
            running_gateway(tmp_path, database_url, redis_url, WEIR_STREAM_SHARDS="3") as three_shards,
        ):
            producers.gateways = [one_shard, three_shards]
            producers.has_more()
            assert client.hget(ShardKeys(shard_of(moving[0], 3)).events.totals, "added")

            # The early filter of the new shard knows nothing of what the old one took; event_ids does.
            ids = [f"twice-{place}" for place in range(BATCH_EVENTS)]
            assert producers.post(one_shard, moving[0], ids).json()["accepted"] == BATCH_EVENTS
            assert producers.post(three_shards, moving[0], ids).json()["accepted"] == BATCH_EVENTS
            producers.gateways = [three_shards]
            producers.has_more()
            # Back: gateways first, and processors when the shards beyond are empty.
            producers.gateways = [one_shard]
            producers.has_more()
            producers.stop()
            eventually(lambda: waiting(client) == 0, within_seconds=SLOW_SECONDS, what="all streams are drained")

    sent = sorted([one for _, batch in producers.accepted for one in batch] + ids)
    assert stored_ids(database_url) == sent
    counts = intake(database_url)
    assert counts["stored"] == len(sent)
    assert counts["duplicates"] >= BATCH_EVENTS
    assert counts["failed"] == value(database_url, "SELECT count(*) FROM failed_events") == 0
    assert_rollups_equal_recounts(database_url)
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    scope = Scope(now - timedelta(hours=1), now + timedelta(minutes=1), None)
    found = reconcile(client, database_url, all_shards(client, 1), scope, lambda *_: None)
    assert found.agrees, found.differences
    client.close()
