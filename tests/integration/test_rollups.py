"""Rollups equal recounts, whatever mix of events, repeats and bad ones came, and however often."""

from collections.abc import Iterator
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.stream_entry import EventFrame
from tests.pipeline import (
    DAY_US,
    Pipeline,
    assert_rollups_equal_recounts,
    block,
    entry,
    event,
    intake,
    now_us,
    stored_ids,
)

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


@pytest.fixture
def pipeline(redis_url: str, database_url: str) -> Iterator[Pipeline]:
    made = Pipeline(redis_url, database_url)
    yield made
    made.close()


@given(BATCHES)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_rollups_equal_recounts_and_totals_balance(
    pipeline: Pipeline, database_url: str, batches: list[list[list[tuple[str, list[EventFrame]]]]]
) -> None:
    before = sum(intake(database_url)[name] for name in ("stored", "duplicates", "failed"))
    sent = 0
    for batch in batches:
        entries = []
        for blocks in batch:
            made = [block(*events, client_id=client_id, received_us=NOW_US) for client_id, events in blocks]
            entries.append(entry(f"1-{next(_entries)}", *made))
            sent += entries[-1].events
        pipeline.store(entries)
        pipeline.store(entries[::2])  # delivered again
    counted = intake(database_url)
    assert counted["stored"] + counted["duplicates"] + counted["failed"] == before + sent
    assert counted["stored"] == len(stored_ids(database_url))
    assert_rollups_equal_recounts(database_url)
