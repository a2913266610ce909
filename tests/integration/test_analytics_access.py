"""Who may ask what, and what a bad question gets."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
import redis

from shared.api_keys import Scope
from shared.audit_record import decode_records
from shared.redis_keys import ShardKeys
from tests.analytics_seed import SeedEvent, seed, seed_call, seed_failed
from tests.analytics_server import AnalyticsUnderTest, event_path, serve_analytics
from tests.servers import RunningServer
from tests.waiting import eventually

LIST = "/api/v1/events"
COUNTS = "/api/v1/analytics/events-by-type"
QUEUE = "/api/v1/analytics/queue-status"
PROCESSING = "/api/v1/analytics/processing-metrics"
LOGS = "/api/v1/audit/logs"
FAILED = "/api/v1/audit/failed-events"
QUERY = "/api/v1/analytics/query"
ALL = (LIST, event_path("mine"), COUNTS, QUERY, QUEUE, PROCESSING, LOGS, FAILED)


@pytest.fixture
def api(database_url: str, redis_url: str) -> Iterator[AnalyticsUnderTest]:
    with serve_analytics(database_url, redis_url) as served:
        yield served


@pytest.mark.parametrize("path", ALL)
def test_every_call_needs_a_key_that_may_read(api: AnalyticsUnderTest, path: str) -> None:
    assert api.refused(path, key=None) == (401, "unauthenticated")
    assert api.refused(path, key="weir_nonsense") == (401, "unauthenticated")
    assert api.refused(path, key=api.make_key("acme", Scope.INGEST)) == (403, "forbidden")


@pytest.mark.parametrize("path", ALL)
def test_a_reader_may_name_no_client_but_its_own(api: AnalyticsUnderTest, path: str) -> None:
    seed(api.database_url, [SeedEvent(client_id="acme", event_id="mine")])
    reader = api.reader("acme")
    assert api.refused(path, {"client_id": "rival"}, key=reader) == (403, "forbidden")
    assert api.get(path, {"client_id": "acme"}, key=reader).status_code == 200


def test_a_reader_sees_its_own_client_only_and_an_admin_all(api: AnalyticsUnderTest) -> None:
    now = datetime.now(UTC) - timedelta(minutes=1)
    for client in ("acme", "rival"):
        seed(api.database_url, [SeedEvent(client_id=client, event_id=f"of-{client}", occurred_at=now)])
        seed_failed(api.database_url, client_id=client, event_id=f"bad-{client}")
        seed_call(api.database_url, client_id=client, request_id=f"call-{client}", instance="seeded")
        with psycopg.connect(api.database_url) as connection:
            connection.execute(
                "INSERT INTO rollup_latency_minute VALUES (now() - '1m'::interval, %s, 'x', 300, 1)", (client,)
            )
            connection.execute(
                "INSERT INTO rollup_intake_minute VALUES (now() - '1m'::interval, %s, 1, 0, 0, 1)", (client,)
            )

    def seen(key: str) -> tuple[object, ...]:
        logs = [log["client_id"] for log in api.json(LOGS, key=key)["logs"] if log["instance"] == "seeded"]
        return (
            sorted(event["client_id"] for event in api.json(LIST, key=key)["events"]),
            {row["client_id"] for row in api.json(COUNTS, {"group_by": "client_id"}, key=key)["rows"]},
            api.json(QUEUE, key=key)["failed"],
            api.json(PROCESSING, key=key)["count"],
            sorted(row["client_id"] for row in api.json(FAILED, key=key)["failed_events"]),
            sorted(logs),
        )

    assert seen(api.reader("acme")) == (["acme"], {"acme"}, 1, 1, ["acme"], ["acme"])
    assert seen(api.reader("nobody")) == ([], set(), 0, 0, [], [])
    both = ["acme", "rival"]
    assert seen(api.admin) == (both, set(both), 2, 2, both, both)
    for event_id in ("of-rival", "bad-rival"):
        assert api.refused(event_path(event_id), key=api.reader("acme")) == (404, "not-found")
        assert api.json(event_path(event_id))["client_id"] == "rival"


TIMES = (
    "yesterday", "", "2026-03-10", "2026-03-10T12:00:00", "1741608000", "2026-02-30T00:00:00Z", "2026-03-10T24:00:01Z",
    "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-03-10T12:00:60Z", "2026-03-10T12:00:00+25:00",
    "99999-01-01T00:00:00Z", "2026-03-10T12:00:00Z\x00", "٢٠٢٦-03-10T12:00:00Z",
)  # fmt: skip
RANGED = (LIST, COUNTS, QUERY, LOGS, FAILED)
PAGED = (LIST, LOGS, FAILED)
BAD = [
    *((path, {side: time}) for path in RANGED for side in ("from", "to") for time in TIMES),
    *((path, {"from": "2026-03-10T12:00:00Z", "to": "2026-03-10T12:00:00Z"}) for path in RANGED),
    *((path, {"from": "2999-03-10T12:00:00Z"}) for path in RANGED),
    *((path, {"limit": limit}) for path in PAGED for limit in ("0", "1001", "-1", "many", "", "1e2", "9" * 5000)),
    *((path, {"cursor": cursor}) for path in PAGED for cursor in ("", "nonsense", "AAAA", "\x00", "x" * 5000)),
    *((path, {"surprise": "1"}) for path in ALL),
    *((path, {"client_id": value}) for path in ALL for value in ("", "a\x00b", "x" * 129, "a b", "=1+1", "a,b", "<b>")),
    *((path, [("client_id", "a"), ("client_id", "b")]) for path in ALL),
    *((path, {"event_type": value}) for path in (LIST, COUNTS, FAILED) for value in ("", "a b", "x" * 129, "\x00")),
    (COUNTS, {"event_type": "a\n"}),
    *((COUNTS, {"interval": value}) for value in ("", "year", "MINUTE", "1")),
    *((COUNTS, {"tz": value}) for value in ("", "Mars/Base", "../../etc/passwd", "/etc/localtime", "UTC\x00")),
    *((COUNTS, {"group_by": value}) for value in ("", "payload", "event_type,event_type", "event_type,", "1; DROP")),
    (COUNTS, {"format": "xml"}),
    (COUNTS, {"from": "1900-01-01T00:00:00Z", "interval": "minute"}),
    *((LIST, {name: "x"}) for name in ("payload", "payload.", "payload.a..b", "payload." + "a." * 40 + "b")),
    (LIST, {"payload.\x00": "x"}),
    (LIST, {"payload.a": "\x00"}),
    (LIST, {"payload.a": "x" * 2000}),
    (LIST, {f"payload.{i}": "x" for i in range(33)}),
    *((LOGS, {"status": value}) for value in ("ok", "99", "600", "2e2")),
    (LOGS, {"service": "other"}),
    *((LOGS, {name: "\x00"}) for name in ("endpoint", "method", "request_id")),
    *((PROCESSING, {"days": value}) for value in ("0", "367", "week", "-1")),
    (PROCESSING, {"group_by": "client_id"}),
]  # fmt: skip


def test_every_bad_parameter_is_refused_and_nothing_of_it_echoed(api: AnalyticsUnderTest) -> None:
    for path, parameters in BAD:
        answer = api.get(path, parameters)
        case = (path, parameters, answer.text)
        assert answer.status_code == 422, case
        document = answer.json()
        assert document["type"] == "/problems/invalid-query", case
        assert document["errors"], case
        assert len(answer.content) < 3000, case


def test_an_unknown_parameter_is_told_what_is_allowed(api: AnalyticsUnderTest) -> None:
    detail = api.get(COUNTS, {"surprise": "1"}).json()["errors"][0]["detail"]
    allowed = "client_id, compare, count_unique, event_type, format, from, group_by, interval, to, top, tz, payload.…"
    assert allowed in detail


@pytest.mark.parametrize("time", ["2026-03-10T13:00:00+01:00", "2026-03-10t12:00:00z", "2026-03-10 12:00:00.0000009Z"])
def test_times_are_taken_in_every_form_of_rfc_3339(api: AnalyticsUnderTest, time: str) -> None:
    assert api.json(COUNTS, {"from": time})["from"] == "2026-03-10T12:00:00Z"


def test_a_plus_sign_that_was_not_escaped_is_still_one(api: AnalyticsUnderTest) -> None:
    assert api.json(COUNTS + "?from=2026-03-10T13:00:00+01:00")["from"] == "2026-03-10T12:00:00Z"


def test_other_methods_and_paths_are_problems_too(api: AnalyticsUnderTest) -> None:
    assert api.refused("/api/v1/nothing") == (404, "not-found")
    answer = api.http.post(COUNTS, headers={"X-API-Key": api.admin})
    assert (answer.status_code, answer.json()["type"]) == (405, "/problems/method-not-allowed")


def test_a_query_that_takes_too_long_is_ended(database_url: str, redis_url: str) -> None:
    with serve_analytics(database_url, redis_url, statement_timeout_ms=1000) as api:
        with psycopg.connect(database_url) as connection:
            # readers then wait behind this lock, which is as slow as a query can be
            connection.execute("LOCK TABLE rollup_events_minute")
            assert api.refused(COUNTS) == (504, "query-timeout")
        assert api.get(COUNTS).status_code == 200


def test_postgresql_away_is_503_with_retry_after_and_heals(
    api: AnalyticsUnderTest, postgres_server: RunningServer
) -> None:
    assert api.get(COUNTS).status_code == 200
    postgres_server.kill()
    answer = api.get(COUNTS)
    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/unavailable")
    assert int(answer.headers["retry-after"]) > 0
    assert api.json(QUEUE)["failed"] is None
    ready = api.http.get("/readyz")
    assert (ready.status_code, ready.json()["redis"]) == (503, "ok")
    assert ready.json()["postgresql"].startswith("down")
    postgres_server.restart()
    eventually(lambda: api.get(COUNTS).status_code == 200)
    assert api.http.get("/readyz").status_code == 200


def test_redis_away_is_503_and_heals(api: AnalyticsUnderTest, redis_server: RunningServer) -> None:
    redis_server.kill()
    for path in (QUEUE, COUNTS):
        assert api.refused(path) == (503, "unavailable")
    ready = api.http.get("/api/v1/health")
    assert (ready.status_code, ready.json()["postgresql"]) == (503, "ok")
    assert "weir_analytics_redis_up 0.0" in api.http.get("/metrics").text
    assert api.http.get("/healthz").status_code == 200
    redis_server.restart()
    eventually(lambda: api.get(QUEUE).status_code == 200)


def test_a_schema_that_is_not_there_is_not_ready(api: AnalyticsUnderTest) -> None:
    assert api.http.get("/readyz").json()["status"] == "ok"
    with psycopg.connect(api.database_url) as connection:
        connection.execute("DROP TABLE audit_logs")
    ready = api.http.get("/readyz")
    assert (ready.status_code, ready.json()["redis"]) == (503, "ok")
    assert "weir db status" in ready.json()["postgresql"]


def test_every_call_is_audited_by_its_route(api: AnalyticsUnderTest, redis_url: str) -> None:
    api.get(event_path("secret/id"), key=api.reader("acme"))
    api.get(COUNTS, {"surprise": "1"})
    with redis.Redis.from_url(redis_url) as client:
        entries = client.xrange(ShardKeys(0).audit.stream)
    records = [record for _, fields in entries for record in decode_records(fields[b"e"])]
    assert [(r.client_id, r.endpoint.partition(":")[0], r.status, r.error) for r in records] == [
        ("acme", "/api/v1/events/{event_id}", 404, "not-found"),
        ("operators", COUNTS, 422, "invalid-query"),
    ]


def test_the_service_cannot_write(api: AnalyticsUnderTest) -> None:
    from deploy.endpoints import with_role

    with psycopg.connect(with_role(api.database_url, "weir_reader")) as connection:
        for statement in ("DELETE FROM events", "INSERT INTO stored_entries VALUES ('a', 'b')", "CREATE TABLE t ()"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)
            connection.rollback()


def test_metrics_name_routes_and_never_ids(api: AnalyticsUnderTest) -> None:
    api.get(event_path("a-private-id"))
    api.get("/a-strange-path")
    text = api.http.get("/metrics").text
    assert 'route="/api/v1/events/{event_id' in text
    assert 'route="unmatched"' in text
    assert "a-private-id" not in text
    assert "a-strange-path" not in text
    assert 'weir_stream_lag_events{shard="0",stream="events"} 0.0' in text


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
def test_the_documentation_works_offline(api: AnalyticsUnderTest, path: str) -> None:
    page = api.http.get(path).text
    assert "http://" not in page
    assert "https://" not in page
    for part in page.split('"'):
        if part.startswith("/docs/assets/"):
            assert api.http.get(part).status_code == 200


def test_openapi_describes_every_call(api: AnalyticsUnderTest) -> None:
    schema = api.http.get("/openapi.json").json()
    paths = {path.replace("/mine", "/{event_id}") for path in ALL}
    assert paths <= set(schema["paths"])
    tail = schema["paths"]["/api/v1/live/events"]["get"]
    assert "text/event-stream" in tail["responses"]["200"]["content"]
    names = {parameter["name"] for parameter in schema["paths"][COUNTS]["get"]["parameters"]}
    assert names == {
        "client_id", "compare", "count_unique", "event_type", "format", "from", "group_by", "interval", "to", "top",
        "tz",
    }  # fmt: skip


def test_the_root_leads_a_person_to_the_dashboard(api: AnalyticsUnderTest) -> None:
    answer = api.http.get("/", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (302, "/dashboard")


def test_the_dashboard_and_its_files_need_no_key(api: AnalyticsUnderTest) -> None:
    page = api.http.get("/dashboard")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    for path in re.findall(r'(?:src|href)="(/dashboard[^"]*)"', page.text):
        assert api.http.get(path).status_code == 200
    assert api.refused("/dashboard/no-such-file", key=None) == (404, "not-found")
