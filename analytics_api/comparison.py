"""What a row of an answer says of the same span, one length of the range before. One shape for every call. Pure."""

import math
from collections.abc import Mapping
from typing import Any, Final

from analytics_api.time_range import TimeRange

_DIGITS: Final = 4


def previous_range(asked: TimeRange) -> TimeRange:
    """The time of the same length that ends where the range begins."""
    return TimeRange(asked.start - (asked.end - asked.start), asked.start)


def compared(values: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """The members of a row that compare it: both have every measure, by name. Exact numbers may come as text."""
    return {"previous": before, "change_ratio": {name: change_ratio(values[name], before[name]) for name in values}}


def comparing_columns(names: list[str]) -> list[str]:
    """The columns of a CSV answer that ``comparing_cells`` fills."""
    return [f"previous_{name}" for name in names] + [f"change_ratio_{name}" for name in names]


def comparing_cells(values: Mapping[str, Any], before: Mapping[str, Any]) -> list[Any]:
    """The same as ``compared``, flat."""
    return [*(before[name] for name in values), *(change_ratio(values[name], before[name]) for name in values)]


def change_ratio(value: Any, before: Any) -> float | None:
    """0.5 is half as much again; None where there was nothing, or either is unknown or beyond a double."""
    if value is None or before is None:
        return None
    now, then = float(value), float(before)
    if not then or not math.isfinite(now) or not math.isfinite(then):
        return None
    return round((now - then) / abs(then), _DIGITS)
