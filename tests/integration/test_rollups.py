"""Rollups equal recounts, whatever mix of events, repeats and bad ones came, and however often."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import count

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.stream_entry import EventFrame
from stream_processor.rollup_compaction import compact_rollups, compaction_target
from tests.pipeline import (
    DAY_US,
    Pipeline,
    assert_rollups_equal_recounts,
    block,
    connect,
    entry,
    event,
    intake,
    now_us,
    rows,
    stored_ids,
    value,
)
from tests.rollup_levels import level_differences

NOW_US = now_us()
_entries = count(1)

EVENTS = st.builds(
    event,
    st.sampled_from([f"e{n}" for n in range(12)]),
    st.sampled_from([b'{"v": 1}', b'{"v": 1}', b'{"v": 22}', b'{"v": "\\u0000"}']),
    event_type=st.sampled_from(["a", "b"]),
    occurred_us=st.none() | st.sampled_from([NOW_US, NOW_US - 61_000_000, NOW_US - DAY_US, NOW_US - 40 * DAY_US]),
)
BLOCKS = st.tuples(st.sampled_from(["acme", "other"]), st.lists(EVENTS, min_size=1, max_size=6))
BATCHES = st.lists(st.lists(st.lists(BLOCKS, min_size=1, max_size=3), min_size=1, max_size=4), min_size=1, max_size=4)
# before, between and behind the events: what comes later is late, or not
COMPACTED = st.lists(
    st.none() | st.sampled_from([NOW_US - 50 * DAY_US, NOW_US - 30 * DAY_US, NOW_US - 61_000_000, NOW_US + DAY_US]),
    min_size=4, max_size=4,
)  # fmt: skip


@pytest.fixture
def pipeline(redis_url: str, database_url: str) -> Iterator[Pipeline]:
    made = Pipeline(redis_url, database_url)
    yield made
    made.close()


@given(BATCHES, COMPACTED)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_rollups_equal_recounts_and_totals_balance(
    pipeline: Pipeline,
    database_url: str,
    batches: list[list[list[tuple[str, list[EventFrame]]]]],
    compacted: list[int | None],
) -> None:
    before = sum(intake(database_url)[name] for name in ("stored", "duplicates", "failed"))
    sent = 0
    for batch, compacted_until_us in zip(batches, compacted, strict=False):
        entries = []
        for blocks in batch:
            made = [block(*events, client_id=client_id, received_us=NOW_US) for client_id, events in blocks]
            entries.append(entry(f"1-{next(_entries)}", *made))
            sent += entries[-1].events
        pipeline.store(entries)
        pipeline.store(entries[::2])  # delivered again
        if compacted_until_us is not None:
            compact_rollups(pipeline.connection, datetime.fromtimestamp(compacted_until_us / 1e6, UTC))
        assert list(level_differences(pipeline.connection)) == []
    assert_rollups_equal_recounts(database_url)
    counted = intake(database_url)
    assert counted["stored"] + counted["duplicates"] + counted["failed"] == before + sent
    assert counted["stored"] == len(stored_ids(database_url))


def test_late_events_reach_every_level_at_once(pipeline: Pipeline, database_url: str) -> None:
    hour_ago = NOW_US - 3_600_000_000
    pipeline.store([entry(f"2-{next(_entries)}", block(event("on-time", occurred_us=hour_ago)))])
    compact_rollups(pipeline.connection, datetime.now(UTC) - timedelta(minutes=10))
    assert events_at_levels(database_url) == {"hour": 1, "day": 1, "minute_sums": 1}
    pipeline.store([entry(f"2-{next(_entries)}", block(event("late", occurred_us=hour_ago), event("new")))])
    assert events_at_levels(database_url) == {"hour": 2, "day": 2, "minute_sums": 2}
    assert_rollups_equal_recounts(database_url)


def test_compacting_follows_in_steps_and_never_goes_back(pipeline: Pipeline, database_url: str) -> None:
    moments = [NOW_US - n * 7_200_000_000 for n in range(1, 6)]
    events = [event(f"step-{n}", occurred_us=moment) for n, moment in enumerate(moments)]
    pipeline.store([entry(f"3-{next(_entries)}", block(*events))])
    target = datetime.now(UTC).replace(second=0, microsecond=0)
    assert compact_rollups(pipeline.connection, target) == 6  # one for each event and the rest of the way
    assert events_at_levels(database_url)["hour"] == 5
    assert compact_rollups(pipeline.connection, target - timedelta(hours=5)) == 1
    assert value(database_url, "SELECT compacted_until FROM rollup_progress") == target
    assert_rollups_equal_recounts(database_url)


def test_compacting_waits_for_who_stores_and_sees_what_it_stored(pipeline: Pipeline, database_url: str) -> None:
    target = datetime.now(UTC) + timedelta(minutes=5)
    with connect(database_url) as other:
        with pipeline.connection.transaction():
            prepared = pipeline.prepare([entry(f"4-{next(_entries)}", block(event("a")))])
            ids = frozenset(one.entry_id for one in prepared.entries)
            pipeline.sink.write(pipeline.connection, prepared, ids, isolate=False)
            assert compact_rollups(other, target) == 0  # it gave up: the next round is another chance
        assert compact_rollups(other, target) > 0
    assert events_at_levels(database_url)["day"] == 1
    assert_rollups_equal_recounts(database_url)


def test_storing_and_compacting_at_once_lose_nothing(redis_url: str, database_url: str) -> None:
    pipelines = [Pipeline(redis_url, database_url, name=f"p{n}") for n in range(2)]

    def store_many(pipeline: Pipeline, first: int) -> None:
        for n in range(first, first + 40):
            made = [event(f"c{n}-{m}", occurred_us=NOW_US - m * 40_000_000) for m in range(6)]
            pipeline.store([entry(f"5-{n}", block(*made, client_id=f"client-{n % 3}"))])

    with ThreadPoolExecutor(2) as pool, connect(database_url) as leader:
        storing = [pool.submit(store_many, pipeline, 1000 * n) for n, pipeline in enumerate(pipelines)]
        minutes_ago = 5.0
        while not all(future.done() for future in storing):
            compact_rollups(leader, datetime.now(UTC) - timedelta(minutes=minutes_ago))
            minutes_ago = max(minutes_ago - 0.3, -1)
        for future in storing:
            future.result()
    for pipeline in pipelines:
        pipeline.close()
    assert len(stored_ids(database_url)) == 480
    assert_rollups_equal_recounts(database_url)


def test_the_target_leaves_a_minute_of_grace_and_goes_in_fives() -> None:
    at = datetime(2026, 3, 10, 12, 6, 0, tzinfo=UTC).timestamp()
    assert compaction_target(at) == datetime(2026, 3, 10, 12, 5, tzinfo=UTC)
    assert compaction_target(at - 1) == datetime(2026, 3, 10, 12, 0, tzinfo=UTC)


def test_only_the_functions_write_rollups(database_url: str) -> None:
    tables = rows(database_url, "SELECT relname FROM pg_class WHERE relname LIKE 'rollup%%' AND relkind = 'r'")
    with connect(database_url) as connection:
        for (table,) in tables:
            if table == "rollup_accepted_minute":
                continue
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(f"INSERT INTO {table} DEFAULT VALUES".encode())


def events_at_levels(database_url: str) -> dict[str, int]:
    """Of all clients and types together."""
    counted = {
        level: value(
            database_url,
            f"SELECT coalesce(sum(events), 0)::int FROM rollup_events_{level} WHERE client_id = '' AND event_type = ''",
        )
        for level in ("hour", "day")
    }
    sums = value(database_url, "SELECT coalesce(sum(events), 0)::int FROM rollup_events_minute_sums")
    return {**counted, "minute_sums": sums}
