"""Funnels and retention, against every chain tried in Python."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analytics_api.calendar_buckets import Interval, bucket_starts
from analytics_api.time_range import TimeRange
from tests.analytics_seed import SeedEvent, seed
from tests.analytics_server import AnalyticsUnderTest, serve_analytics
from tests.query_model import at_path, funnel, retention, simple

FUNNEL = "/api/v1/analytics/funnel"
RETENTION = "/api/v1/analytics/retention"
START = datetime(2026, 3, 27, tzinfo=UTC)  # clocks in Europe go forward two days later
RANGE = {"from": "2026-03-27T00:00:00Z", "to": "2026-04-02T00:00:00Z"}
bounded = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
# Few moments and few ids: ties are frequent.
EVENTS = st.builds(
    lambda client, type_, hours, user: (client, type_, START + timedelta(hours=hours), user),
    st.sampled_from(["a", "a", "a", "b"]),
    st.sampled_from(["x", "y", "z"]),
    st.integers(0, 143).map(lambda hour: hour // 6 * 6 + hour % 2),
    st.sampled_from(["1", '"1"', "2.0", "2", '"u"', "true", "null", "[3]"]),
)


@pytest.fixture
def api(database_url: str, redis_url: str) -> Iterator[AnalyticsUnderTest]:
    with serve_analytics(database_url, redis_url, max_picked_events=1000) as served:
        yield served


def post(api: AnalyticsUnderTest, path: str, body: dict[str, Any], *, status: int = 200, key: str = "") -> Any:
    answer = api.http.post(path, json=body, headers={"X-API-Key": key or api.admin})
    assert answer.status_code == status, answer.text
    return answer.json()


def fresh(api: AnalyticsUnderTest, rows: list[tuple[str, str, datetime, str]]) -> list[SeedEvent]:
    with psycopg.connect(api.database_url) as connection:
        connection.execute("TRUNCATE events, event_ids, rollup_events_minute")
    # Ids that do not ascend with time, so that a tie is decided by them alone.
    return seed(
        api.database_url,
        [
            SeedEvent(client, type_, moment, f'{{"u": {user}}}', event_id=f"{place * 7 % 11}-{place}")
            for place, (client, type_, moment, user) in enumerate(rows)
        ],
    )


def user_of(event: SeedEvent) -> Any:
    return simple(at_path(event, ["u"]))


@bounded
@given(
    rows=st.lists(EVENTS, max_size=22),
    steps=st.lists(st.sampled_from(["x", "y", "z"]), min_size=2, max_size=4),
    hours=st.sampled_from([1, 6, 24, 200]),
    by=st.sampled_from(["payload.u", "client_id"]),
)
def test_a_funnel_is_that_of_the_model(
    api: AnalyticsUnderTest, rows: list[tuple[str, str, datetime, str]], steps: list[str], hours: int, by: str
) -> None:
    events = fresh(api, rows)
    body = RANGE | {"by": by, "window_seconds": hours * 3600, "steps": [{"event_type": step} for step in steps]}
    answer = post(api, FUNNEL, body)
    key_of = user_of if by == "payload.u" else lambda event: event.client_id
    entered, medians = funnel(events, key_of, steps, timedelta(hours=hours))
    assert [step["entered"] for step in answer["steps"]] == entered
    assert [step["median_seconds_to_next"] for step in answer["steps"]] == medians
    assert answer["ignored"] == sum(event.event_type in steps and key_of(event) is None for event in events)
    for step, following in zip(answer["steps"], answer["steps"][1:], strict=False):
        assert (step["went_on"], step["dropped"]) == (following["entered"], step["entered"] - following["entered"])


@bounded
@given(
    rows=st.lists(EVENTS, max_size=22),
    interval=st.sampled_from(["day", "week"]),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "Pacific/Auckland"]),
    first=st.sampled_from([None, "x"]),
    back=st.sampled_from([None, "y"]),
)
def test_retention_is_that_of_the_model(
    api: AnalyticsUnderTest, rows: list[tuple[str, str, datetime, str]], interval: str, zone: str, first: str, back: str
) -> None:
    events = fresh(api, rows)
    body: dict[str, Any] = RANGE | {"by": "payload.u", "interval": interval, "tz": zone}
    body |= ({"first": {"event_type": first}} if first else {}) | ({"returning": {"event_type": back}} if back else {})
    answer = post(api, RETENTION, body)
    asked = TimeRange(*(datetime.fromisoformat(RANGE[side]) for side in ("from", "to")))
    starts = list(bucket_starts(asked, Interval(interval), ZoneInfo(zone)))
    sizes, returned = retention(events, user_of, starts, first, back)
    assert [cohort["size"] for cohort in answer["cohorts"]] == sizes
    assert [cohort["returned"] for cohort in answer["cohorts"]] == returned
    assert [datetime.fromisoformat(cohort["cohort"]) for cohort in answer["cohorts"]] == starts


def test_steps_filter_by_payload_and_csv_has_the_same_numbers(api: AnalyticsUnderTest) -> None:
    with psycopg.connect(api.database_url) as connection:
        connection.execute("TRUNCATE events, event_ids, rollup_events_minute")
    plans = ["free", "pro", "pro"]
    seed(
        api.database_url,
        [
            SeedEvent(
                event_type=type_, occurred_at=START + timedelta(hours=hour), payload=json.dumps({"u": n, "plan": plan})
            )
            for n, plan in enumerate(plans)
            for hour, type_ in enumerate(("seen", "paid"))
        ],
    )
    steps = [{"event_type": "seen", "payload.plan": "pro"}, {"filter": {"or": [{"payload.u": 1}, {"payload.u": 0}]}}]
    body = RANGE | {"by": "payload.u", "steps": steps}
    assert [step["entered"] for step in post(api, FUNNEL, body)["steps"]] == [2, 1]
    text = api.http.post(FUNNEL, json=body | {"format": "csv"}, headers={"X-API-Key": api.admin}).text
    assert text.split("\r\n")[1:3] == ["1,seen,2,1,1,1.0,3600.0", "2,,1,,,0.5,"]
    text = api.http.post(
        RETENTION, json=RANGE | {"by": "payload.u", "format": "csv"}, headers={"X-API-Key": api.admin}
    ).text
    assert text.startswith("cohort,size,period,returned\r\n2026-03-27T00:00:00+00:00,3,0,3\r\n")


def test_a_question_about_too_many_events_says_what_to_narrow(api: AnalyticsUnderTest) -> None:
    fresh(api, [("a", "x", START, "1")] * 1001)
    for path, body in ((FUNNEL, {"steps": [{"event_type": "x"}, {"event_type": "y"}]}), (RETENTION, {})):
        refused = post(api, path, RANGE | {"by": "payload.u"} | body, status=422)
        assert "more than 1000 events" in refused["detail"]
        assert "narrow" in refused["detail"]
