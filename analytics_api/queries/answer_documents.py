"""Answers as JSON and as CSV."""

from datetime import datetime
from typing import Any, Final

import orjson
from fastapi import Response

from analytics_api.json_answer import json_answer
from analytics_api.queries.answer_rows import Line
from analytics_api.queries.csv_lines import MEDIA_TYPE, csv_lines, safe_text
from analytics_api.queries.event_measures import Measured, MeasuredRange
from analytics_api.queries.measures import as_json
from analytics_api.queries.query_form import GROUPS
from analytics_api.queries.question import Question

CSV_TOO: Final[dict[int | str, dict[str, Any]]] = {200: {"content": {"text/csv": {"schema": {"type": "string"}}}}}
"""What routes say of their second format."""


def answer_json(question: Question, measured: Measured) -> Response:
    """``rows`` over the range, and ``previous`` over the time before when it was asked for."""
    document: dict[str, Any] = {
        "interval": question.interval,
        "tz": question.zone.key,
        "group_by": question.groups,
        "measures": {"count": None} | {measure.name: measure.field for measure in question.measures},
        "source": measured.source,
        "ignored": measured.ignored,
        **_range_document(question, measured.present),
    }
    if measured.previous is not None:
        document["previous"] = _range_document(question, measured.previous)
    return json_answer(document)


def answer_csv(question: Question, measured: Measured) -> Response:
    """The rows; with a previous period, a first column ``period`` tells whose they are."""
    periods = {"present": measured.present} | ({} if measured.previous is None else {"previous": measured.previous})
    head = [*question.groups, *([] if question.top is None else ["rest_of"])]
    head += [*(["bucket"] if question.interval else []), *question.names]
    rows: list[list[Any]] = [["period", *head] if question.compares else head]
    for period, measured_range in periods.items():
        for line in measured_range.lines:
            cells = _cells(question, line)
            rows.append([period, *cells] if question.compares else cells)
    return csv_response(rows)


def csv_response(rows: list[list[Any]]) -> Response:
    """A whole CSV answer."""
    return Response(csv_lines(rows), headers={"cache-control": "no-store", "content-type": MEDIA_TYPE})


def _range_document(question: Question, measured: MeasuredRange) -> dict[str, Any]:
    rows = [_row(question, line) for line in measured.lines]
    return {"from": measured.asked.start, "to": measured.asked.end, "total": measured.total, "rows": rows}


def _row(question: Question, line: Line) -> dict[str, Any]:
    row: dict[str, Any] = {name: _named(line, name) for name in question.groups}
    if question.top is not None:
        row["rest_of"] = line.group.rest_of
    if line.bucket is not None:
        row["bucket"] = local(line.bucket, question)
    return row | {name: as_json(value) for name, value in line.values.items()}


def _named(line: Line, name: str) -> Any:
    if line.group.rest_of:
        return None
    return getattr(line.group, name) if name in GROUPS else orjson.Fragment(line.group.value)


def _cells(question: Question, line: Line) -> list[Any]:
    cells: list[Any] = [_named_cell(line, name) for name in question.groups]
    cells += [] if question.top is None else [line.group.rest_of]
    cells += [] if line.bucket is None else [local(line.bucket, question)]
    return cells + [line.values[name] for name in question.names]


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
