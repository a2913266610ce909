"""HEAD in both services, as real processes: the head of GET, and no body."""

from pathlib import Path

import httpx2

from shared.api_keys import Scope
from tests.analytics_server import AnalyticsUnderTest
from tests.event_fill import fill_events
from tests.export_process import running_export_process
from tests.gateway_process import running_gateway
from tests.integration.test_export import RANGE, START
from tests.integration.test_live_metrics import store_audit
from tests.pipeline import value
from tests.waiting import eventually


def heads(http: httpx2.Client, path: str, headers: dict[str, str]) -> tuple[httpx2.Response, httpx2.Response]:
    """The answers of HEAD and GET."""
    return http.request("HEAD", path, headers=headers), http.get(path, headers=headers)


def test_the_gateway_answers_head_as_get_without_a_body(tmp_path: Path, database_url: str, redis_url: str) -> None:
    with running_gateway(tmp_path, database_url, redis_url) as gateway:
        credentials = {"X-API-Key": gateway.admin}
        for path, status in (("/healthz", 200), ("/api/v1/keys/", 200), ("/openapi.json", 200), ("/nowhere", 404)):
            head, get = heads(gateway.http, path, credentials)
            assert (head.status_code, head.content) == (status, b"")
            assert head.headers["content-type"] == get.headers["content-type"]
        refused = gateway.http.request("HEAD", "/api/v1/keys/")
        assert (refused.status_code, refused.content) == (401, b"")
        assert gateway.call("HEAD", "/api/v1/events/ingest").status_code == 405
    store_audit(redis_url, database_url)
    query = "SELECT count(*) FROM audit_logs WHERE method = 'HEAD' AND endpoint = %s AND bytes_out = 0"
    assert value(database_url, query, "/api/v1/keys/") == 2


def test_analytics_answers_head_and_ends_at_once_even_what_get_would_not(
    tmp_path: Path, database_url: str, redis_url: str
) -> None:
    fill_events(database_url, START, 5000, payload_bytes=150)
    export = "/api/v1/events/export?format=ndjson&from={from}&to={to}".format(**RANGE)
    with running_export_process(database_url, redis_url, tmp_path) as process:
        key = AnalyticsUnderTest(database_url, str(process.http.base_url)).make_key("acme", Scope.READ)
        for path in ("/api/v1/analytics/events-by-type", export, "/api/v1/live/events", "/dashboard", "/metrics"):
            head = process.http.request("HEAD", path, headers={"X-API-Key": key})
            assert (head.status_code, head.content) == (200, b""), path
        assert process.http.get("/api/v1/events", headers={"X-API-Key": key}).status_code == 200
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction'"
        eventually(lambda: value(database_url, waiting) == 0, what="no export is left open")
