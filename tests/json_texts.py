"""Generated JSON as text, not as values: numbers, escapes, spaces and repeated names stay as they are written."""

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

MAX_DEPTH = 32

characters = st.characters(codec=None, categories=None)
numbers = st.one_of(
    st.integers().map(str),
    st.integers(-(10**40), 10**40).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.from_regex(r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,6})?", fullmatch=True),
    st.sampled_from(
        ["1e308", "-1e308", "1e-99", "1e-100", "1e-16383", "1e-16384", "0e-99999", "1e99999", "-0", "-0.0"]
        + [str(sign * 2**power + more) for power in (31, 53, 63, 64) for sign in (1, -1) for more in (-1, 0, 1)]
        + ["0.1", "1E5", "1e+5", "9" * 400, "0." + "0" * 400 + "1", "1.7976931348623157e308", "5e-324", "1e100", "1e99"]
    ),
)
strings = st.tuples(st.sampled_from(["escaped", "plain"]), st.text(characters, max_size=30))
leaves = st.one_of(st.none(), st.booleans(), numbers.map(lambda number: ("number", number)), strings)


def as_json(value: Any) -> str:
    """JSON text of a tree whose numbers are already written; other text may come escaped or not."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{as_json(name)}:{as_json(member)}" for name, member in value["pairs"]) + "}"
    if isinstance(value, list):
        return "[" + " ,".join(map(as_json, value)) + "]"
    if isinstance(value, tuple):
        kind, content = value
        return content if kind == "number" else json.dumps(content, ensure_ascii=kind == "escaped")
    return json.dumps(value)


def objects(members: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Objects whose names may come twice."""
    return st.lists(st.tuples(strings, members), max_size=6).map(lambda pairs: {"pairs": pairs})


def nested(depth: int, kinds: Sequence[str]) -> str:
    """An object with containers in it down to this depth, itself counted."""
    chosen = ["{", *(kinds[level % len(kinds)] for level in range(depth - 1))]
    opened = "".join('{"a":' if kind == "{" else "[" for kind in chosen)
    return opened + "1" + "".join("}" if kind == "{" else "]" for kind in reversed(chosen))


trees = st.recursive(leaves, lambda inner: st.lists(inner, max_size=6) | objects(inner), max_leaves=30)
deep = st.builds(
    nested, st.integers(MAX_DEPTH - 3, MAX_DEPTH + 3), st.lists(st.sampled_from("{["), min_size=1, max_size=4)
)
payloads = objects(trees).map(as_json) | deep


@st.composite
def events(draw: st.DrawFn) -> tuple[str, str]:
    """The text of an event that is well-formed JSON and mostly good, with places for an id that is nobody else's: its
    fields in any order, with spaces, with fields twice, missing or unknown now and then. And its payload.
    """
    payload = draw(payloads)
    id_end = json.dumps(draw(st.text(characters, max_size=60)), ensure_ascii=draw(st.booleans()))[1:-1]
    event_type = json.dumps(
        draw(st.from_regex(r"[A-Za-z0-9._:/-]{1,20}", fullmatch=True) | st.sampled_from(["", "a b"]))
    )
    fields = [f'"event_id":"{{id}}{id_end}"', f'"event_type" : {event_type}', f'"payload":\t{payload}']
    fields += draw(st.lists(st.sampled_from(ODD_FIELDS), max_size=1)) if draw(st.integers(0, 3)) == 0 else []
    fields = draw(st.permutations(fields))
    space = draw(st.sampled_from(["", " ", "\t", "\r"]))
    return f"{space}{{{space}{f'{space},{space}'.join(fields)}{space}}}{space}", payload


ODD_FIELDS = (
    '"occurred_at":null', '"occurred_at":"2020-01-01T00:00:00Z"', '"payload":{"second":2}', '"payload":null', '"x":1',
    '"event_type":"second"', '"event\\u005ftype":"second"', '"EVENT_ID":"x"', '"":{}', '"occurred_at":1',
)  # fmt: skip


def exactly(document: str | bytes) -> Any:
    """JSON with its numbers to the last digit; the last of two equal names counts, as everywhere."""
    return json.loads(document, parse_int=Decimal, parse_float=Decimal)
