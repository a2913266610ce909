"""What is calculated for each group: its name in the question, its SQL, and how its value reads."""

import re
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

import orjson
from psycopg import sql

from analytics_api.queries.bindings import Bindings

PERCENTILE: Final = re.compile(r"p([0-9]{1,2}(?:\.[0-9]{1,3})?)", re.ASCII)


class FieldUse(Enum):
    """How a measure uses its field."""

    NUMBER = "number"
    SIMPLE = "simple"


@dataclass(frozen=True, slots=True)
class Measure:
    """One measure of one field; ``field`` is as the caller wrote it."""

    name: str
    field: str
    keys: tuple[str, ...]

    @property
    def use(self) -> FieldUse:
        return FieldUse.SIMPLE if self.name == "count_unique" else FieldUse.NUMBER


_AGGREGATES: Final = {
    "count_unique": sql.SQL("count(DISTINCT {})"),
    "sum": sql.SQL("trim_scale(coalesce(sum({}), 0))::text"),
    "avg": sql.SQL("trim_scale(avg({}))::text"),
    "min": sql.SQL("min({})::text"),
    "max": sql.SQL("max({})::text"),
}
NAMES: Final = tuple(_AGGREGATES)
_PERCENTILE_SQL: Final = sql.SQL("percentile_cont({}::float8) WITHIN GROUP (ORDER BY ({})::float8)")


def is_measure(name: str) -> bool:
    """Whether a parameter of this name is a measure of a field."""
    return name in _AGGREGATES or PERCENTILE.fullmatch(name) is not None


def aggregate_sql(measure: Measure, column: sql.Composable, bindings: Bindings) -> sql.Composable:
    """The aggregate over a column made by ``number_sql`` or ``simple_sql``. Exact numbers come as text."""
    percentile = PERCENTILE.fullmatch(measure.name)
    if percentile is None:
        return _AGGREGATES[measure.name].format(column)
    return _PERCENTILE_SQL.format(bindings.bind(float(percentile[1]) / 100), column)


def as_json(value: Any) -> Any:
    """A measure's value for a JSON answer: exact numbers are passed through as PostgreSQL wrote them."""
    return orjson.Fragment(value) if isinstance(value, str) else value


def of_nothing(name: str) -> Any:
    """A measure over no events at all."""
    return {"count": 0, "count_unique": 0, "sum": "0"}.get(name)
