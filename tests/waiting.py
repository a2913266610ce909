"""Waiting on conditions, never on the clock alone."""

import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")


def eventually(ask: Callable[[], Found], *, within_seconds: float = 10.0, what: str = "") -> Found:
    """The first true answer of `ask`; AssertionError when there is none in time."""
    deadline = time.monotonic() + within_seconds
    while True:
        answer = ask()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"not so within {within_seconds} s: {what or ask}"
        time.sleep(0.01)
