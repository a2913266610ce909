"""What PostgreSQL's jsonb, or a later reader, would choke on, found cheaply in a payload that is well-formed JSON.

The decoder has refused what is not JSON, and orjson what is not UTF-8, a lone surrogate, or a number beyond a double.
Left are ``\\u0000`` (jsonb has no NUL), depth, and numbers that are short to write and long to print: jsonb keeps
``1e300`` exactly and prints 301 digits. A payload of SMALL_BYTES cannot outgrow the payload limit that way, so its
numbers are looked at only when it holds a negative exponent (a double cannot show ``1e-9999``; jsonb fails on it).
What looks suspicious to a search may stand inside a string, such as a UUID: only then each number is read as written.
"""

import json
import re
from typing import Final

MAX_DEPTH: Final = 32
MAX_EXPONENT: Final = 100
MAX_DIGITS: Final = 16_000
"""jsonb takes 16,383 digits after the point (numeric's limit)."""
SMALL_BYTES: Final = 4096

_FAR_EXPONENT: Final = f"holds a number with an exponent beyond {MAX_EXPONENT}; send it as a string"
_TOO_DEEP: Final = f"is nested more than {MAX_DEPTH} deep"

_NUL: Final = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
# Two patterns with a literal beginning: one with [eE] takes eight times as long, as re cannot skip ahead.
_TINY: Final = re.compile(rb"e-0*[1-9][0-9]{2}")
_TINY_CAPITAL: Final = re.compile(rb"E-0*[1-9][0-9]{2}")
# For a payload where one of them is found: the same with a number before it, which a UUID has not.
_TINY_NUMBER: Final = re.compile(rb"[:\[,\s]-?[0-9][0-9.]*[eE]-0*[1-9][0-9]{2}")
_DIGITS_TO_ZERO: Final = bytes.maketrans(b"123456789", b"000000000")


def look_closer(body: bytes) -> bool:
    """Whether anything in a whole body asks for a closer look at its payloads: a few fast searches.

    For one byte first, which is many times faster than for two, and mostly is not there.
    """
    return (b"\\" in body and b"\\u0000" in body) or (b"-" in body and (b"e-" in body or b"E-" in body))


def payload_fault(payload: bytes, value: object, *, closer: bool) -> str | None:
    """What is wrong with a payload, given as bytes and as decoded by orjson, or None. ``closer``: see look_closer."""
    if payload[:1] != b"{":
        return "must be a JSON object"
    if closer and b"\\u0000" in payload and _NUL.search(payload):
        return "holds \\u0000, which cannot be stored"
    large = len(payload) > SMALL_BYTES
    if not large and not closer and payload.count(b"{") + payload.count(b"[") <= MAX_DEPTH:
        return None
    may_be_long = len(payload) > MAX_DIGITS and b"0" * MAX_DIGITS in payload.translate(_DIGITS_TO_ZERO)
    fault = _number_fault(payload) if may_be_long or (closer and _may_be_tiny(payload)) else None
    return fault or _fault_inside(value)


def _may_be_tiny(payload: bytes) -> bool:
    suspicious = _TINY.search(payload) or _TINY_CAPITAL.search(payload)
    return suspicious is not None and _TINY_NUMBER.search(payload) is not None


def _number_fault(payload: bytes) -> str | None:
    """Looks at every number as it is written, also under a name that is repeated, where orjson keeps the last alone."""
    faults: list[str] = []

    def look(number: str) -> None:
        digits, _, exponent = number.lower().partition("e")
        if len(digits) >= MAX_DIGITS:
            faults.append(f"holds a number of {MAX_DIGITS} digits or more; send it as a string")
        elif exponent.startswith("-") and len(exponent[1:].lstrip("0")) >= len(str(MAX_EXPONENT)):
            faults.append(_FAR_EXPONENT)

    try:
        json.loads(payload, parse_int=look, parse_float=look)
    except RecursionError:
        return _TOO_DEEP
    return faults[0] if faults else None


def _fault_inside(value: object) -> str | None:
    level = [value]
    for _ in range(MAX_DEPTH):
        inner = []
        for container in level:
            for member in container.values() if type(container) is dict else container:  # type: ignore[attr-defined]
                kind = type(member)
                if kind is dict or kind is list:
                    inner.append(member)
                elif kind is float and abs(member) >= 10.0**MAX_EXPONENT:
                    return _FAR_EXPONENT
        if not inner:
            return None
        level = inner
    return _TOO_DEEP
