"""Reading the newest rows of a long range: the last day first, then further and further back until there are enough.

A statement over a range of days is planned for each day's partition, whichever it reads in the end. Nearly always the
last day has all that is wanted; where it has not, what is read before the last step is as much again at most.
"""

from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, time, timedelta
from typing import Any, Final

from analytics_api.reader import Row

_GROWTH: Final = 3
_DAY: Final = timedelta(days=1)
Part = tuple[datetime, datetime]


def parts_newest_first(start: datetime, end: datetime) -> Iterator[Part]:
    """The range in parts, half-open, the newest first; they meet at midnight UTC, and each is three times as long."""
    days = 1
    while start < end:
        midnight = datetime.combine(end.astimezone(UTC).date(), time(), UTC)
        whole = midnight if midnight < end else midnight - _DAY
        first = max(start, whole - (days - 1) * _DAY) if whole - start > (days - 1) * _DAY else start
        yield first, end
        end, days = first, days * _GROWTH


async def newest_rows(
    read: Callable[[dict[str, Any]], Awaitable[list[Row]]], values: dict[str, Any], limit: int
) -> list[Row]:
    """The first ``limit`` rows of a query with ``start``, ``end`` and ``limit`` that gives the newest first."""
    rows: list[Row] = []
    for start, end in parts_newest_first(values["start"], values["end"]):
        rows += await read(values | {"start": start, "end": end, "limit": limit - len(rows)})
        if len(rows) >= limit:
            break
    return rows
