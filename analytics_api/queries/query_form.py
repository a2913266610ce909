"""The one form of a question: parameters of a query string, or members of a JSON body, by the same names.

from to client_id event_type       which events
payload.<path>[.<operator>]        which of them, see payload_filters; in a body also ``filter`` with and/or
count_unique sum avg min max pNN   what is calculated of a payload field, beside ``count``
interval tz                        a series without holes
group_by top                       event_type, client_id and at most one payload field; the largest N and the rest
compare=previous                   the same again over the time before
format                             json or csv
"""

from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, StrictInt, StringConstraints, WithJsonSchema

from analytics_api.calendar_buckets import Interval
from analytics_api.parameters import EventType, RangeParameters, known_zone
from analytics_api.queries.payload_path import PREFIX, keys_of

GROUPS: Final = ("event_type", "client_id")
MAX_TOP: Final = 1000


def _known_field(name: str) -> str:
    keys_of(name)
    return name


def _split(value: Any) -> Any:
    """Names of a list, or of texts in which commas separate them; a comma inside double quotes does not."""
    names: list[str] = []
    for text in value if isinstance(value, list | tuple) else [value]:
        if not isinstance(text, str) or len(text) > 4096:
            raise ValueError("must be names separated by commas, or a list of them")
        quoted, name = False, ""
        for character in text:
            quoted ^= character == '"'
            if character == "," and not quoted:
                names.append(name)
                name = ""
            else:
                name += character
        names.append(name)
    return tuple(names)


def _known_groups(names: tuple[str, ...]) -> tuple[str, ...]:
    if names == ("none",):
        return ()
    fields = [name for name in names if name not in GROUPS]
    if len(set(names)) != len(names) or not all(name.startswith(PREFIX) for name in fields) or len(fields) > 1:
        raise ValueError(
            "must be of event_type, client_id and one payload.<path>, each once, separated by commas; or none"
        )
    for name in fields:
        keys_of(name)
    return names


Zone = Annotated[str, AfterValidator(known_zone), Field(description="IANA time zone of the buckets.")]
PayloadField = Annotated[
    str,
    StringConstraints(min_length=1, max_length=1024),
    AfterValidator(_known_field),
    Field(description='`payload.<name>.<name>`; a name with dots is quoted: `payload."a.b"`.'),
]
Groups = Annotated[
    tuple[str, ...],
    BeforeValidator(_split),
    AfterValidator(_known_groups),
    Field(
        description="Of `event_type`, `client_id` and one `payload.<path>`; separated by commas, or a list in a body."
    ),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]
Answer = Literal["json", "csv"]


class QueryForm(RangeParameters):
    """A question. Beside the members below: ``payload.…`` filters, and any ``pNN`` from p0 to p99.999."""

    model_config = ConfigDict(extra="allow")

    event_type: EventType | None = None
    count_unique: Annotated[PayloadField | None, Field(examples=["payload.user_id"])] = None
    sum_: Annotated[PayloadField | None, Field(alias="sum", examples=["payload.amount"])] = None
    avg: PayloadField | None = None
    min_: Annotated[PayloadField | None, Field(alias="min")] = None
    max_: Annotated[PayloadField | None, Field(alias="max")] = None
    p50: PayloadField | None = None
    p95: PayloadField | None = None
    p99: PayloadField | None = None
    interval: Annotated[Interval | None, Field(description="Answer in buckets of this length, without holes.")] = None
    tz: Zone = "UTC"
    group_by: Groups = ()
    top: Annotated[
        int | None, Field(ge=1, le=MAX_TOP, description="Only the groups of most events; all others as one, the rest.")
    ] = None
    compare: Annotated[
        Literal["previous"] | None, Field(description="The same over the time of this length before, too.")
    ] = None
    format: Answer = "json"


class QueryBody(QueryForm):
    """A question as a JSON body: ``filter`` nests."""

    top: Annotated[StrictInt | None, Field(ge=1, le=MAX_TOP, description="As in the query string.")] = None
    filter: Annotated[
        dict[str, Any] | None,
        Field(
            examples=[{"or": [{"payload.plan": "pro"}, {"payload.amount.gt": 100, "payload.country.in": ["DE", "AT"]}]}]
        ),
    ] = None
