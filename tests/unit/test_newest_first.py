"""Reading a long range from its end."""

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from analytics_api.newest_first import newest_rows, parts_newest_first
from analytics_api.reader import Row

FIRST = datetime.min.replace(tzinfo=UTC)
MOMENTS = st.timedeltas(timedelta(0), timedelta(days=3_650_000)).map(lambda after: FIRST + after)
LENGTHS = st.timedeltas(timedelta(microseconds=1), timedelta(days=500))


@given(MOMENTS, LENGTHS)
def test_parts_are_the_range_newest_first_and_meet_at_midnight(end: datetime, length: timedelta) -> None:
    start = end - min(length, end - FIRST)
    parts = list(parts_newest_first(start, end))
    if start == end:
        assert not parts
        return
    assert (parts[0][1], parts[-1][0]) == (end, start)
    assert all(later[0] == earlier[1] for later, earlier in pairwise(parts))
    assert all(first < last for first, last in parts)
    assert all(first.time().isoformat() == "00:00:00" for first, _ in parts[:-1])
    assert len(parts) <= 7


def test_a_range_of_90_days_takes_a_day_then_three_then_nine() -> None:
    end = datetime(2026, 11, 22, 15, tzinfo=UTC)
    parts = parts_newest_first(end - timedelta(days=90), end)
    assert [round((last - first) / timedelta(days=1), 2) for first, last in parts] == [0.62, 3, 9, 27, 50.38]


def test_reading_ends_with_the_part_that_fills_the_page() -> None:
    end, asked = datetime(2026, 11, 22, 15, tzinfo=UTC), []

    async def read(values: dict[str, Any]) -> list[Row]:
        asked.append(values["limit"])
        return [{}] * min(2, values["limit"])

    values = {"start": end - timedelta(days=90), "end": end, "limit": None}
    assert len(asyncio.run(newest_rows(read, values, 5))) == 5
    assert asked == [5, 3, 1]
