"""The pure parts of the analytics API: ranges, sketches, filters, places in a stream."""

import math
from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from analytics_api.event_trace import TraceState, locate
from shared.latency_sketch import GAMMA, bucket_value_us, percentile_us
from shared.redis_keys import ShardKeys
from shared.rfc_3339 import parse_time
from shared.stream_status import StreamReplies, count_events

START = datetime(2026, 1, 1, tzinfo=UTC)
COUNT = st.integers(0, 10)


@given(st.integers(1, 10**12))
def test_a_bucket_is_within_two_percent_of_what_is_in_it(latency_us: int) -> None:
    value = bucket_value_us(math.ceil(math.log(latency_us, GAMMA)))
    assert abs(value - latency_us) <= latency_us * 0.0200001


@given(st.lists(st.integers(1, 10**9), min_size=1), st.sampled_from([0.0, 0.5, 0.95, 0.99, 1.0]))
def test_percentiles_of_a_sketch_are_within_two_percent(latencies_us: list[int], share: float) -> None:
    histogram: dict[int, int] = {}
    for latency_us in latencies_us:
        bucket = math.ceil(math.log(latency_us, GAMMA))
        histogram[bucket] = histogram.get(bucket, 0) + 1
    exact = sorted(latencies_us)[int(share * (len(latencies_us) - 1))]
    found = percentile_us(histogram, share)
    assert found is not None
    assert abs(found - exact) <= exact * 0.0200001


@given(st.timedeltas(timedelta(days=-45_000), timedelta(days=300_000)), st.integers(-1439, 1439))
def test_a_time_is_what_was_written(after: timedelta, offset_minutes: int) -> None:
    moment = (START + after).astimezone(timezone(timedelta(minutes=offset_minutes)))
    assert parse_time(moment.isoformat()) == moment


@given(COUNT, COUNT, COUNT, COUNT, st.none() | COUNT, COUNT)
def test_events_of_a_stream_are_never_negative_and_add_up(
    entries: int, added: int, settled: int, delivered: int, undelivered: int | None, pending: int
) -> None:
    replies = StreamReplies(ShardKeys(0).events, entries, added, settled, (1, delivered), undelivered, pending)
    length, lag, waiting = count_events(replies)
    assert min(length, lag, waiting) >= 0
    assert lag + waiting == length
    assert (length == 0) == (entries == 0)


def test_an_event_is_located_by_ids_alone() -> None:
    pending = [{"message_id": b"5-9", "times_delivered": 3}]
    assert locate((5, 10), (5, 9), pending) == (TraceState.ACCEPTED, 0)
    assert locate((6, 1), (5, 9), []) == (TraceState.ACCEPTED, 0)
    assert locate((5, 7), (5, 9), pending) == (TraceState.PENDING, 3)
    assert locate((4, 2), (5, 9), pending) == (TraceState.SETTLED, 0)
    assert locate((5, 9), (5, 9), []) == (TraceState.SETTLED, 0)
