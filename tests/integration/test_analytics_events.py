"""One event by id, and lists of them."""

import json
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal

import httpx2
import psycopg
import pytest
import redis

from shared.api_keys import Scope
from shared.redis_keys import GROUP, ShardKeys
from tests.accepted_events import accept, settle, take
from tests.analytics_seed import SeedEvent, at, seed, seed_failed
from tests.analytics_server import AnalyticsUnderTest, event_path, serve_analytics

LIST = "/api/v1/events"
DAY = {"from": "2026-03-10T00:00:00Z", "to": "2026-03-11T00:00:00Z"}
KEYS = ShardKeys(0)


@pytest.fixture
def api(database_url: str, redis_url: str) -> Iterator[AnalyticsUnderTest]:
    with serve_analytics(database_url, redis_url, max_page_bytes=100_000) as served:
        yield served


@pytest.fixture
def streams(redis_url: str) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(redis_url) as client:
        yield client


def test_a_stored_event_is_answered_whole(api: AnalyticsUnderTest) -> None:
    payload = {"user": {"id": 5, "name": "Ærøskøbing \U0001f98a"}, "amounts": [1, 2.5, -3e-7]}
    seed(api.database_url, [SeedEvent(event_id="one", payload=json.dumps(payload))])
    answer = api.json(event_path("one"), key=api.reader("acme"))
    assert answer == {
        "event_id": "one",
        "client_id": "acme",
        "event_type": "order.created",
        "payload": payload,
        "occurred_at": "2026-03-10T12:00:00Z",
        "received_at": "2026-03-10T12:00:00Z",
        "stored_at": "2026-03-10T12:00:00Z",
        "context": {"gateway": "g1"},
        "state": "stored",
    }


@pytest.mark.parametrize(
    "event_id",
    ["a/b", "//", "a?b=c#d", "line\nbreak", "trailing\n", "..%2F", "a b+c", "π\U0001f98a", "%41", "x" * 128, "/"],
)
def test_any_characters_may_be_in_an_id(api: AnalyticsUnderTest, event_id: str) -> None:
    seed(api.database_url, [SeedEvent(event_id=event_id), SeedEvent(event_id="another")])
    assert api.json(event_path(event_id))["event_id"] == event_id


@pytest.mark.parametrize(
    "number", ["1e5000", "-1e-4000", "9" * 400, "18446744073709551616", "0.1000000000000000055511151231257827", "1.50"]
)
def test_numbers_no_reader_could_parse_pass_through(api: AnalyticsUnderTest, number: str) -> None:
    seed(api.database_url, [SeedEvent(event_id="big", payload=f'{{"n": {number}, "s": "\\u2028"}}')])
    for answer in (api.get(event_path("big")), api.get(LIST, DAY)):
        assert answer.status_code == 200
        document = json.loads(answer.text, parse_int=Decimal, parse_float=Decimal)
        event = document["events"][0] if "events" in document else document
        assert event["payload"] == {"n": Decimal(number), "s": "\u2028"}


def test_an_event_nobody_sent_is_not_found(api: AnalyticsUnderTest) -> None:
    assert api.refused(event_path("never")) == (404, "not-found")
    assert api.refused(event_path("never"), key=api.reader("acme")) == (404, "not-found")


def test_an_id_that_cannot_be_is_a_bad_parameter(api: AnalyticsUnderTest) -> None:
    assert api.refused(event_path("x" * 129)) == (422, "invalid-query")
    assert api.refused(event_path("a\x00b")) == (422, "invalid-query")
    assert api.refused("/api/v1/events/") == (422, "invalid-query")


def test_an_accepted_event_is_known_before_it_is_delivered(api: AnalyticsUnderTest, streams: "redis.Redis") -> None:
    (entry_id,) = accept(streams, "acme", "fresh")
    answer = api.json(event_path("fresh"), key=api.reader("acme"))
    assert (answer["state"], answer["entry_id"], answer["payload"]) == ("accepted", entry_id, None)


def test_a_delivered_event_is_pending_with_its_attempts(api: AnalyticsUnderTest, streams: "redis.Redis") -> None:
    accept(streams, "acme", "a", "b", "c")
    accept(streams, "acme", "later")
    entry_id = take(streams, KEYS.events)
    streams.xclaim(KEYS.events.stream, GROUP, "p2", 0, [entry_id])
    for event_id in ("a", "b", "c"):
        answer = api.json(event_path(event_id), key=api.reader("acme"))
        assert (answer["state"], answer["attempts"]) == ("pending", 2)
    assert api.json(event_path("later"), key=api.reader("acme"))["state"] == "accepted"


def test_a_remembered_id_of_an_event_that_is_gone_is_not_found(api: AnalyticsUnderTest, streams: "redis.Redis") -> None:
    accept(streams, "acme", "gone")
    accept(streams, "acme", "later")
    entry_id = take(streams, KEYS.events)
    settle(streams, KEYS.events, entry_id, 1)
    assert api.refused(event_path("gone"), key=api.reader("acme")) == (404, "not-found")
    streams.xadd(KEYS.dead.stream, {"n": 1, "e": b""})
    assert api.json(event_path("gone"), key=api.reader("acme"))["state"] == "pending"


def test_a_stored_event_is_stored_whatever_redis_remembers(api: AnalyticsUnderTest, streams: "redis.Redis") -> None:
    accept(streams, "acme", "both")
    seed(api.database_url, [SeedEvent(event_id="both")])
    assert api.json(event_path("both"))["state"] == "stored"


def test_a_failed_event_says_why_and_what_next(api: AnalyticsUnderTest) -> None:
    seed_failed(api.database_url, event_id="bad", payload=b'{"n": 1.0}')
    answer = api.json(event_path("bad"), key=api.reader("acme"))
    assert answer["state"] == "failed"
    assert (answer["reason"], answer["attempts"]) == ("numeric_value_out_of_range", 3)
    assert (answer["next_step"], answer["payload"]) == ("mend it and replay", {"n": 1.0})


def test_bytes_that_are_no_json_come_as_base64(api: AnalyticsUnderTest) -> None:
    seed_failed(api.database_url, event_id="bad", payload=b"\xff\x00")
    answer = api.json(event_path("bad"))
    assert (answer["payload"], answer["payload_base64"]) == (None, "/wA=")


def test_an_admin_finds_an_event_of_any_client_and_is_asked_when_there_are_two(
    api: AnalyticsUnderTest, streams: "redis.Redis"
) -> None:
    seed(api.database_url, [SeedEvent(client_id=client, event_id="same") for client in ("a", "b")])
    seed(api.database_url, [SeedEvent(client_id="c", event_id="single")])
    assert api.json(event_path("single"))["client_id"] == "c"
    assert api.refused(event_path("same")) == (422, "invalid-query")
    assert api.json(event_path("same"), {"client_id": "b"})["client_id"] == "b"
    api.make_key("unstored", Scope.INGEST)
    accept(streams, "unstored", "waiting")
    assert api.json(event_path("waiting"))["client_id"] == "unstored"


def test_lists_newest_first_by_time_then_id(api: AnalyticsUnderTest) -> None:
    moment = at("2026-03-10T12:00:00+00:00")
    rows = [SeedEvent(event_id=f"{i % 7}-{i}", occurred_at=moment + timedelta(seconds=i // 5)) for i in range(30)]
    seed(api.database_url, rows)
    expected = sorted(((row.occurred_at, row.event_id) for row in rows), reverse=True)
    answer = api.json(LIST, DAY)
    assert [event["event_id"] for event in answer["events"]] == [event_id for _, event_id in expected]
    assert answer["next_cursor"] is None


@pytest.mark.parametrize("client_id", ["acme", None])
def test_pages_hold_every_event_once_across_equal_times(api: AnalyticsUnderTest, client_id: str | None) -> None:
    moment = at("2026-03-10T12:00:00+00:00")
    rows = [
        SeedEvent(client_id=client, event_id=f"{i % 9}-{i}", occurred_at=moment + timedelta(days=i % 3))
        for client in ("acme", "beta", "gamma")
        for i in range(20)
    ]
    seed(api.database_url, rows)
    query = {"from": "2026-03-10T00:00:00Z", "to": "2026-03-20T00:00:00Z", "limit": 7}
    if client_id:
        query["client_id"] = client_id
    seen, cursor = [], None
    while True:
        answer = api.json(LIST, query | ({"cursor": cursor} if cursor else {}))
        seen += [(e["occurred_at"], e["event_id"], e["client_id"]) for e in answer["events"]]
        if not cursor:  # younger than the first page: not on a later one
            seed(api.database_url, [SeedEvent(event_id="new", occurred_at=moment + timedelta(days=2, hours=1))])
        cursor = answer["next_cursor"]
        if cursor is None:
            break
    assert seen == sorted(seen, reverse=True)
    wanted = [row for row in rows if client_id in (None, row.client_id)]
    assert sorted(seen) == sorted(
        (row.occurred_at.isoformat().replace("+00:00", "Z"), row.event_id, row.client_id) for row in wanted
    )


def test_a_page_of_large_events_ends_early_and_goes_on(api: AnalyticsUnderTest) -> None:
    rows = [SeedEvent(payload=json.dumps({"blob": "x" * 40_000})) for _ in range(10)]
    seed(api.database_url, rows)
    seen, cursor, pages = [], None, 0
    while pages == 0 or cursor:
        answer = api.get(LIST, DAY | ({"cursor": cursor} if cursor else {}))
        assert len(answer.content) < 150_000
        document = answer.json()
        seen += [event["event_id"] for event in document["events"]]
        cursor, pages = document["next_cursor"], pages + 1
    assert sorted(seen) == sorted(row.event_id for row in rows)
    assert pages == 4


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"payload.user.id": "5"}, ["n", "s"]),
        ({"payload.user.id": "5.0"}, ["n"]),
        ({"payload.user.id": "5e0"}, ["n"]),
        ({"payload.tags.1": "b"}, ["n"]),
        ({"payload.ok": "true"}, ["n"]),
        ({"payload.user": "5"}, []),
        ({"payload.none": "null"}, []),
        ({"payload.missing": "x"}, []),
        ({"payload.user.id": "5", "payload.ok": "true"}, ["n"]),
        ({'payload.odd "key\\': "{,}"}, ["s"]),
        ({"payload.user.id": "5", "event_type": "other"}, []),
        ({"payload.user.id": "9e999"}, []),
    ],
)
def test_payload_filters_keep_what_is_equal(api: AnalyticsUnderTest, filters: dict[str, str], found: list[str]) -> None:
    number = {"user": {"id": 5}, "tags": ["a", "b"], "ok": True, "none": None}
    text = {"user": {"id": "5"}, 'odd "key\\': "{,}"}
    seed(
        api.database_url,
        [
            SeedEvent(event_id="n", payload=json.dumps(number)),
            SeedEvent(event_id="s", payload=json.dumps(text)),
            SeedEvent(event_id="z"),
        ],
    )
    for query in (DAY | filters, DAY | filters | {"client_id": "acme"}):
        assert sorted(event["event_id"] for event in api.json(LIST, query)["events"]) == found


def test_a_cursor_serves_only_the_question_it_came_from(api: AnalyticsUnderTest) -> None:
    seed(api.database_url, [SeedEvent() for _ in range(4)])
    cursor = api.json(LIST, DAY | {"limit": 1})["next_cursor"]
    assert len(api.json(LIST, DAY | {"limit": 1000, "cursor": cursor})["events"]) == 3
    for other in (
        DAY | {"cursor": cursor, "event_type": "x"},
        DAY | {"cursor": cursor, "payload.a": "1"},
        {"cursor": cursor},
        DAY | {"cursor": cursor[:-4]},
        DAY | {"cursor": "x" + cursor},
        DAY | {"cursor": "é"},
    ):
        assert api.refused(LIST, other) == (422, "invalid-query")
    assert api.refused("/api/v1/audit/logs", DAY | {"cursor": cursor}) == (422, "invalid-query")
    assert api.refused(LIST, DAY | {"cursor": cursor}, key=api.reader("acme")) == (422, "invalid-query")


def test_the_query_walks_the_index_and_stops_when_the_page_is_full(api: AnalyticsUnderTest) -> None:
    from shared.sql_files import load_sql

    moment = at("2026-03-10T00:00:00+00:00")
    seed(api.database_url, [SeedEvent(occurred_at=moment + timedelta(seconds=i * 40)) for i in range(5000)])
    values = {
        "client_id": "acme", "start": moment, "end": moment + timedelta(days=3), "event_type": None,
        "before_at": None, "before_id": None, "limit": 50,
    }  # fmt: skip
    with psycopg.connect(api.database_url, autocommit=True) as connection:
        connection.execute("ANALYZE events")
        explained = connection.execute(
            "EXPLAIN (ANALYZE, FORMAT JSON) " + load_sql("analytics_api", "list_events").format(conditions="true"),
            values,
        )
        plan = json.dumps(explained.fetchone())
    assert "Index Scan" in plan
    assert '"Node Type": "Seq Scan"' not in plan
    read = [int(float(part.split(",")[0])) for part in plan.split('"Actual Rows": ')[1:]]
    assert max(read) <= 60


def test_answers_are_not_kept_on_the_way(api: AnalyticsUnderTest) -> None:
    seed(api.database_url, [SeedEvent(event_id="one")])
    answer: httpx2.Response = api.get(event_path("one"))
    assert answer.headers["cache-control"] == "no-store"
