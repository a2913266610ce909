"""Answers about what is in the events, against a recount in Python."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.analytics_seed import SeedEvent, seed
from tests.analytics_server import AnalyticsUnderTest, serve_analytics
from tests.query_model import at_path, holds, measured, simple

QUERY = "/api/v1/analytics/query"
DAY = {"from": "2026-03-10T00:00:00Z", "to": "2026-03-11T00:00:00Z"}
bounded = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def api(database_url: str, redis_url: str) -> Iterator[AnalyticsUnderTest]:
    with serve_analytics(database_url, redis_url, max_rows=20_000) as served:
        yield served


def post(api: AnalyticsUnderTest, body: dict[str, Any], *, status: int = 200) -> Any:
    answer = api.http.post(QUERY, json=body, headers={"X-API-Key": api.admin})
    assert answer.status_code == status, answer.text
    return json.loads(answer.text, parse_int=Decimal, parse_float=Decimal)


def fresh(api: AnalyticsUnderTest, events: list[SeedEvent]) -> None:
    with psycopg.connect(api.database_url) as connection:
        connection.execute("TRUNCATE events, event_ids, rollup_events_minute")
    seed(api.database_url, events)


# Payloads as text: JSON has numbers that Python's floats have not.
VALUES = st.sampled_from(
    ["1", "1.0", "2", "-7.25", "0.1", "1e3", "1e400", "-1e5000", '"1"', '"x"', '"=x"', '"true"', "true", "false",
     "null", "[1, 2]", '{"a": 1}', '""', '"2026-03-10T12:00:00Z"', '"2026-03-10T13:30:00+02:00"',
     '"2026-02-30T12:00:00Z"']
)  # fmt: skip
NAMES = st.sampled_from(["v", "w", "a.b", "gt"])
PAYLOADS = st.builds(
    lambda flat, inner: "{" + ", ".join([*(f'"{n}": {v}' for n, v in flat.items()), f'"in": {{"v": {inner}}}']) + "}",
    st.dictionaries(NAMES, VALUES, max_size=4),
    VALUES,
)
START = datetime(2026, 3, 28, 22, tzinfo=UTC)  # clocks in Europe go forward in the night that follows
EVENTS = st.builds(
    lambda client, type_, after, payload: SeedEvent(
        client_id=client, event_type=type_, occurred_at=START + timedelta(minutes=after), payload=payload
    ),
    st.sampled_from(["a", "b"]),
    st.sampled_from(["x", "y", "z"]),
    st.integers(0, 359),
    PAYLOADS,
)
RANGE = {"from": "2026-03-28T22:10:00Z", "to": "2026-03-29T03:50:00Z"}
PATHS = st.sampled_from(["payload.v", "payload.w", 'payload."a.b"', "payload.in.v", 'payload."gt"', "payload.none"])
WANTED = st.sampled_from([1, 2.0, -7.25, 0.1, 1000, True, False, "1", "x", "true", "", "1.00"])
BOUNDS = st.sampled_from([0, 1, 0.05, "1", "a", "2026-03-10T12:00:00Z", "2026-03-10T11:45:00.5Z", "=", ""])
LEAVES = st.one_of(
    st.builds(lambda path, value: {path: value}, PATHS, WANTED),
    st.builds(lambda path, values: {f"{path}.in": values}, PATHS, st.lists(WANTED, min_size=1, max_size=3)),
    st.builds(lambda path, wanted: {f"{path}.exists": wanted}, PATHS, st.booleans()),
    st.builds(
        lambda path, operator, value: {f"{path}.{operator}": value},
        PATHS, st.sampled_from(["gt", "gte", "lt", "lte"]), BOUNDS,
    ),
)  # fmt: skip
TREES = st.recursive(
    LEAVES,
    lambda inner: st.builds(
        lambda word, parts: {word: parts}, st.sampled_from(["and", "or"]), st.lists(inner, min_size=1, max_size=3)
    ),
    max_leaves=5,
)


def in_range(events: list[SeedEvent], *, back: int = 0) -> list[SeedEvent]:
    start, end = (datetime.fromisoformat(RANGE[side]) for side in ("from", "to"))
    shift = back * (end - start)
    return [event for event in events if start - shift <= event.occurred_at < end - shift]


@bounded
@given(events=st.lists(EVENTS, max_size=20), trees=st.lists(TREES, min_size=4, max_size=4))
def test_filters_keep_what_the_model_keeps(
    api: AnalyticsUnderTest, events: list[SeedEvent], trees: list[dict[str, Any]]
) -> None:
    fresh(api, events)
    for tree in trees:
        expected = sum(holds(event, tree) for event in in_range(events))
        assert post(api, RANGE | {"filter": tree})["total"] == expected, tree


@bounded
@given(events=st.lists(EVENTS, max_size=25), groups=st.sampled_from(["", "event_type", "event_type,client_id"]))
def test_measures_are_those_of_the_model(api: AnalyticsUnderTest, events: list[SeedEvent], groups: str) -> None:
    fresh(api, events)
    fields = {"count_unique": "payload.w"} | dict.fromkeys(["sum", "avg", "min", "max", "p50", "p90"], "payload.v")
    answer = post(api, RANGE | fields | {"group_by": [name for name in groups.split(",") if name]})
    assert answer["source"] == "events"
    by_group = defaultdict(list)
    for event in in_range(events):
        by_group[tuple(getattr(event, name) for name in groups.split(",") if name)].append(event)
    if not groups:
        by_group.setdefault((), [])
    found = {tuple(row.pop(name) for name in groups.split(",") if name): row for row in answer["rows"]}
    assert found.keys() == by_group.keys()
    for group, row in found.items():
        expected = measured(by_group[group], ["v"], ["w"])
        for name in ("count", "count_unique", "sum", "min", "max"):
            assert row[name] == expected[name], name
        for name in ("avg", "p50", "p90"):
            assert (row[name] is None) == (expected[name] is None)
            assert row[name] is None or float(row[name]) == pytest.approx(float(expected[name]), rel=1e-12)
    assert answer["ignored"]["sum"] == measured(in_range(events), ["v"], ["w"])["ignored"]


@bounded
@given(events=st.lists(EVENTS, max_size=25), top=st.integers(1, 4), compare=st.booleans())
def test_a_breakdown_has_the_largest_and_the_rest(
    api: AnalyticsUnderTest, events: list[SeedEvent], top: int, compare: bool
) -> None:
    earlier = [
        SeedEvent(event.client_id, event.event_type, event.occurred_at - timedelta(minutes=200), event.payload)
        for event in events[::2]
    ]
    fresh(api, events + earlier)
    body = RANGE | {"group_by": ["payload.v"], "top": top, "count_unique": "payload.w"}
    answer = post(api, body | ({"compare": "previous"} if compare else {}))
    present = in_range(events + earlier)
    counts = Counter(simple(at_path(event, ["v"])) for event in present)
    rows = [row for row in answer["rows"] if not row["rest_of"]]
    kept = [simple(row["payload.v"]) for row in rows]
    numbers = [counts[value] for value in kept]  # zero for those of the time before alone
    assert numbers == [row["count"] for row in rows]
    assert [number for number in numbers if number] == sorted(counts.values(), reverse=True)[:top]
    groups = {simple(at_path(event, ["v"])) for event in present + compare * in_range(events + earlier, back=1)}
    assert len(kept) + sum(row["rest_of"] for row in answer["rows"]) == len(groups)
    for period, own in (("present", present), ("previous", in_range(events + earlier, back=1))):
        if period == "previous" and not compare:
            continue
        folded = defaultdict(list)
        for event in own:
            value = simple(at_path(event, ["v"]))
            folded["rest" if value not in kept else value].append(event)
        for row in answer["rows"]:
            group = folded.pop("rest" if row["rest_of"] else simple(row["payload.v"]), [])
            found = row if period == "present" else row["previous"]
            assert found["count"] == len(group)
            assert found["count_unique"] == len({simple(at_path(event, ["w"])) for event in group} - {None})
        assert not any(folded.values())


@bounded
@given(events=st.lists(EVENTS, max_size=25), zone=st.sampled_from(["Europe/Berlin", "Asia/Kathmandu", "UTC"]))
def test_series_have_every_hour_of_the_zone(api: AnalyticsUnderTest, events: list[SeedEvent], zone: str) -> None:
    fresh(api, events)
    body = RANGE | {"interval": "hour", "tz": zone, "count_unique": "payload.v", "group_by": "event_type"}
    answer = post(api, body)
    by_bucket = defaultdict(list)
    for event in in_range(events):
        local = event.occurred_at.astimezone(ZoneInfo(zone)).replace(minute=0, second=0, microsecond=0)
        by_bucket[local.isoformat(), event.event_type].append(event)
    buckets = {row["bucket"] for row in answer["rows"]}
    assert not answer["rows"] or len(buckets) in (6, 7)
    assert len(answer["rows"]) == len(buckets) * len({event.event_type for event in in_range(events)})
    for row in answer["rows"]:
        own = by_bucket.pop((row["bucket"], row["event_type"]), [])
        assert (row["count"], row["count_unique"]) == (len(own), measured(own, ["v"], ["v"])["count_unique"])
    assert not by_bucket


@bounded
@given(events=st.lists(EVENTS, max_size=25), top=st.none() | st.integers(1, 2), compare=st.booleans())
def test_counts_from_rollups_equal_those_from_events(
    api: AnalyticsUnderTest, events: list[SeedEvent], top: int | None, compare: bool
) -> None:
    fresh(api, events)
    body: dict[str, Any] = RANGE | {"group_by": "event_type,client_id", "interval": "hour"}
    body |= ({"top": top} if top else {}) | ({"compare": "previous"} if compare else {})
    from_rollups = post(api, body)
    from_events = post(api, body | {"payload.in.v.exists": True, "filter": {"or": [{"payload.in.exists": True}]}})
    everything = post(api, body | {"payload.in.exists": True})
    assert from_rollups.pop("source") == "rollups"
    assert everything.pop("source") == from_events.pop("source") == "events"
    assert from_rollups == everything


def test_a_query_string_and_a_body_ask_the_same(api: AnalyticsUnderTest) -> None:
    fresh(api, [SeedEvent(payload=json.dumps({"u": n % 3, "a.b": n, "c": "x,y"})) for n in range(20)])
    asked: dict[str, Any] = DAY | {
        "count_unique": "payload.u", "p99.5": 'payload."a.b"', "group_by": 'event_type,payload."a.b"', "top": 2,
        "tz": "Europe/Berlin", "compare": "previous",
    }  # fmt: skip
    flat = asked | {'payload."a.b".gte': "5", "payload.c.in": '"x,y",z', "payload.u.exists": "true"}
    nested = asked | {"filter": {'payload."a.b".gte': 5, "payload.c.in": ["x,y", "z"], "payload.u.exists": True}}
    answer = json.loads(api.get(QUERY, flat).text, parse_int=Decimal, parse_float=Decimal)
    assert answer == post(api, nested)
    assert answer["total"] == 15
    rest = answer["rows"][-1]
    assert rest.pop("previous") == {"count": 0, "count_unique": 0, "p99.5": None}
    assert rest.pop("change_ratio") == {"count": None, "count_unique": None, "p99.5": None}
    assert float(rest.pop("p99.5")) == pytest.approx(18.94)
    assert rest == {"event_type": None, 'payload."a.b"': None, "count": 13, "count_unique": 3, "rest_of": 13}


def test_events_by_type_counts_uniques_too(api: AnalyticsUnderTest) -> None:
    fresh(api, [SeedEvent(event_type="a", payload=json.dumps({"user_id": n % 2, "ok": n > 3})) for n in range(6)])
    path = "/api/v1/analytics/events-by-type"
    answer = api.json(path, DAY | {"count_unique": "payload.user_id"})
    assert answer["rows"] == [{"event_type": "a", "count": 6, "count_unique": 2}]
    assert api.json(path, DAY | {"payload.ok": "true"})["rows"] == [{"event_type": "a", "count": 2}]
    assert answer["source"] == "events"


def test_events_by_type_compares_uniques_of_the_largest_types_and_the_rest(api: AnalyticsUnderTest) -> None:
    today, yesterday = (datetime(2026, 3, day, 12, tzinfo=UTC) for day in (10, 9))
    users = {("a", today): "112", ("a", yesterday): "1", ("b", today): "34", ("c", today): "5", ("c", yesterday): "567"}
    fresh(
        api,
        [
            SeedEvent(event_type=name, occurred_at=moment, payload=json.dumps({"user_id": user}))
            for (name, moment), seen in users.items()
            for user in seen
        ],
    )
    asked = DAY | {"count_unique": "payload.user_id", "top": "1", "compare": "previous"}
    path = "/api/v1/analytics/events-by-type"
    answer = api.json(path, asked)
    before = {"from": "2026-03-09T00:00:00Z", "to": "2026-03-10T00:00:00Z", "total": 4}
    assert (answer["total"], answer["previous"]) == (6, before)
    assert answer["rows"] == [
        {
            "event_type": "a", "rest_of": 0, "count": 3, "count_unique": 2,
            "previous": {"count": 1, "count_unique": 1}, "change_ratio": {"count": 2.0, "count_unique": 1.0},
        },
        {
            "event_type": None, "rest_of": 2, "count": 3, "count_unique": 3,
            "previous": {"count": 3, "count_unique": 3}, "change_ratio": {"count": 0.0, "count_unique": 0.0},
        },
    ]  # fmt: skip
    assert api.get(path, asked | {"format": "csv"}).text.splitlines() == [
        "event_type,rest_of,count,count_unique,previous_count,previous_count_unique,change_ratio_count,"
        "change_ratio_count_unique",
        "a,0,3,2,1,1,2.0,1.0",
        ",2,3,3,3,3,0.0,0.0",
    ]


def test_a_comparison_has_one_shape_whoever_answers(api: AnalyticsUnderTest) -> None:
    moments = [datetime(2026, 3, 9, 12, tzinfo=UTC)] * 2 + [datetime(2026, 3, 10, 12, tzinfo=UTC)] * 3
    fresh(api, [SeedEvent(event_type="a", occurred_at=moment, payload='{"n": -4}') for moment in moments])
    asked = DAY | {"compare": "previous", "interval": "day", "group_by": "event_type"}
    by_type = api.json("/api/v1/analytics/events-by-type", asked)
    assert by_type["rows"] == [
        {
            "event_type": "a", "bucket": "2026-03-10T00:00:00+00:00", "count": 3,
            "previous": {"count": 2}, "change_ratio": {"count": 0.5},
        }
    ]  # fmt: skip
    from_rollups = api.json(QUERY, asked)
    assert (from_rollups["source"], from_rollups["rows"]) == ("rollups", by_type["rows"])
    assert from_rollups["previous"] == by_type["previous"]
    from_events = api.json(QUERY, asked | {"sum": "payload.n", "payload.n": "-4"})
    assert from_events["previous"] == by_type["previous"]
    [row] = from_events["rows"]
    assert row["previous"] == {"count": 2, "sum": -8}
    assert row["change_ratio"] == {"count": 0.5, "sum": -0.5}


def test_csv_is_safe_to_open_in_a_spreadsheet(api: AnalyticsUnderTest) -> None:
    values = ["=1+1", "+x", "-1", "@x", "\tx", "plain", -1]
    fresh(api, [SeedEvent(client_id="=acme", payload=json.dumps({"v": value})) for value in values])
    lines = api.get(QUERY, DAY | {"group_by": "client_id,payload.v", "format": "csv"}).text.split("\r\n")
    assert lines[0] == "client_id,payload.v,count"
    assert sorted(lines[1:-1]) == sorted(
        [
            "'=acme,'=1+1,1",
            "'=acme,'+x,1",
            "'=acme,'-1,1",
            "'=acme,'@x,1",
            "'=acme,'\tx,1",
            "'=acme,plain,1",
            "'=acme,-1,1",
        ]
    )


def test_the_time_before_is_of_the_same_length(api: AnalyticsUnderTest) -> None:
    moments = [datetime(2026, 3, 9, 12, tzinfo=UTC)] * 2 + [datetime(2026, 3, 10, 12, tzinfo=UTC)] * 3
    fresh(api, [SeedEvent(occurred_at=moment, payload='{"n": 1}') for moment in moments])
    for extra in ({}, {"sum": "payload.n"}):
        answer = api.json(QUERY, DAY | extra | {"compare": "previous"})
        previous = answer["previous"]
        assert (answer["total"], previous["total"]) == (3, 2)
        assert (previous["from"], previous["to"]) == ("2026-03-09T00:00:00Z", "2026-03-10T00:00:00Z")
