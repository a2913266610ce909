"""Query parameters: strict kinds of values, and the refusal of names that a call does not know."""

import re
from collections.abc import Awaitable, Callable, Collection
from typing import Annotated, Final

from fastapi import Request
from pydantic import AfterValidator, BaseModel, Field, StringConstraints

from analytics_api.calendar_buckets import zone_names
from analytics_api.tenancy import Reading
from shared.api_keys import CLIENT_ID_PATTERN, ApiKey
from shared.problems import FieldError, Problem
from shared.rfc_3339 import Time


def known_zone(name: str) -> str:
    """The name. Raises ValueError when it is no time zone."""
    if name not in zone_names():
        raise ValueError("must be an IANA time zone, such as Europe/Berlin")
    return name


def refuse_nul(value: str) -> str:
    """The value. Raises ValueError when it holds NUL, which PostgreSQL's text cannot."""
    if "\x00" in value:
        raise ValueError("must not hold the character NUL")
    return value


_WITHOUT_NUL: Final = Field(json_schema_extra={"pattern": r"^[^\u0000]*$"})
Text = Annotated[str, StringConstraints(min_length=1, max_length=256), AfterValidator(refuse_nul), _WITHOUT_NUL]
EventId = Annotated[str, StringConstraints(min_length=1, max_length=128), AfterValidator(refuse_nul), _WITHOUT_NUL]
EventType = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9._:/-]{1,128}$"),
    Field(description="1 to 128 of letters, digits and . _ : / -"),
]
ClientId = Annotated[
    str,
    StringConstraints(pattern=CLIENT_ID_PATTERN),
    Field(description="One client; keys of scope `read` may name none but their own."),
]
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
    model: type[BaseModel],
    prefix: str | None = None,
    pattern: re.Pattern[str] | None = None,
    several: Collection[str] = (),
) -> Callable[[Request, ApiKey], Awaitable[None]]:
    """A dependency that refuses parameters that ``model`` has not (but names that begin with ``prefix``, or are of the
    ``pattern``), and one given twice, unless it is of ``several``. Raises Problem invalid-query, which names what is
    allowed; before that, unauthenticated and forbidden: a stranger is not told what is wrong with the question.
    """
    known = [field.alias or name for name, field in model.model_fields.items()]
    allowed = ", ".join(sorted(known)) + (f", {prefix}…" if prefix else "") or "none"

    unknown = FieldError("/query", f"a parameter is unknown; allowed are: {allowed}")

    async def dependency(request: Request, _: Reading) -> None:
        errors, seen = [], set()
        for name in (name for name, _ in request.query_params.multi_items()):
            if prefix and name.startswith(prefix):
                continue
            if name not in known and not (pattern and pattern.fullmatch(name)):
                if unknown not in errors:  # once: the list of what is allowed is long
                    errors.append(unknown)
            elif name in seen and name not in several:
                errors.append(FieldError(f"/query/{name}", "is given more than once"))
            seen.add(name)
        if errors:
            raise Problem("invalid-query", f"{errors[0].pointer} {errors[0].detail}", errors=errors)

    return dependency
