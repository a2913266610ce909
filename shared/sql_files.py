"""SQL lives in ``.sql`` files beside its only caller, one query a file; this loads them."""

from functools import cache
from importlib.resources import files
from typing import LiteralString


@cache
def load_sql(package: str, name: str) -> LiteralString:
    """The text of ``<package>/sql/<name>.sql``. Raises FileNotFoundError for a name that is not there."""
    text: LiteralString = (files(package) / "sql" / f"{name}.sql").read_text()
    return text
