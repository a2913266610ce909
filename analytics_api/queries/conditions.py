"""Conditions on payloads: a tree of comparisons, and the tree as SQL.

What is not there, and JSON's null, satisfies nothing but "does not exist".
"""

import re
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from psycopg import sql

from analytics_api.queries.bindings import Bindings

NUMBER: Final = re.compile(r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?", re.ASCII)
"""The numbers that may be asked for; what is longer is text."""

_DATE: Final = (
    "(?!0000)(?:[0-9]{4}-(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)"
    "|(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)-02-29)"
)
TIME_PATTERN: Final = (
    f"^{_DATE}[Tt ](?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:[.][0-9]{{1,20}})?"
    "(?:[Zz]|[+-](?:0[0-9]|1[0-4]):[0-5][0-9])$"
)
"""RFC 3339 times that PostgreSQL's cast takes without an error: one bad string must not end the whole query, and
``pg_input_is_valid`` came with PostgreSQL 16 only."""


class Operator(StrEnum):
    """How a value is compared."""

    EQUAL = "eq"
    IN = "in"
    EXISTS = "exists"
    GREATER = "gt"
    GREATER_OR_EQUAL = "gte"
    LESS = "lt"
    LESS_OR_EQUAL = "lte"


@dataclass(frozen=True, slots=True)
class Operand:
    """What is compared with: as text, as JSON (numbers and booleans), as a time; None where it cannot be that."""

    text: str | None = None
    json: str | None = None
    time: datetime | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """One place in the payload, compared. ``operands`` has one, but for IN any number, and for EXISTS none."""

    keys: tuple[str, ...]
    operator: Operator
    operands: tuple[Operand, ...] = ()
    wanted: bool = True
    """For EXISTS: whether it should."""


@dataclass(frozen=True, slots=True)
class AllOf:
    """Every part holds; without parts it always holds."""

    parts: tuple["Condition", ...] = field(default=())


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one part holds."""

    parts: tuple["Condition", ...]


Condition = Comparison | AllOf | AnyOf

_SYMBOLS: Final = {
    Operator.GREATER: sql.SQL(">"),
    Operator.GREATER_OR_EQUAL: sql.SQL(">="),
    Operator.LESS: sql.SQL("<"),
    Operator.LESS_OR_EQUAL: sql.SQL("<="),
}


def condition_sql(condition: Condition, bindings: Bindings) -> sql.Composable:
    """The condition on the column ``payload``, as an expression in parentheses."""
    match condition:
        case AllOf(parts):
            return _joined(sql.SQL(" AND "), parts, bindings) if parts else sql.SQL("(true)")
        case AnyOf(parts):
            return _joined(sql.SQL(" OR "), parts, bindings)
        case Comparison():
            return _comparison(condition, bindings)


def _joined(word: sql.SQL, parts: tuple[Condition, ...], bindings: Bindings) -> sql.Composable:
    return sql.SQL("({})").format(word.join([condition_sql(part, bindings) for part in parts]))


def _comparison(comparison: Comparison, bindings: Bindings) -> sql.Composable:
    path = sql.SQL("{}::text[]").format(bindings.bind(list(comparison.keys)))
    match comparison.operator:
        case Operator.EXISTS:
            symbol = sql.SQL("<>") if comparison.wanted else sql.SQL("=")
            return sql.SQL("(coalesce(jsonb_typeof(payload #> {}), 'null') {} 'null')").format(path, symbol)
        case Operator.EQUAL | Operator.IN:
            return _one_of(path, comparison.operands, bindings)
        case _:
            return _ordered(path, _SYMBOLS[comparison.operator], comparison.operands[0], bindings)


def _one_of(path: sql.Composable, operands: tuple[Operand, ...], bindings: Bindings) -> sql.Composable:
    texts = [operand.text for operand in operands if operand.text is not None]
    jsons = [operand.json for operand in operands if operand.json is not None]
    parts: list[sql.Composable] = []
    if texts:
        parts.append(sql.SQL("payload #>> {} = ANY ({}::text[])").format(path, bindings.bind(texts)))
    if jsons:
        parts.append(sql.SQL("payload #> {} = ANY ({}::text[]::jsonb[])").format(path, bindings.bind(jsons)))
    return sql.SQL("({})").format(sql.SQL(" OR ").join(parts))


def _ordered(path: sql.Composable, symbol: sql.SQL, operand: Operand, bindings: Bindings) -> sql.Composable:
    if operand.json is not None:
        number = sql.SQL("(jsonb_typeof(payload #> {0}) = 'number' AND payload #> {0} {1} {2}::jsonb)")
        return number.format(path, symbol, bindings.bind(operand.json))
    if operand.time is not None:
        time = sql.SQL(
            "(CASE WHEN payload #>> {0} ~ {1}::text THEN (payload #>> {0})::timestamptz {2} {3}::timestamptz END)"
        )
        return time.format(path, bindings.bind(TIME_PATTERN), symbol, bindings.bind(operand.time))
    text = sql.SQL("(jsonb_typeof(payload #> {0}) = 'string' AND (payload #>> {0}) COLLATE \"C\" {1} {2}::text)")
    return text.format(path, symbol, bindings.bind(operand.text))
