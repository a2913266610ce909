"""Rows in, chunks out: an export in memory that does not grow with it, as CSV or as one JSON document a line.

Rows come page by page, and a page is in memory at a time; the next one is asked for when the client has taken most of
this one. The first page is read before the answer begins, so that a bad question still gets its problem document. When
a later one fails, the answer is cut off without its end, which every client notices.
"""

import csv
import io
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Literal

import orjson
from fastapi.responses import StreamingResponse

Format = Literal["csv", "ndjson"]
Rows = Sequence[Mapping[str, Any]]

_MEDIA_TYPES: Final[dict[Format, str]] = {"csv": "text/csv; charset=utf-8", "ndjson": "application/x-ndjson"}
_OPTIONS: Final = orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE


async def export_answer(
    pages: AsyncIterator[Rows], columns: Sequence[str], form: Format, name: str
) -> StreamingResponse:
    """The response with all rows of the pages, of which each row has the columns. Raises what the first page raises."""
    try:
        first = await anext(pages)
    except StopAsyncIteration:
        first = ()
    encode = encoder(form, columns)

    async def chunks() -> AsyncIterator[bytes]:
        if form == "csv":
            yield _csv_line(columns)
        if first:
            yield encode(first)
        async for rows in pages:
            yield encode(rows)

    headers = {"cache-control": "no-store", "content-disposition": f'attachment; filename="{name}.{form}"'}
    return StreamingResponse(chunks(), media_type=_MEDIA_TYPES[form], headers=headers)


def encoder(form: Format, columns: Sequence[str]) -> Callable[[Rows], bytes]:
    """What turns rows into bytes; of CSV without the line of names."""
    if form == "csv":
        return lambda rows: b"".join(_csv_line([_cell(row[column]) for column in columns]) for row in rows)
    return lambda rows: b"".join(
        orjson.dumps({column: row[column] for column in columns}, option=_OPTIONS) for row in rows
    )


def _csv_line(cells: Sequence[str]) -> bytes:
    """As RFC 4180 has it."""
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue().encode()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, str):
        return value
    return orjson.dumps(value).decode()
