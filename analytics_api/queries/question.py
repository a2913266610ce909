"""A question, checked: what the form said, as the engine takes it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final
from zoneinfo import ZoneInfo

from analytics_api.calendar_buckets import Interval
from analytics_api.payload_filters import read_filter_tree, read_payload_filters
from analytics_api.queries.conditions import AllOf, Condition
from analytics_api.queries.measures import PERCENTILE, Measure, is_measure
from analytics_api.queries.payload_path import PREFIX, keys_of
from analytics_api.queries.query_form import QueryForm
from analytics_api.time_range import TimeRange, resolve_range
from shared.problems import FieldError, Problem

MAX_MEASURES: Final = 12
_ALIASES: Final = {"from_": "from", "sum_": "sum", "min_": "min", "max_": "max"}


@dataclass(frozen=True, slots=True)
class Question:
    """Which events, what of them, and along what."""

    asked: TimeRange
    client_id: str | None
    event_type: str | None
    condition: Condition
    measures: tuple[Measure, ...]
    groups: tuple[str, ...]
    interval: Interval | None
    zone: ZoneInfo
    top: int | None
    compares: bool

    @property
    def group_field(self) -> str | None:
        """The payload field among the groups."""
        return next((name for name in self.groups if name.startswith(PREFIX)), None)

    @property
    def is_of_rollups(self) -> bool:
        """Whether rollups know all that is asked."""
        return not self.measures and self.condition == AllOf() and self.group_field is None

    @property
    def names(self) -> tuple[str, ...]:
        """The measures' columns."""
        return ("count", *(measure.name for measure in self.measures))


def read_question(form: QueryForm, client_id: str | None, extras: Iterable[tuple[str, Any]], place: str) -> Question:
    """The question of a form. ``extras`` are its members beyond the model, ``place`` is ``/query`` or ``/body``.

    Raises Problem invalid-query, which names the member and what is allowed.
    """
    pairs = list(extras)
    condition = read_conditions(pairs, form, place)
    known = form.model_dump(include=set(type(form).model_fields))
    written = {_ALIASES.get(name, name): value for name, value in known.items() if value is not None}
    for name, value in pairs:
        if not name.startswith(PREFIX):
            if not PERCENTILE.fullmatch(name):
                raise unknown_member(type(form), place)
            written[name] = value
    measures = tuple(_measure(name, value, place) for name, value in written.items() if is_measure(name))
    if len(measures) > MAX_MEASURES:
        raise refused(place, f"there are more than {MAX_MEASURES} measures")
    if form.top is not None and not form.group_by:
        raise refused(f"{place}/top", "is about groups: give 'group_by'")
    return Question(
        asked=resolve_range(form.from_, form.to),
        client_id=client_id,
        event_type=form.event_type,
        condition=condition,
        measures=measures,
        groups=form.group_by,
        interval=form.interval,
        zone=ZoneInfo(form.tz),
        top=form.top,
        compares=form.compare is not None,
    )


def read_conditions(pairs: list[tuple[str, Any]], form: object, place: str) -> Condition:
    """The filters of a form: of a query string flat, of a body flat and nested. Raises Problem invalid-query."""
    if place == "/query":
        return read_payload_filters(pairs)
    flat = {name: value for name, value in pairs if name.startswith(PREFIX)}
    nested = getattr(form, "filter", None)
    parts = [read_filter_tree(flat, place)] if flat else []
    parts += [] if nested is None else [read_filter_tree(nested, f"{place}/filter")]
    return parts[0] if len(parts) == 1 else AllOf(tuple(parts))


def refused(pointer: str, detail: str) -> Problem:
    """A member that cannot be."""
    return Problem(
        "invalid-query", f"a member of the question is invalid: it {detail}", errors=[FieldError(pointer, detail)]
    )


def unknown_member(form: type[Any], place: str, *more: str) -> Problem:
    """A member that no question has."""
    names = sorted(field.alias or name for name, field in form.model_fields.items())
    allowed = ", ".join([*names, *(more or ("pNN", f"{PREFIX}…"))])
    return refused(place, f"has an unknown member; allowed are: {allowed}")


def _measure(name: str, field: Any, place: str) -> Measure:
    # Another pNN than the form's own is not checked by it; its name is safe to show: p and digits.
    try:
        if not isinstance(field, str):
            raise ValueError("must be payload.<name>")
        return Measure(name, field, tuple(keys_of(field)))
    except ValueError as fault:
        raise refused(f"{place}/{name}", str(fault)) from None
