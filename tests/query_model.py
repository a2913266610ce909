"""What the questions mean, said in Python by brute force: events as lists, values as Decimals, every chain tried."""

import csv
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from statistics import median
from typing import Any

from shared.rfc_3339 import parse_time
from tests.analytics_seed import SeedEvent

LARGEST = Decimal("1e100")
MISSING = object()
OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "gt": lambda a, b: a > b,
    "gte": lambda a, b: a >= b,
    "lt": lambda a, b: a < b,
    "lte": lambda a, b: a <= b,
}


@dataclass(frozen=True)
class Value:
    """A JSON value as jsonb has it: numbers are Decimals, and equal whatever they look like."""

    kind: str
    value: Any


def payload_of(event: SeedEvent) -> Any:
    return json.loads(event.payload, parse_int=Decimal, parse_float=Decimal)


def at_path(event: SeedEvent, keys: Iterable[str]) -> Any:
    found = payload_of(event)
    for key in keys:
        if isinstance(found, dict) and key in found:
            found = found[key]
        elif isinstance(found, list) and re.fullmatch(r"\d+", key) and int(key) < len(found):
            found = found[int(key)]
        else:
            return MISSING
    return found


def simple(found: Any) -> Value | None:
    """The value where it is simple: see analytics_api/queries/simple_values.py."""
    if isinstance(found, bool):
        return Value("boolean", found)
    if isinstance(found, str):
        return Value("string", found)
    if isinstance(found, Decimal) and abs(found) <= LARGEST:
        return Value("number", found)
    return None


def is_there(found: Any) -> bool:
    return found is not MISSING and found is not None


def equals(found: Any, wanted: Any) -> bool:
    """`wanted` as a JSON body has it: text is also the number it reads as, and the boolean."""
    if isinstance(wanted, bool):
        return isinstance(found, bool) and found is wanted
    if isinstance(wanted, int | float):
        return isinstance(found, Decimal) and found == Decimal(repr(wanted))
    if isinstance(found, str):
        return bool(found == wanted)
    if isinstance(found, bool):
        return bool(json.dumps(found) == wanted)
    number = re.fullmatch(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?", wanted)
    return isinstance(found, Decimal) and number is not None and found == Decimal(wanted)


def is_ordered(found: Any, operator: str, wanted: Any) -> bool:
    compare = OPERATORS[operator]
    if isinstance(wanted, int | float) or re.fullmatch(r"-?(0|[1-9]\d*)(\.\d+)?", wanted):
        return isinstance(found, Decimal) and compare(found, Decimal(str(wanted)))
    try:
        bound = parse_time(wanted)
    except ValueError:
        return isinstance(found, str) and compare(found, wanted)
    try:
        return isinstance(found, str) and compare(parse_time(found), bound)
    except ValueError:
        return False


def holds(event: SeedEvent, tree: dict[str, Any]) -> bool:
    """Whether a filter of a JSON body holds."""
    return all(_member_holds(event, name, value) for name, value in tree.items())


def _member_holds(event: SeedEvent, name: str, value: Any) -> bool:
    if name == "and":
        return all(holds(event, part) for part in value)
    if name == "or":
        return any(holds(event, part) for part in value)
    keys = next(csv.reader([name.removeprefix("payload.")], delimiter="."))
    is_operator = len(keys) > 1 and name.rpartition(".")[2] in (*OPERATORS, "in", "exists")  # a quoted one is a key
    operator = keys.pop() if is_operator else "eq"
    found = at_path(event, keys)
    if operator == "exists":
        return is_there(found) == value
    if operator == "in":
        return any(equals(found, each) for each in value)
    return equals(found, value) if operator == "eq" else is_ordered(found, operator, value)


def percentile(values: list[float], share: float) -> float | None:
    """PostgreSQL's percentile_cont."""
    if not values:
        return None
    place = share * (len(values) - 1)
    low = int(place)
    high = min(low + 1, len(values) - 1)
    ordered = sorted(values)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


def measured(events: list[SeedEvent], number_keys: list[str], unique_keys: list[str]) -> dict[str, Any]:
    found = [at_path(event, number_keys) for event in events]
    numbers = [value for value in found if isinstance(value, Decimal) and abs(value) <= LARGEST]
    uniques = {simple(at_path(event, unique_keys)) for event in events} - {None}
    return {
        "count": len(events),
        "count_unique": len(uniques),
        "sum": sum(numbers, Decimal(0)),
        "avg": sum(numbers, Decimal(0)) / len(numbers) if numbers else None,
        "min": min(numbers, default=None),
        "max": max(numbers, default=None),
        "p50": percentile([float(number) for number in numbers], 0.5),
        "p90": percentile([float(number) for number in numbers], 0.9),
        "ignored": sum(is_there(value) for value in found) - len(numbers),
    }


def funnel(
    events: list[SeedEvent], key_of: Callable[[SeedEvent], Any], steps: list[str], window: timedelta
) -> tuple[list[int], list[float | None]]:
    """Keys by step, and medians: every chain of every key is tried."""
    by_key: dict[Any, list[SeedEvent]] = defaultdict(list)
    for event in sorted(events, key=lambda event: (event.occurred_at, event.event_id)):
        if key_of(event) is not None:
            by_key[event.client_id, key_of(event)].append(event)
    furthest = [_furthest(own, steps, window) for own in by_key.values()]
    entered = [sum(len(chain) > place for chain in furthest) for place in range(len(steps))]
    gaps = [
        [(chain[place + 1] - chain[place]).total_seconds() for chain in furthest if len(chain) > place + 1]
        for place in range(len(steps))
    ]
    return entered, [median(each) if each else None for each in gaps]


def _furthest(own: list[SeedEvent], steps: list[str], window: timedelta) -> list[datetime]:
    chains: list[list[int]] = []

    def extend(chain: list[int]) -> None:
        if chain:
            chains.append(chain)
        if len(chain) == len(steps):
            return
        for place in range(chain[-1] + 1 if chain else 0, len(own)):
            late = chain and own[place].occurred_at - own[chain[0]].occurred_at > window
            if own[place].event_type == steps[len(chain)] and not late:
                extend([*chain, place])

    extend([])
    if not chains:
        return []
    most = max(map(len, chains))
    first_end = min(chain[-1] for chain in chains if len(chain) == most)
    times = [
        [own[place].occurred_at for place in chain] for chain in chains if len(chain) == most and chain[-1] == first_end
    ]
    return max(times)


def retention(
    events: list[SeedEvent],
    key_of: Callable[[SeedEvent], Any],
    starts: list[datetime],
    first: str | None,
    back: str | None,
) -> tuple[list[int], list[list[int]]]:
    """Sizes of the cohorts, and who came back by period since."""
    edges = [*starts, datetime.max.replace(tzinfo=starts[0].tzinfo)]

    def period(event: SeedEvent) -> int:
        return next(n for n, (low, high) in enumerate(pairwise(edges)) if low <= event.occurred_at < high)

    by_key: dict[Any, list[SeedEvent]] = defaultdict(list)
    for event in sorted(events, key=lambda event: (event.occurred_at, event.event_id)):
        if key_of(event) is not None:
            by_key[event.client_id, key_of(event)].append(event)
    sizes, returned = [0] * len(starts), [[0] * (len(starts) - n) for n in range(len(starts))]
    for own in by_key.values():
        places = [place for place, event in enumerate(own) if first in (None, event.event_type)]
        if places:
            cohort = period(own[places[0]])
            sizes[cohort] += 1
            for later in {period(event) for event in own[places[0] + 1 :] if back in (None, event.event_type)}:
                returned[cohort][later - cohort] += 1
    return sizes, returned
