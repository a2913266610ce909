"""Enrichers that end their process, for tests with a processor of its own: one event among many is deadly."""

import os
import signal
from typing import Any

from shared.stream_entry import Block, EventFrame


def die(block: Block, frame: EventFrame) -> dict[str, Any]:
    """By an exit, as a crash in C would."""
    if frame.event_id.startswith("deadly"):
        os._exit(139)
    return {}


def be_killed(block: Block, frame: EventFrame) -> dict[str, Any]:
    """By SIGKILL, as the kernel does when memory runs out."""
    if frame.event_id.startswith("deadly"):
        os.kill(os.getpid(), signal.SIGKILL)
    return {}
