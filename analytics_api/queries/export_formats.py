"""Events as the bytes of an export: one page of rows after another in, pieces of a file out."""

import importlib.util
from typing import Final, Protocol

import orjson

from analytics_api.event_lookup import describe_stored
from analytics_api.queries.csv_lines import MEDIA_TYPE as CSV_TYPE
from analytics_api.queries.csv_lines import csv_lines, safe_text
from analytics_api.reader import Row
from shared.problems import FieldError, Problem

FORMATS: Final = ("ndjson", "csv", "parquet")
COLUMNS: Final = (
    "client_id", "event_id", "event_type", "occurred_at", "received_at", "stored_at", "payload", "context",
)  # fmt: skip
_TEXTS: Final = frozenset(("client_id", "event_id", "event_type"))


class ExportFormat(Protocol):
    """Writes one file. Not for two at a time."""

    media_type: str
    suffix: str

    def head(self) -> bytes:
        """What comes before all rows."""

    def page(self, rows: list[Row]) -> bytes:
        """More rows; may be kept back for a later piece."""

    def tail(self) -> bytes:
        """What ends the file: what is not followed by it, is not whole."""


class NdjsonFormat:
    """A JSON object a line, as the list of events has them."""

    media_type = "application/x-ndjson"
    suffix = "ndjson"

    def head(self) -> bytes:
        return b""

    def page(self, rows: list[Row]) -> bytes:
        options = orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE
        return b"".join([orjson.dumps(describe_stored(row), option=options) for row in rows])

    def tail(self) -> bytes:
        return b""


class CsvFormat:
    """A line an event; payload and context are JSON text. See csv_lines for texts that look like formulas."""

    media_type = CSV_TYPE
    suffix = "csv"

    def head(self) -> bytes:
        return csv_lines([COLUMNS]).encode()

    def page(self, rows: list[Row]) -> bytes:
        return csv_lines([[_cell(name, row) for name in COLUMNS] for row in rows]).encode()

    def tail(self) -> bytes:
        return b""


def open_format(name: str) -> ExportFormat:
    """A writer. Raises Problem invalid-query for Parquet where pyarrow is not installed."""
    if name == "ndjson":
        return NdjsonFormat()
    if name == "csv":
        return CsvFormat()
    if importlib.util.find_spec("pyarrow") is None:
        detail = "parquet needs the server's extra: pip install 'weir-events[parquet]'; without it: ndjson, csv"
        raise Problem("invalid-query", detail, errors=[FieldError("/query/format", detail)])
    from analytics_api.queries.parquet_format import ParquetFormat

    return ParquetFormat()


def _cell(name: str, row: Row) -> str:
    if name in _TEXTS:
        return safe_text(row[name])
    if name.endswith("_at"):
        text: str = row[name].isoformat().replace("+00:00", "Z")
        return text
    payload: str = row[name]  # an object: begins with a brace
    return payload
