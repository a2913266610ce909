"""Events chosen by type and payload, as SQL; and what bounds the questions that must look at them one by one."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Final

from psycopg import sql

from analytics_api.queries.bindings import Bindings
from analytics_api.queries.conditions import Condition, condition_sql
from analytics_api.queries.payload_path import PREFIX, keys_of
from analytics_api.queries.question import read_conditions, unknown_member
from analytics_api.queries.sequence_forms import Selection
from analytics_api.queries.simple_values import simple_sql
from analytics_api.time_range import TimeRange
from shared.problems import FieldError, Problem

MAX_RANGE: Final = timedelta(days=366)

Chosen = tuple[str | None, Condition]
"""A type, or any; and a condition."""


def read_selection(selection: Selection, pointer: str) -> Chosen:
    """The selection at this place of the body. Raises Problem invalid-query."""
    pairs = list((selection.model_extra or {}).items())
    if not all(name.startswith(PREFIX) for name, _ in pairs):
        raise unknown_member(Selection, pointer, f"{PREFIX}…")
    return selection.event_type, read_conditions(pairs, selection, pointer)


def selection_sql(chosen: Chosen, bindings: Bindings) -> sql.Composable:
    """The selection as an expression in parentheses."""
    event_type, condition = chosen
    if event_type is None:
        return condition_sql(condition, bindings)
    return sql.SQL("(event_type = {} AND {})").format(bindings.bind(event_type), condition_sql(condition, bindings))


def any_sql(expressions: Iterable[sql.Composable]) -> sql.Composable:
    """At least one of them holds."""
    return sql.SQL("({})").format(sql.SQL(" OR ").join(expressions))


def key_sql(by: str, bindings: Bindings) -> sql.Composable:
    """Whose event it is, as text; NULL where it has no simple value there."""
    if by == "client_id":
        return sql.SQL("client_id")
    return simple_sql(sql.SQL("payload #> {}::text[]").format(bindings.bind(keys_of(by))))


def check_range(asked: TimeRange) -> None:
    """Raises Problem invalid-query for a range that is too long."""
    if asked.end - asked.start > MAX_RANGE:
        detail = f"must be at most {MAX_RANGE.days} days before 'to'"
        raise Problem("invalid-query", f"'from' {detail}", errors=[FieldError("/body/from", detail)])


def check_picked(picked: int, max_picked: int) -> None:
    """Raises Problem invalid-query when there were more events than may be looked at."""
    if picked > max_picked:
        detail = (
            f"more than {max_picked} events are of this question: narrow 'from' and 'to', 'client_id' or the filters"
        )
        raise Problem("invalid-query", detail, errors=[FieldError("/body", detail)])
