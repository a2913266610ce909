"""Every answer of counts against a model that knows nothing of rollups: it looks at each event."""

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from stream_processor.rollup_compaction import compact_rollups
from tests.analytics_seed import SeedEvent, at, seed
from tests.analytics_server import AnalyticsUnderTest, serve_analytics

COUNTS = "/api/v1/analytics/events-by-type"
ZONES = ("UTC", "Europe/Berlin", "Asia/Kathmandu", "Australia/Lord_Howe", "America/St_Johns")
# clocks change in Berlin on 29 March, in Lord Howe (by half an hour) on 5 April, in St John's on 8 March
ANCHORS = [at(f"2026-{day}+00:00") for day in ("03-08T05:00:00", "03-29T00:30:00", "04-04T15:00:00", "04-05T23:59:58")]
MOMENTS = st.builds(
    lambda anchor, after: anchor + after,
    st.sampled_from(ANCHORS),
    st.timedeltas(timedelta(hours=-3), timedelta(hours=5))
    | st.sampled_from([timedelta(minutes=15), timedelta(hours=1), timedelta(0)]),
)
EVENTS = st.builds(
    lambda client, type_, moment: SeedEvent(client_id=client, event_type=type_, occurred_at=moment),
    st.sampled_from(["a", "b", "c"]),
    st.sampled_from(["w", "x", "y", "z"]),
    MOMENTS,
)
QUESTIONS = st.fixed_dictionaries(
    {
        "ends": st.tuples(MOMENTS, MOMENTS | st.just(at("2026-04-12T00:00:00+00:00")))
        .filter(lambda ends: ends[0] != ends[1])
        .map(sorted),
        "client_id": st.sampled_from([None, None, "a", "nobody"]),
        "event_type": st.sampled_from([None, None, "x"]),
        "group_by": st.sampled_from(["event_type", "client_id", "event_type,client_id", "none"]),
        "interval": st.sampled_from([None, "hour", "day", "week", "month"]),
        "tz": st.sampled_from(ZONES),
        "top": st.sampled_from([None, None, 1, 2]),
        "compare": st.sampled_from([None, "previous"]),
    }
)
ALL_ROLLUPS = (
    "TRUNCATE events, event_ids, rollup_events_minute, rollup_events_minute_sums, rollup_events_hour, rollup_events_day"
)


@pytest.fixture
def api(database_url: str, redis_url: str) -> Iterator[AnalyticsUnderTest]:
    with serve_analytics(database_url, redis_url) as served:
        yield served


def seed_and_compact(api: AnalyticsUnderTest, events: list[SeedEvent], until: datetime | None) -> None:
    """A part of the events before compacting, a part after it, late."""
    with psycopg.connect(api.database_url, autocommit=True) as connection:
        connection.execute(ALL_ROLLUPS.encode())
        connection.execute("UPDATE rollup_progress SET compacted_until = 'epoch'")
        seed(api.database_url, events[::2])
        if until is not None:
            compact_rollups(connection, until)
        seed(api.database_url, events[1::2])


# shrinking would ask for minutes; the questions of a failure are shown as they are
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)


@settings(max_examples=10, deadline=None, phases=PHASES, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(EVENTS, max_size=30), st.none() | MOMENTS, st.lists(QUESTIONS, min_size=4, max_size=4))
def test_answers_equal_the_model(
    api: AnalyticsUnderTest, events: list[SeedEvent], until: datetime | None, questions: list[dict[str, Any]]
) -> None:
    seed_and_compact(api, events, until)
    for question in questions:
        start, end = question["ends"]
        if question["compare"] and question["interval"]:  # whole minutes apart, or it is refused
            end = start + max(timedelta(minutes=1), (end - start) // timedelta(minutes=1) * timedelta(minutes=1))
        asked = {name: value for name, value in question.items() if name != "ends" and value is not None}
        answer = api.json(COUNTS, {**asked, "from": start.isoformat(), "to": end.isoformat()})
        assert answer["rows"] == model(events, question, start, end), question
        edges = [start, end] + ([start - (end - start)] if question["compare"] else [])
        is_whole = all(edge.second == edge.microsecond == 0 for edge in edges)
        assert answer["source"] == ("rollups" if is_whole else "rollups+events")


def model(events: list[SeedEvent], question: dict[str, Any], start: datetime, end: datetime) -> list[dict[str, Any]]:
    """The rows, by looking at each event."""
    names = [name for name in ("event_type", "client_id") if name in question["group_by"].split(",")]
    wanted = [
        event
        for event in events
        if question["client_id"] in (None, event.client_id) and question["event_type"] in (None, event.event_type)
    ]
    spans = spans_of(question, start, end)
    now = [groups_in(wanted, names, first, last) for _, first, last in spans]
    before = [groups_in(wanted, names, *[moment - (end - start) for moment in span[1:]]) for span in spans]
    if not question["compare"]:
        before = [Counter() for _ in spans]
    totals, totals_before = sum(now, Counter()), sum(before, Counter())
    groups = sorted(totals.keys() | totals_before.keys())
    if not groups and names_itself(question, names):
        groups = [tuple(question[name] for name in names)]
    ranked = sorted(groups, key=lambda g: (-totals[g], -totals_before[g], g))
    kept = ranked if question["top"] is None else ranked[: question["top"]]
    rest = [group for group in ranked if group not in kept]
    rows = []
    for (label, _, _), counts, previous in zip(spans, now, before, strict=True):
        bucket = {} if label is None else {"bucket": label}
        told = kept if label is None else sorted(kept)
        for members, named in [*(([group], group) for group in told), *([(rest, [None] * len(names))] if rest else [])]:
            row = dict(zip(names, named, strict=True))
            if question["top"] is not None:
                row["rest_of"] = len(rest) if members is rest else 0
            row |= bucket | {"count": sum(counts[group] for group in members)}
            if question["compare"]:
                row |= change(row["count"], sum(previous[group] for group in members))
            rows.append(row)
    return rows


def change(count: int, previous: int) -> dict[str, Any]:
    ratio = round((count - previous) / previous, 4) if previous else None
    return {"previous": {"count": previous}, "change_ratio": {"count": ratio}}


def groups_in(events: list[SeedEvent], names: list[str], first: datetime, last: datetime) -> Counter[tuple[str, ...]]:
    return Counter(
        tuple(getattr(event, name) for name in names) for event in events if first <= event.occurred_at < last
    )


def names_itself(question: dict[str, Any], names: list[str]) -> bool:
    if question["interval"] is None:
        return not names
    return all(question[name] is not None for name in names)


def spans_of(question: dict[str, Any], start: datetime, end: datetime) -> list[tuple[str | None, datetime, datetime]]:
    """Each bucket's name and the part of the range in it: minute by minute, by what a clock in the zone shows."""
    if question["interval"] is None:
        return [(None, start, end)]
    zone, label = ZoneInfo(question["tz"]), LABELS[question["interval"]]
    first_minute = start.replace(minute=0, second=0, microsecond=0) - timedelta(days=32)
    minutes = [first_minute + n * timedelta(minutes=5) for n in range((end - first_minute) // timedelta(minutes=5) + 1)]
    spans = []
    for _, members in groupby(minutes, key=lambda moment: label(moment.astimezone(zone))):
        begun = list(members)
        spans.append(begun[0])
    found = []
    for place, first in enumerate(spans):
        last = spans[place + 1] if place + 1 < len(spans) else end
        if last > start and first < end:
            found.append((first.astimezone(zone).isoformat(), max(first, start), min(last, end)))
    return found


LABELS: dict[str, Callable[[datetime], Any]] = {
    "hour": lambda local: (local.date(), local.hour, local.utcoffset()),
    "day": lambda local: local.date(),
    "week": lambda local: local.date() - timedelta(days=local.weekday()),
    "month": lambda local: (local.year, local.month),
}


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({"top": "0"}, "/query/top"),
        ({"top": "1001"}, "/query/top"),
        ({"compare": "before"}, "/query/compare"),
        ({"group_by": "none,client_id"}, "/query/group_by"),
        ({"interval": "year"}, "/query/interval"),
        ({"tz": "Mars/Olympus"}, "/query/tz"),
        (
            {"compare": "previous", "interval": "hour", "from": "2026-03-10T00:00:00Z", "to": "2026-03-10T02:00:01Z"},
            "/query/from",
        ),
    ],
)
def test_what_cannot_be_asked_is_refused_with_what_can(
    api: AnalyticsUnderTest, query: dict[str, str], names: str
) -> None:
    assert api.refused(COUNTS, query) == (422, "invalid-query")
    assert api.get(COUNTS, query).json()["errors"][0]["pointer"] == names


def test_csv_has_columns_for_what_was_asked(api: AnalyticsUnderTest) -> None:
    seed(api.database_url, [SeedEvent(event_type=name) for name in "aabc"])
    query = {"from": "2026-03-10T00:00:00Z", "to": "2026-03-11T00:00:00Z", "format": "csv"}
    assert api.get(COUNTS, {**query, "top": "1"}).text.splitlines() == ["event_type,rest_of,count", "a,0,2", ",2,2"]
    assert api.get(COUNTS, {**query, "group_by": "none", "compare": "previous"}).text.splitlines() == [
        "count,previous_count,change_ratio_count", "4,0,",
    ]  # fmt: skip


def test_csv_of_counts_is_safe_to_open_in_a_spreadsheet(api: AnalyticsUnderTest) -> None:
    seed(api.database_url, [SeedEvent(event_type="-1+2", client_id="=cmd"), SeedEvent(event_type="a", client_id="b")])
    query = {"from": "2026-03-10T00:00:00Z", "to": "2026-03-11T00:00:00Z", "format": "csv"}
    lines = api.get(COUNTS, {**query, "group_by": "event_type,client_id", "interval": "day"}).text.splitlines()
    assert lines == [
        "event_type,client_id,bucket,count",
        "'-1+2,'=cmd,2026-03-10T00:00:00+00:00,1",
        "a,b,2026-03-10T00:00:00+00:00,1",
    ]


def test_a_client_sees_no_sum_over_others(api: AnalyticsUnderTest) -> None:
    seed(api.database_url, [SeedEvent(client_id="a"), SeedEvent(client_id="b")])
    with psycopg.connect(api.database_url, autocommit=True) as connection:
        compact_rollups(connection, at("2026-03-12T00:00:00+00:00"))
    query = {"from": "2026-03-10T00:00:00Z", "to": "2026-03-11T00:00:00Z", "group_by": "none", "compare": "previous"}
    assert api.json(COUNTS, query, key=api.reader("a"))["total"] == 1
    assert api.json(COUNTS, query)["total"] == 2
    assert api.json(COUNTS, {**query, "group_by": "client_id"})["total"] == 2
