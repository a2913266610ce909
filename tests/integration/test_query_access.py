"""Who may ask what about payloads, what a bad question gets, and that no text of a caller becomes a statement."""

from collections.abc import Iterator
from typing import Any

import httpx2
import psycopg
import pytest

from shared.api_keys import Scope
from tests.analytics_seed import SeedEvent, seed
from tests.analytics_server import AnalyticsUnderTest, serve_analytics

QUERY, FUNNEL, RETENTION = (f"/api/v1/analytics/{name}" for name in ("query", "funnel", "retention"))
BY_TYPE, LIST, EXPORT = "/api/v1/analytics/events-by-type", "/api/v1/events", "/api/v1/events/export"
DAY = {"from": "2026-03-10T00:00:00Z", "to": "2026-03-11T00:00:00Z"}
STEPS = [{"event_type": "a"}, {"event_type": "b"}]
BODIES: dict[str, dict[str, Any]] = {
    QUERY: DAY | {"count_unique": "payload.u", "group_by": "client_id"},
    FUNNEL: DAY | {"by": "payload.u", "steps": STEPS},
    RETENTION: DAY | {"by": "payload.u"},
}


@pytest.fixture
def api(database_url: str, redis_url: str) -> Iterator[AnalyticsUnderTest]:
    with serve_analytics(database_url, redis_url, max_rows=1000) as served:
        yield served


def post(api: AnalyticsUnderTest, path: str, body: Any, key: str | None = "") -> httpx2.Response:
    return api.http.post(path, json=body, headers={} if key is None else {"X-API-Key": key or api.admin})


@pytest.mark.parametrize("path", BODIES)
def test_every_question_needs_a_key_that_may_read(api: AnalyticsUnderTest, path: str) -> None:
    assert post(api, path, BODIES[path], None).status_code == 401
    assert post(api, path, BODIES[path], api.make_key("acme", Scope.INGEST)).status_code == 403
    assert post(api, path, BODIES[path] | {"client_id": "rival"}, api.reader("acme")).status_code == 403


def test_a_reader_asks_about_its_own_client_only(api: AnalyticsUnderTest) -> None:
    seed(
        api.database_url,
        [SeedEvent(client_id=c, event_type=t, payload='{"u": 1}') for c in ("acme", "rival") for t in ("a", "b")],
    )
    reader = api.reader("acme")
    for key, client, clients in ((reader, None, 1), (api.admin, None, 2), (api.admin, "rival", 1)):
        only = {"client_id": client} if client else {}
        rows = post(api, QUERY, BODIES[QUERY] | only, key).json()["rows"]
        assert {row["client_id"] for row in rows} == ({client or "acme"} if clients == 1 else {"acme", "rival"})
        # One and the same user id of two clients is two users.
        assert post(api, FUNNEL, BODIES[FUNNEL] | only, key).json()["entered"] == clients
        assert post(api, RETENTION, BODIES[RETENTION] | only, key).json()["cohorts"][0]["size"] == clients
        assert api.json(BY_TYPE, DAY | {"count_unique": "payload.u"} | only, key=key)["total"] == 2 * clients
        assert api.json(QUERY, DAY | {"payload.u": "1"} | only, key=key)["total"] == 2 * clients


BAD_BODIES: list[tuple[str, Any, str]] = [
    (QUERY, {"surprise": 1}, "/body"),
    (QUERY, {"tz": "Mars/Base"}, "/body/tz"),
    (QUERY, {"interval": "year"}, "/body/interval"),
    (QUERY, {"from": "yesterday"}, "/body/from"),
    (QUERY, {"sum": "amount"}, "/body/sum"),
    (QUERY, {"sum": "payload."}, "/body/sum"),
    (QUERY, {"sum": ["payload.a"]}, "/body/sum"),
    (QUERY, {"sum": "payload." + "a." * 33 + "b"}, "/body/sum"),
    (QUERY, {"p101": "payload.a"}, "/body"),
    (QUERY, {"p12.3": 5}, "/body/p12.3"),
    (QUERY, {"count_unique": 'payload."open'}, "/body/count_unique"),
    (QUERY, {"group_by": ["payload.a", "payload.b"]}, "/body/group_by"),
    (QUERY, {"group_by": ["event_type", "event_type"]}, "/body/group_by"),
    (QUERY, {"group_by": [5]}, "/body/group_by"),
    (QUERY, {"group_by": "event_id"}, "/body/group_by"),
    (QUERY, {"top": 0, "group_by": "event_type"}, "/body/top"),
    (QUERY, {"top": "5", "group_by": "event_type"}, "/body/top"),
    (QUERY, {"top": True, "group_by": "event_type"}, "/body/top"),
    (QUERY, {"top": 3, "group_by": []}, "/body/top"),
    (QUERY, {"compare": "last"}, "/body/compare"),
    (QUERY, {"format": "xml"}, "/body/format"),
    (QUERY, {"filter": []}, "/body/filter"),
    (QUERY, {"filter": {}}, "/body/filter"),
    (QUERY, {"filter": {"not": {}}}, "/body/filter"),
    (QUERY, {"filter": {"or": []}}, "/body/filter/or"),
    (QUERY, {"filter": {"or": [{"payload.a": 1}, {"payload.b": None}]}}, "/body/filter/or/1"),
    (QUERY, {"filter": {"and": [{"or": [{"payload.a": {"x": 1}}]}]}}, "/body/filter/and/0/or/0"),
    (QUERY, {"payload.a": "\x00"}, "/body"),
    (QUERY, {"payload.a\x00": "x"}, "/body"),
    (QUERY, {"payload.a.in": "x"}, "/body"),
    (QUERY, {"payload.a.in": []}, "/body"),
    (QUERY, {"payload.a.in": ["x"] * 101}, "/body"),
    (QUERY, {"payload.a.exists": 1}, "/body"),
    (QUERY, {"payload.a.gt": True}, "/body"),
    (QUERY, {"payload.a": 10**40}, "/body"),
    (QUERY, {f"payload.a{n}": 1 for n in range(33)}, "/body"),
    (QUERY, {"interval": "minute", "from": "1950-01-01T00:00:00Z", "to": "2950-01-01T00:00:00Z"}, "/query/interval"),
    (FUNNEL, {"steps": STEPS[:1]}, "/body/steps"),
    (FUNNEL, {"steps": STEPS * 6}, "/body/steps"),
    (FUNNEL, {"steps": [{"event_type": "a b"}, {}]}, "/body/steps/0/event_type"),
    (FUNNEL, {"steps": [{}, {"surprise": 1}]}, "/body/steps/1"),
    (FUNNEL, {"steps": [{}, {"filter": {"or": [{"x": 1}]}}]}, "/body/steps/1/filter/or/0"),
    (FUNNEL, {"by": "event_type"}, "/body/by"),
    (FUNNEL, {"window_seconds": 0}, "/body/window_seconds"),
    (FUNNEL, {"window_seconds": "60"}, "/body/window_seconds"),
    (FUNNEL, {"surprise": 1}, "/body"),
    (FUNNEL, {"from": "2020-01-01T00:00:00Z"}, "/body/from"),
    (RETENTION, {"interval": "hour"}, "/body/interval"),
    (RETENTION, {"from": "2025-04-01T00:00:00Z"}, "/body/from"),
    (RETENTION, {"returning": {"payload.a": []}}, "/body/returning"),
]


def test_a_bad_member_is_named_and_nothing_of_it_echoed(api: AnalyticsUnderTest) -> None:
    for path, change, pointer in BAD_BODIES:
        answer = post(api, path, BODIES[path] | change)
        case = (path, str(change)[:80], answer.text)
        assert answer.status_code == 422, case
        assert answer.json()["type"] == "/problems/invalid-query", case
        assert answer.json()["errors"][0]["pointer"] == pointer, case
        assert len(answer.content) < 3000, case


def test_a_filter_that_is_nested_too_deep_is_refused(api: AnalyticsUnderTest) -> None:
    nested: dict[str, Any] = {"payload.a": 1}
    for _ in range(200):
        nested = {"and": [nested]}
    assert post(api, QUERY, DAY | {"filter": nested}).status_code == 422


BROKEN = (
    "[]", "5", "null", '"x"', "", "{", '{"payload.a": NaN}', '{"payload.a": 1e999}', '{"payload.a": "\\ud800"}',
    '{"payload.\\udfff": 1}', '{"tz": "\\ud800"}', '{"filter": {"payload.a.in": ["\\ud800"]}}', "[" * 30_000,
    '{"top": ' + "9" * 5000 + "}", '{"payload.a": ' + "9" * 5000 + "}",
)  # fmt: skip


@pytest.mark.parametrize("path", BODIES)
def test_no_body_is_an_error_of_ours(api: AnalyticsUnderTest, path: str) -> None:
    headers = {"X-API-Key": api.admin, "content-type": "application/json"}
    for body in BROKEN:
        answer = api.http.post(path, content=body.encode(), headers=headers)
        assert 400 <= answer.status_code < 500, (body[:80], answer.text)
        assert answer.headers["content-type"] == "application/problem+json"


INJECTIONS = (
    "'; DROP TABLE events; --", '"; DROP TABLE events; --', "%(client_id)s", "%s", "%", "{}", "{conditions}", "{0}",
    "$1", "\\", "\\'; SELECT 1", "payload->>'a'", "a' OR '1'='1", "' || pg_sleep(9) || '", "{a,b}", "null", "/*",
    "ü\U0001f98a",
)  # fmt: skip


def test_texts_of_callers_never_become_statements(api: AnalyticsUnderTest) -> None:
    seed(api.database_url, [SeedEvent(payload='{"u": 1}') for _ in range(3)])
    for text in INJECTIONS:
        field = 'payload."' + text.replace('"', '""') + '"'
        flat = {field: text, f"{field}.gt": text, f"{field}.in": text}
        nested = flat | {f"{field}.in": [text]}
        for path in (LIST, QUERY, BY_TYPE, EXPORT):
            query = DAY | flat | ({"format": "ndjson"} if path == EXPORT else {})
            assert api.get(path, query).status_code == 200, (path, text)
        asked: dict[str, Any] = dict.fromkeys(["count_unique", "sum", "avg", "min", "max", "p50", "p99.9"], field)
        asked |= {"group_by": [field], "filter": {"or": [nested, {"payload.u": 1}]}}
        for more in ({}, {"top": 2}):
            answer = post(api, QUERY, DAY | asked | more)
            assert answer.status_code == 200, (text, answer.text)
            assert answer.json()["total"] == 3
        assert post(api, FUNNEL, DAY | {"by": field, "steps": [nested, nested]}).status_code == 200
        assert post(api, RETENTION, DAY | {"by": field, "first": nested, "returning": nested}).status_code == 200
        for name in ("from", "to", "tz", "interval", "top", "compare", "format", "group_by", "sum", "p50"):
            assert api.get(QUERY, DAY | {name: text}).status_code == 422, (name, text)
            assert post(api, QUERY, DAY | {name: text}).status_code == 422, (name, text)
    assert api.json(QUERY, DAY)["total"] == 3


def test_a_breakdown_of_too_many_values_says_what_to_do(api: AnalyticsUnderTest) -> None:
    seed(api.database_url, [SeedEvent(payload=f'{{"n": {n}}}') for n in range(1001)])
    answer = post(api, QUERY, DAY | {"group_by": ["payload.n"]})
    assert answer.status_code == 422
    assert "'top'" in answer.json()["detail"]
    rows = post(api, QUERY, DAY | {"group_by": ["payload.n"], "top": 5}).json()["rows"]
    assert [row["count"] for row in rows] == [1] * 5 + [996]


def test_a_question_that_takes_too_long_says_what_to_narrow(database_url: str, redis_url: str) -> None:
    with serve_analytics(database_url, redis_url, statement_timeout_ms=100) as api:
        with psycopg.connect(database_url) as connection:
            connection.execute("LOCK TABLE events")
            for path, body in BODIES.items():
                answer = post(api, path, body)
                assert (answer.status_code, answer.json()["type"]) == (504, "/problems/query-timeout")
                assert "narrow 'from' and 'to'" in answer.json()["detail"]
        assert post(api, QUERY, BODIES[QUERY]).status_code == 200


def test_openapi_describes_the_questions_with_examples(api: AnalyticsUnderTest) -> None:
    paths = api.http.get("/openapi.json").json()["paths"]
    names = {parameter["name"] for parameter in paths[QUERY]["get"]["parameters"]}
    assert {"count_unique", "sum", "p95", "group_by", "top", "compare", "interval", "tz", "from"} <= names
    for path in BODIES:
        content = paths[path]["post"]["requestBody"]["content"]["application/json"]
        for example in content["examples"].values():
            assert post(api, path, example["value"]).status_code == 200
    assert set(paths[EXPORT]["get"]["responses"]["200"]["content"]) >= {"application/x-ndjson", "text/csv"}
