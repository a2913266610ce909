"""Cells, as they were measured, made into the rows of an answer: ordered, and series without holes."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from analytics_api.queries.measures import of_nothing
from analytics_api.queries.question import Question
from shared.problems import FieldError, Problem


class Group(NamedTuple):
    """What a row is about. ``value`` is the JSON text of a payload field; parts that were not asked for are ''.

    ``rest_of`` tells how many groups the rest stands for; 0 is a group of its own.
    """

    rest_of: int = 0
    event_type: str = ""
    client_id: str = ""
    value: str = "null"


@dataclass(frozen=True, slots=True)
class Cell:
    """The measures of a group in a bucket, by name."""

    group: Group
    bucket: int
    values: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Line:
    """A row of the answer; ``previous`` is what was there one length of the range before, if that was asked."""

    group: Group
    bucket: datetime | None
    values: dict[str, Any]
    previous: dict[str, Any] | None


@dataclass(slots=True)
class Period:
    """What was measured over one range; ``starts`` are the first moments of its buckets, as many in every period."""

    starts: list[datetime]
    cells: list[Cell] = field(default_factory=list)

    @property
    def total(self) -> int:
        return sum(cell.values["count"] for cell in self.cells)

    def counts(self) -> Counter[Group]:
        """The events of each group."""
        counts: Counter[Group] = Counter()
        for cell in self.cells:
            counts[cell.group] += cell.values["count"]
        return counts

    def values(self) -> dict[tuple[Group, int], dict[str, Any]]:
        """The measures by group and bucket."""
        return {(cell.group, cell.bucket): cell.values for cell in self.cells}


def lines(question: Question, present: Period, previous: Period | None, max_rows: int) -> list[Line]:
    """Every group, in every bucket of a series, the rest last. Raises Problem invalid-query for too many.

    A series is ordered by name, all else by count, then by that of the time before.
    """
    groups = _groups(question, present, previous)
    if len(groups) * len(present.starts) > max_rows:
        raise too_many_rows(max_rows)
    return list(_lines(question, present, previous, groups))


def _groups(question: Question, present: Period, previous: Period | None) -> list[Group]:
    now, before = present.counts(), Counter[Group]() if previous is None else previous.counts()
    groups = now.keys() | before.keys()
    if not groups and _names_its_group(question):
        groups = {_only_group(question)}
    if question.interval is not None:
        return sorted(groups)
    return sorted(groups, key=lambda group: (group.rest_of, -now[group], -before[group], group))


def _lines(question: Question, present: Period, previous: Period | None, groups: list[Group]) -> Iterator[Line]:
    cells = present.values()
    cells_before = None if previous is None else previous.values()
    nothing = {name: of_nothing(name) for name in question.names}
    for bucket, start in enumerate(present.starts):
        named = None if question.interval is None else start
        for group in groups:
            before = None if cells_before is None else cells_before.get((group, bucket), nothing)
            yield Line(group, named, cells.get((group, bucket), nothing), before)


def _names_its_group(question: Question) -> bool:
    """Whether there is a row even without an event: the only group there can be is known."""
    named = {"event_type": question.event_type, "client_id": question.client_id}
    return all(named.get(name) is not None for name in question.groups)


def _only_group(question: Question) -> Group:
    return Group(
        event_type=(question.event_type or "") if "event_type" in question.groups else "",
        client_id=(question.client_id or "") if "client_id" in question.groups else "",
    )


def too_many_rows(max_rows: int) -> Problem:
    """The answer would be too large."""
    detail = (
        f"the answer would have more than {max_rows} rows: narrow 'from' and 'to', take a longer 'interval', or 'top'"
    )
    return Problem("invalid-query", detail, errors=[FieldError("/query/interval", detail)])
