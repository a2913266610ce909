"""An event's way through real processes: accepted, failed for its enricher, mended, replayed over HTTP, stored."""

import json
from pathlib import Path

import pytest

from deploy.cli import run
from tests.gateway_process import SECRET_KEY, ServiceProcess, new_event, running_gateway
from tests.no_settings import forget_settings
from tests.pipeline import rows, value
from tests.waiting import eventually


def test_an_event_that_failed_is_stored_once_its_cause_is_mended(
    database_url: str,
    redis_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    servers = {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "SECRET_KEY": SECRET_KEY}
    forget_settings(monkeypatch, tmp_path)
    for name, url in servers.items():
        monkeypatch.setenv(name, url)
    failed = "SELECT count(*) FROM failed_events"
    with running_gateway(tmp_path, database_url, redis_url) as gateway:
        broken = {"WEIR_ENRICHERS": "tests.failing_events:always_fails"}
        processor = ServiceProcess(["processor", "run"], tmp_path, servers | broken)
        try:
            assert gateway.batch([new_event() for _ in range(3)]).status_code == 202
            eventually(lambda: value(database_url, failed) == 3, within_seconds=30, what="all fail")
        finally:
            processor.stop()
        assert run(["failed", "list", "--json"]) == 0
        assert {one["reason"] for one in json.loads(capsys.readouterr().out)} == {"enricher_failed"}

        processor = ServiceProcess(["processor", "run"], tmp_path, servers)
        try:
            answer = gateway.call("POST", "/api/v1/failed-events/replay", key=gateway.admin, json={})
            assert answer.json() == {"matched": 3, "replayed": 3, "refused": []}
            eventually(lambda: value(database_url, failed) == 0, within_seconds=30, what="all are stored")
        finally:
            processor.stop()
        assert rows(database_url, "SELECT stored, duplicates, failed FROM rollup_intake_minute") == [(3, 0, 0)]
        assert run(["reconcile", "--json"]) == 0, capsys.readouterr().out
