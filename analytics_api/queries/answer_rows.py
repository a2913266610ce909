"""Cells, as they were measured, made into the rows of an answer: ordered, and series without holes."""

from collections import Counter
from collections.abc import Iterable, Iterator
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
    """A row of the answer."""

    group: Group
    bucket: datetime | None
    values: dict[str, Any]


@dataclass(slots=True)
class Period:
    """What was measured over one range; ``starts`` are the first moments of its buckets."""

    starts: list[datetime]
    cells: list[Cell] = field(default_factory=list)

    @property
    def total(self) -> int:
        return sum(cell.values["count"] for cell in self.cells)


def groups_of(question: Question, periods: Iterable[Period]) -> list[Group]:
    """The groups of the answer, in its order: all periods of it have them all. The rest is last.

    A series is ordered by name, all else by count in the first of the periods.
    """
    counts: Counter[Group] = Counter()
    for number, period in enumerate(periods):
        for cell in period.cells:
            counts[cell.group] += cell.values["count"] if number == 0 else 0
    if not counts and _names_its_group(question):
        counts[_only_group(question)] = 0
    if question.interval is not None:
        return sorted(counts)
    return sorted(counts, key=lambda group: (group.rest_of, -counts[group], group))


def lines(question: Question, period: Period, groups: list[Group], max_rows: int) -> list[Line]:
    """Every group, in every bucket of a series. Raises Problem invalid-query for more than ``max_rows``."""
    if len(groups) * len(period.starts) > max_rows:
        raise too_many_rows(max_rows)
    return list(_lines(question, period, groups))


def _lines(question: Question, period: Period, groups: list[Group]) -> Iterator[Line]:
    cells = {(cell.group, cell.bucket): cell.values for cell in period.cells}
    nothing = {name: of_nothing(name) for name in question.names}
    for bucket, start in enumerate(period.starts):
        named = None if question.interval is None else start
        for group in groups:
            yield Line(group, named, cells.get((group, bucket), nothing))


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
