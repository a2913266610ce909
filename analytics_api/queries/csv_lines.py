"""CSV as RFC 4180 has it, with a header line, safe to open in a spreadsheet.

A text that begins with ``= + - @``, a tab or a line break would be taken for a formula: it gets an apostrophe before
it, as OWASP advises. Numbers are written as they are. Who reads by program, and minds, takes JSON or NDJSON.
"""

import csv
from collections.abc import Iterable
from io import StringIO
from typing import Any, Final

MEDIA_TYPE: Final = "text/csv; charset=utf-8; header=present"
_FORMULA_BEGINNINGS: Final = ("=", "+", "-", "@", "\t", "\r", "\n")


def safe_text(text: str) -> str:
    """The text as a cell that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(_FORMULA_BEGINNINGS) else text


def csv_lines(rows: Iterable[Iterable[Any]]) -> str:
    """Lines of cells; the caller makes texts safe, None is an empty cell."""
    text = StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()
