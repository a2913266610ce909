"""Query parameters: strict kinds of values, and the refusal of names that a call does not know."""

import re
from collections.abc import Awaitable, Callable, Collection
from datetime import UTC, datetime
from typing import Annotated, Final

from fastapi import Request
from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, StringConstraints, WithJsonSchema

from shared.problems import FieldError, Problem

MIN_YEAR: Final = 1900
MAX_YEAR: Final = 2999
_RFC_3339: Final = re.compile(
    # A '+' that was not escaped arrives as a space; nothing else can be meant.
    r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(\.\d+)?(Z|[+ -]\d\d:\d\d)",
    re.ASCII | re.IGNORECASE,
)
_TIME_HINT: Final = "must be an RFC 3339 time with an offset, such as 2026-01-31T12:00:00Z"


def parse_time(value: object) -> datetime:
    """An RFC 3339 time in UTC, to the microsecond. Raises ValueError for others, and for years far away."""
    if isinstance(value, datetime):
        return value
    match = _RFC_3339.fullmatch(str(value))
    if match is None:
        raise ValueError(_TIME_HINT)
    day, seconds, fraction, offset = match.groups()
    try:
        time = datetime.fromisoformat(f"{day}T{seconds}{(fraction or '')[:7]}{offset.replace(' ', '+').upper()}")
    except ValueError:
        raise ValueError(_TIME_HINT) from None
    if not MIN_YEAR <= time.year <= MAX_YEAR:
        raise ValueError(f"must lie in the years {MIN_YEAR} to {MAX_YEAR}")
    return time.astimezone(UTC)


def refuse_nul(value: str) -> str:
    """The value. Raises ValueError when it holds NUL, which PostgreSQL's text cannot."""
    if "\x00" in value:
        raise ValueError("must not hold the character NUL")
    return value


Time = Annotated[datetime, BeforeValidator(parse_time), WithJsonSchema({"type": "string", "format": "date-time"})]
Text = Annotated[str, StringConstraints(min_length=1, max_length=256), AfterValidator(refuse_nul)]
EventId = Annotated[str, StringConstraints(min_length=1, max_length=128), AfterValidator(refuse_nul)]
EventType = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9._:/-]{1,128}$"),
    Field(description="1 to 128 of letters, digits and . _ : / -"),
]
ClientId = Annotated[Text, Field(description="One client; keys of scope `read` may name none but their own.")]
Cursor = Annotated[
    str, StringConstraints(max_length=1024), Field(description="The `next_cursor` of the page before; same filters.")
]


class RangeParameters(BaseModel):
    """``from`` and ``to``, half-open; the last 24 hours when neither is given."""

    from_: Annotated[Time | None, Field(alias="from", description="First moment. Default: a day before `to`.")] = None
    to: Annotated[Time | None, Field(description="First moment after the range. Default: now.")] = None
    client_id: ClientId | None = None


class PageParameters(RangeParameters):
    """A range read page by page."""

    limit: Annotated[int, Field(ge=1, le=1000)] = 50
    cursor: Cursor | None = None


def only_known(
    model: type[BaseModel], prefix: str | None = None, several: Collection[str] = ()
) -> Callable[[Request], Awaitable[None]]:
    """A dependency that refuses parameters that ``model`` has not (names that begin with ``prefix`` excepted), and
    one given twice, unless it is of ``several``. Raises Problem invalid-query, which names what is allowed.
    """
    known = [field.alias or name for name, field in model.model_fields.items()]
    allowed = ", ".join(sorted(known)) + (f", {prefix}…" if prefix else "") or "none"

    async def dependency(request: Request) -> None:
        errors, seen = [], set()
        for name in (name for name, _ in request.query_params.multi_items()):
            if prefix and name.startswith(prefix):
                continue
            if name not in known:
                errors.append(FieldError("/query", f"a parameter is unknown; allowed are: {allowed}"))
            elif name in seen and name not in several:
                errors.append(FieldError(f"/query/{name}", "is given more than once"))
            seen.add(name)
        if errors:
            raise Problem("invalid-query", f"{errors[0].pointer} {errors[0].detail}", errors=errors)

    return dependency
