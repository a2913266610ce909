"""Answers as JSON and as CSV."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import orjson
from fastapi import Response

from analytics_api.comparison import compared, comparing_cells, comparing_columns, previous_range
from analytics_api.json_answer import json_answer
from analytics_api.queries.answer_rows import Line
from analytics_api.queries.csv_lines import MEDIA_TYPE, csv_lines, safe_text
from analytics_api.queries.event_measures import Measured
from analytics_api.queries.measures import as_json
from analytics_api.queries.query_form import GROUPS
from analytics_api.queries.question import Question

CSV_TOO: Final[dict[int | str, dict[str, Any]]] = {200: {"content": {"text/csv": {"schema": {"type": "string"}}}}}
"""What routes say of their second format."""


def answer_json(question: Question, measured: Measured) -> Response:
    """``rows`` over the range; when it was asked for, each with what was there one length of the range before."""
    document: dict[str, Any] = {
        "from": question.asked.start,
        "to": question.asked.end,
        "interval": question.interval,
        "tz": question.zone.key,
        "group_by": question.groups,
        "measures": {"count": None} | {measure.name: measure.field for measure in question.measures},
        "source": measured.source,
        "ignored": measured.ignored,
        "total": measured.total,
    }
    if question.compares:
        before = previous_range(question.asked)
        document["previous"] = {"from": before.start, "to": before.end, "total": measured.previous_total}
    return json_answer(document | {"rows": [_row(question, line) for line in measured.lines]})


def answer_csv(question: Question, measured: Measured) -> Response:
    """The rows, with the same columns as the members of a JSON row, flat."""
    head = [*question.groups, *([] if question.top is None else ["rest_of"])]
    head += [*(["bucket"] if question.interval else []), *question.names]
    head += comparing_columns(list(question.names)) if question.compares else []
    return csv_response([head, *(_cells(question, line) for line in measured.lines)])


def csv_response(rows: list[list[Any]]) -> Response:
    """A whole CSV answer."""
    return Response(csv_lines(rows), headers={"cache-control": "no-store", "content-type": MEDIA_TYPE})


def _row(question: Question, line: Line) -> dict[str, Any]:
    row: dict[str, Any] = {name: _named(line, name) for name in question.groups}
    if question.top is not None:
        row["rest_of"] = line.group.rest_of
    if line.bucket is not None:
        row["bucket"] = local(line.bucket, question)
    row |= _as_json(line.values)
    return (
        row
        if line.previous is None
        else row | compared(line.values, line.previous) | {"previous": _as_json(line.previous)}
    )


def _as_json(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: as_json(value) for name, value in values.items()}


def _named(line: Line, name: str) -> Any:
    if line.group.rest_of:
        return None
    return getattr(line.group, name) if name in GROUPS else orjson.Fragment(line.group.value)


def _cells(question: Question, line: Line) -> list[Any]:
    cells: list[Any] = [_named_cell(line, name) for name in question.groups]
    cells += [] if question.top is None else [line.group.rest_of]
    cells += [] if line.bucket is None else [local(line.bucket, question)]
    cells += line.values.values()
    return cells if line.previous is None else cells + comparing_cells(line.values, line.previous)


def _named_cell(line: Line, name: str) -> Any:
    if line.group.rest_of:
        return None
    if name in GROUPS:
        return safe_text(getattr(line.group, name))
    if not line.group.value.startswith('"'):
        return None if line.group.value == "null" else line.group.value
    return safe_text(orjson.loads(line.group.value))


def local(moment: datetime, question: Question) -> str:
    """A moment as the clocks of the question's zone show it."""
    return moment.astimezone(question.zone).isoformat()
