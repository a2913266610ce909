"""Filters on payloads: ``payload.user.id=5`` keeps events whose payload has 5, or the string "5", at user → id.

Several must all hold. A part of the path that is a number is a place in a list. Numbers are compared as numbers, all
else as text; ``null`` and what is not there never match.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from shared.problems import FieldError, Problem

PREFIX: Final = "payload."
MAX_FILTERS: Final = 8
_MAX_DEPTH: Final = 32
_MAX_CHARACTERS: Final = 1024
_NUMBER: Final = re.compile(r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class PayloadFilters:
    """The filters as three lists of one length, as ``list_events.sql`` takes them."""

    paths: list[str] = field(default_factory=list)
    """PostgreSQL's text form of a ``text[]``."""
    texts: list[str] = field(default_factory=list)
    numbers: list[str | None] = field(default_factory=list)
    """The value as JSON where it is a number."""


def read_payload_filters(parameters: Iterable[tuple[str, str]]) -> PayloadFilters:
    """The filters among the query's parameters. Raises Problem invalid-query."""
    filters = PayloadFilters()
    for name, value in parameters:
        if not name.startswith(PREFIX):
            continue
        path = name.removeprefix(PREFIX).split(".")
        fault = _fault(path, name, value) or ("there are more than 8" if len(filters.paths) >= MAX_FILTERS else "")
        if fault:
            raise Problem("invalid-query", f"a payload filter is invalid: {fault}", errors=[_error(fault)])
        filters.paths.append(array_literal(path))
        filters.texts.append(value)
        filters.numbers.append(value if _NUMBER.fullmatch(value) else None)
    return filters


def array_literal(parts: Iterable[str]) -> str:
    """``{"a","b"}``: the text form of a ``text[]``, every part quoted."""
    quoted = (part.replace("\\", "\\\\").replace('"', '\\"') for part in parts)
    return "{" + ",".join(f'"{part}"' for part in quoted) + "}"


def _fault(path: list[str], name: str, value: str) -> str:
    if not all(path):
        return "a part of the path is empty; write payload.<name>.<name>=value"
    if len(path) > _MAX_DEPTH:
        return f"the path is more than {_MAX_DEPTH} deep"
    if len(name) > _MAX_CHARACTERS or len(value) > _MAX_CHARACTERS:
        return f"it has more than {_MAX_CHARACTERS} characters"
    if "\x00" in name + value:
        return "it holds the character NUL"
    return ""


def _error(fault: str) -> FieldError:
    return FieldError("/query/payload", fault)
