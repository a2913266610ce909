"""Filters on payloads, as they are written in a query string and in a JSON body.

``payload.<path>=value`` is equal; ``payload.<path>.<operator>=value`` with ``in`` (values separated by commas, quoted
as in CSV), ``exists`` (true or false), ``gt``, ``gte``, ``lt``, ``lte``. All must hold. A key that is named like an
operator is quoted: ``payload.a."gt"``. In a body the same names are members of an object, all of which must hold;
``and`` and ``or`` are lists of such objects.

A value written as text is equal to that text, and to that number; gt and the like compare it as a number if it is one,
as a time if it is an RFC 3339 time (with strings that are such times), else as text by code points. A number or a
boolean of a body is equal to nothing but that.
"""

import csv
from collections.abc import Iterable
from typing import Any, Final

from analytics_api.queries.conditions import NUMBER, AllOf, AnyOf, Comparison, Condition, Operand, Operator
from analytics_api.queries.payload_path import PREFIX, check_storable, split_path
from shared.problems import FieldError, Problem
from shared.rfc_3339 import parse_time

MAX_FILTERS: Final = 32
MAX_VALUES: Final = 100
MAX_NESTING: Final = 5
_ALLOWED: Final = "a member is unknown; allowed are: and, or, payload.<path>, payload.<path>.<operator>"


def read_payload_filters(parameters: Iterable[tuple[str, str]]) -> AllOf:
    """The filters among the query's parameters. Raises Problem invalid-query."""
    comparisons: list[Condition] = []
    for name, value in parameters:
        if name.startswith(PREFIX):
            try:
                comparisons.append(_comparison(name, value, is_text=True))
                if len(comparisons) > MAX_FILTERS:
                    raise ValueError(f"there are more than {MAX_FILTERS}")
            except ValueError as fault:
                raise _refused("/query/payload", str(fault)) from None
    return AllOf(tuple(comparisons))


def read_filter_tree(tree: object, pointer: str) -> Condition:
    """A filter of a JSON body; ``pointer`` is its place there. Raises Problem invalid-query."""
    return _TreeReader().read(tree, pointer, 1)


class _TreeReader:
    """Reads one tree, counting its comparisons."""

    def __init__(self) -> None:
        self._count = 0

    def read(self, tree: object, pointer: str, depth: int) -> Condition:
        if not isinstance(tree, dict) or not tree:
            raise _refused(pointer, "must be an object with at least one member")
        if depth > MAX_NESTING:
            raise _refused(pointer, f"is nested more than {MAX_NESTING} deep")
        parts = tuple(self._member(name, value, pointer, depth) for name, value in tree.items())
        return parts[0] if len(parts) == 1 else AllOf(parts)

    def _member(self, name: str, value: object, pointer: str, depth: int) -> Condition:
        if name in ("and", "or"):
            return self._list(name, value, f"{pointer}/{name}", depth)
        if not name.startswith(PREFIX):
            raise _refused(pointer, _ALLOWED)
        self._count += 1
        if self._count > MAX_FILTERS:
            raise _refused(pointer, f"there are more than {MAX_FILTERS} comparisons")
        try:
            return _comparison(name, value, is_text=False)
        except ValueError as fault:
            raise _refused(pointer, str(fault)) from None

    def _list(self, name: str, parts: object, pointer: str, depth: int) -> Condition:
        if not isinstance(parts, list) or not parts:
            raise _refused(pointer, "must be a list of at least one object")
        read = tuple(self.read(part, f"{pointer}/{place}", depth + 1) for place, part in enumerate(parts))
        return AllOf(read) if name == "and" else AnyOf(read)


def _comparison(name: str, value: object, *, is_text: bool) -> Comparison:
    parts = split_path(name)
    operator = Operator.EQUAL
    if len(parts) > 1 and not parts[-1].is_quoted and parts[-1].key in set(Operator):
        operator = Operator(parts.pop().key)
    keys = tuple(part.key for part in parts)
    match operator:
        case Operator.EXISTS:
            return Comparison(keys, operator, wanted=_flag(value, is_text=is_text))
        case Operator.IN:
            return Comparison(keys, operator, tuple(map(_operand, _values(value, is_text=is_text))))
        case Operator.EQUAL:
            return Comparison(keys, operator, (_operand(value),))
    return Comparison(keys, operator, (_bound(value),))


def _flag(value: object, *, is_text: bool) -> bool:
    flag = {"true": True, "false": False}.get(str(value)) if is_text else value
    if not isinstance(flag, bool):
        raise ValueError("'exists' must be true or false")
    return flag


def _values(value: object, *, is_text: bool) -> list[Any]:
    if is_text:
        rows = list(csv.reader([check_storable(str(value))], strict=False))
        values: list[Any] = rows[0] if rows else []
    elif isinstance(value, list):
        values = value
    else:
        raise ValueError("'in' must be a list of values")
    if not 1 <= len(values) <= MAX_VALUES:
        raise ValueError(f"'in' must have 1 to {MAX_VALUES} values")
    return values


def _operand(value: object) -> Operand:
    match value:
        case bool():
            return Operand(json="true" if value else "false")
        case int() | float():
            return Operand(json=_number(value))
        case str():
            return Operand(text=check_storable(value), json=value if NUMBER.fullmatch(value) else None)
    raise ValueError("a value must be a string, a number or a boolean; for null ask 'exists'")


def _bound(value: object) -> Operand:
    """What greater and less compare with: of number, time and text, the first that it is."""
    operand = _operand(value)
    if isinstance(value, bool):
        raise ValueError("a boolean is neither greater nor less than anything")
    if operand.text is None or operand.json is not None:
        return Operand(json=operand.json)
    try:
        return Operand(time=parse_time(operand.text))
    except ValueError:
        return Operand(text=operand.text)


def _number(value: int | float) -> str:
    written = repr(value) if abs(value) < 10**31 or isinstance(value, float) else ""
    if not NUMBER.fullmatch(written):
        raise ValueError("a number must be finite, and have at most 31 digits")
    return written


def _refused(pointer: str, fault: str) -> Problem:
    return Problem("invalid-query", f"a payload filter is invalid: {fault}", errors=[FieldError(pointer, fault)])
