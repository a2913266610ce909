"""Parts are replaced, and the schema changed, while events flow; entries of an older release are stored by this one."""

import itertools
import shutil
import threading
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import httpx2
import pytest
import redis

from deploy.cli import run
from deploy.migrations import migrate
from deploy.migrations.runner import SCHEMA_FOLDER
from shared.api_keys import Scope
from shared.errors import Outage
from stream_processor.maintenance import MaintenanceConfig
from stream_processor.retention import DEFAULT_POLICY
from tests.accepted_events import append
from tests.analytics_process import AnalyticsProcess, running_analytics
from tests.gateway_process import BATCH, GatewayUnderTest, ServiceProcess, running_gateway, running_processor
from tests.golden_entries import BLOCKS, FAILURES, RECORDS
from tests.no_settings import forget_settings
from tests.pipeline import KEYS, processing, rows, stored_ids, wait_until_drained
from tests.waiting import eventually

BATCH_EVENTS = 10


class Producer:
    """Posts batches from a thread of its own, each again and again until a gateway has accepted it."""

    def __init__(self, key: str, gateways: list[GatewayUnderTest]) -> None:
        self.accepted: list[str] = []
        self._headers = {"X-API-Key": key}
        self._gateways = gateways
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Producer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join(60)
        assert not self._thread.is_alive()

    def goes_on(self) -> None:
        """Returns when five more batches were accepted."""
        wanted = len(self.accepted) + 5 * BATCH_EVENTS
        eventually(lambda: len(self.accepted) >= wanted, within_seconds=60, what="events flow")

    def _run(self) -> None:
        with httpx2.Client(timeout=30) as http:
            for number in itertools.count():
                ids = [f"{number:05}-{place}" for place in range(BATCH_EVENTS)]
                body = {"events": [{"event_id": one, "event_type": "n", "payload": {}} for one in ids]}
                attempts = itertools.count()
                while not self._posted(http, body, next(attempts)):
                    self._stopping.wait(0.05)
                self.accepted += ids
                if self._stopping.wait(0.01):
                    return

    def _posted(self, http: httpx2.Client, body: object, attempt: int) -> bool:
        known = list(self._gateways)
        port = known[attempt % len(known)].port
        try:
            return http.post(f"http://127.0.0.1:{port}{BATCH}", json=body, headers=self._headers).is_success
        except httpx2.TransportError:
            return False


def replaced(service: ServiceProcess) -> None:
    service.terminate()
    assert service.ended(within_seconds=60) == 0, service.logs()


def reads(analytics: AnalyticsProcess, key: str) -> bool:
    url = f"http://127.0.0.1:{analytics.port}/api/v1/events?limit=1"
    return httpx2.get(url, headers={"X-API-Key": key}, timeout=30).is_success


def test_every_part_is_replaced_under_load_and_nothing_is_lost_or_twice(
    tmp_path: Path, database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = tmp_path, database_url, redis_url
    with ExitStack() as stack:
        gateways = [stack.enter_context(running_gateway(*where))]
        processor = stack.enter_context(running_processor(*where))
        analytics = stack.enter_context(running_analytics(*where))
        reader = analytics.make_key("acme", Scope.READ)
        with Producer(gateways[0].key, gateways) as producer:
            producer.goes_on()
            gateways.append(stack.enter_context(running_gateway(*where)))
            replaced(gateways[0].service)
            producer.goes_on()
            stack.enter_context(running_processor(*where))
            replaced(processor)
            producer.goes_on()
            second = stack.enter_context(running_analytics(*where))
            assert reads(analytics, reader)
            replaced(analytics.service)
            producer.goes_on()
            assert reads(second, reader)
        with redis.Redis.from_url(redis_url) as client:
            wait_until_drained(client, within_seconds=90)
    assert stored_ids(database_url) == sorted(producer.accepted)
    forget_settings(monkeypatch, tmp_path)
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("REDIS_URL", redis_url)
    assert run(["reconcile", "--json"]) == 0


NEXT_VERSION = """
ALTER TABLE events ADD COLUMN spare text;
ALTER TABLE event_ids ADD COLUMN spare text;
ALTER TABLE audit_logs ADD COLUMN spare text;
ALTER TABLE failed_events ADD COLUMN spare text;
ALTER TABLE rollup_events_minute ADD COLUMN spare bigint;
ALTER TABLE api_keys ADD COLUMN spare text;
"""


def test_parts_of_this_version_go_on_beside_the_schema_of_the_next(
    tmp_path: Path, database_url: str, redis_url: str
) -> None:
    schema = tmp_path / "schema"
    shutil.copytree(SCHEMA_FOLDER, schema)
    last = max(int(file.name[:4]) for file in schema.glob("*.sql"))
    next_name = f"{last + 1:04}_next"
    (schema / f"{next_name}.sql").write_text(NEXT_VERSION)
    where = tmp_path, database_url, redis_url
    with (
        running_gateway(*where) as gateway,
        running_processor(*where) as processor,
        running_analytics(*where) as analytics,
    ):
        reader = analytics.make_key("acme", Scope.READ)
        with Producer(gateway.key, [gateway]) as producer:
            producer.goes_on()
            assert eventually(lambda: migrated(database_url, schema), within_seconds=90) == [next_name]
            producer.goes_on()
            assert reads(analytics, reader)
        with redis.Redis.from_url(redis_url) as client:
            wait_until_drained(client, within_seconds=90)
        replaced(processor)  # it did not halt
    assert stored_ids(database_url) == sorted(producer.accepted)
    assert rows(database_url, "SELECT * FROM failed_events") == []


def migrated(database_url: str, schema: Path) -> list[str]:
    """What was applied; nothing when a lock was not to be had in time, and the operator tries again."""
    try:
        return migrate(database_url, schema)
    except Outage:
        return []


def test_entries_of_the_first_release_are_stored(database_url: str, redis_url: str) -> None:
    kept = MaintenanceConfig(replace(DEFAULT_POLICY, event_days=36_500, audit_days=36_500))
    with redis.Redis.from_url(redis_url) as client, processing(redis_url, database_url, maintenance=kept):
        append(client, KEYS.events, 2, BLOCKS)
        append(client, KEYS.audit, 1, RECORDS)
        append(client, KEYS.dead, 1, FAILURES)
        wait_until_drained(client, within_seconds=60)
    received = datetime(2025, 11, 22, 8, 26, 40, tzinfo=UTC)
    assert rows(database_url, "SELECT event_id, received_at FROM events ORDER BY event_id") == [
        ("e-1", received),
        ("e-2", received),
    ]
    assert rows(database_url, "SELECT at, status, calls FROM audit_logs") == [(received, 202, 1)]
    assert rows(database_url, "SELECT event_id, reason FROM failed_events") == [("e-3", "enricher_failed")]
