"""What a fault is, and the list of all."""

import importlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final

from tests.faults.scene import Scene

Inject = Callable[[Scene, Random], str | None]

_MODULES: Final = ("process_faults", "crash_faults", "link_faults", "redis_faults", "postgres_faults", "load_faults")


@dataclass(frozen=True)
class Fault:
    """One way to hurt the system. ``inject`` blocks until the cause is gone; what it did not do is left to Weir."""

    name: str
    about: str
    inject: Inject
    """Returns a word on what happened, if there is one worth showing. Raises AssertionError for a fault that failed."""
    small_disk: bool = False
    """Whether it needs servers on small disks."""


_all: dict[str, Fault] = {}


def fault(about: str, *, small_disk: bool = False) -> Callable[[Inject], Inject]:
    """Puts a function on the list, under its own name."""

    def register(inject: Inject) -> Inject:
        _all[inject.__name__] = Fault(inject.__name__, about, inject, small_disk)
        return inject

    return register


def all_faults() -> dict[str, Fault]:
    """By name."""
    for module in _MODULES:
        importlib.import_module(f"tests.faults.{module}")
    return _all


def last(seconds: float) -> None:
    """Let an outage last: its length is what the fault is about, so this is no wait for a condition."""
    time.sleep(seconds)
