"""Times as callers write them: RFC 3339 with an offset, and nothing else."""

import re
from datetime import UTC, datetime
from typing import Annotated, Final

from pydantic import BeforeValidator, WithJsonSchema

MIN_YEAR: Final = 1900
MAX_YEAR: Final = 2999
_RFC_3339: Final = re.compile(
    # A '+' that was not escaped in a query arrives as a space; nothing else can be meant.
    r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(\.\d+)?(Z|[+ -]\d\d:\d\d)",
    re.ASCII | re.IGNORECASE,
)
_HINT: Final = "must be an RFC 3339 time with an offset, such as 2026-01-31T12:00:00Z"


def parse_time(value: object) -> datetime:
    """An RFC 3339 time in UTC, to the microsecond; a datetime is taken as it is.

    Raises ValueError for all else, numbers too (seconds or milliseconds?), and for years far away.
    """
    if isinstance(value, datetime):
        return value
    match = _RFC_3339.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(_HINT)
    day, seconds, fraction, offset = match.groups()
    try:
        time = datetime.fromisoformat(f"{day}T{seconds}{(fraction or '')[:7]}{offset.replace(' ', '+').upper()}")
    except ValueError:
        raise ValueError(_HINT) from None
    if not MIN_YEAR <= time.year <= MAX_YEAR:
        raise ValueError(f"must lie in the years {MIN_YEAR} to {MAX_YEAR}")
    return time.astimezone(UTC)


Time = Annotated[datetime, BeforeValidator(parse_time), WithJsonSchema({"type": "string", "format": "date-time"})]
"""Such a time as a field or parameter of pydantic."""
