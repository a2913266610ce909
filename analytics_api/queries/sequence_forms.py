"""Forms of questions about what follows what: funnels and retention. JSON bodies only, for steps nest."""

from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictInt, StringConstraints

from analytics_api.parameters import EventType, RangeParameters
from analytics_api.queries.payload_path import keys_of
from analytics_api.queries.query_form import Answer, Zone

MAX_STEPS: Final = 10
MAX_WINDOW_SECONDS: Final = 366 * 86_400


def _known_key(name: str) -> str:
    if name != "client_id":
        keys_of(name)
    return name


Key = Annotated[
    str,
    StringConstraints(min_length=1, max_length=1024),
    AfterValidator(_known_key),
    Field(description="Who: `payload.<path>`, per client; or `client_id`.", examples=["payload.user_id"]),
]


class Selection(BaseModel):
    """Events of a type, of a filter, or of both. Flat ``payload.…`` members filter, too."""

    model_config = ConfigDict(extra="allow")

    event_type: EventType | None = None
    filter: dict[str, Any] | None = None


class FunnelBody(RangeParameters):
    """Ordered steps, by one key, within a window from the first step to the last."""

    model_config = ConfigDict(extra="forbid")

    by: Key
    window_seconds: Annotated[StrictInt, Field(ge=1, le=MAX_WINDOW_SECONDS)] = 86_400
    steps: Annotated[list[Selection], Field(min_length=2, max_length=MAX_STEPS)]
    format: Answer = "json"


class RetentionBody(RangeParameters):
    """Cohorts by the period of a key's first event in the range, and who came back when."""

    model_config = ConfigDict(extra="forbid")

    by: Key
    interval: Literal["day", "week"] = "day"
    tz: Zone = "UTC"
    first: Annotated[Selection, Field(description="What makes a key a member; any event if left out.")] = Selection()
    returning: Annotated[Selection, Field(description="What counts as a return; any event if left out.")] = Selection()
    format: Answer = "json"
