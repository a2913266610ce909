"""The command as it was called, for hints that can be pasted: `weir` is not on PATH after `make up`."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

from shared.settings import Settings


def command_name() -> str:
    """`weir`, or the path it was called by where the name alone would find nothing, or another one."""
    called = Path(sys.argv[0])
    found = shutil.which("weir")
    if called.name != "weir" or (found is not None and _same(Path(found), called)):
        return "weir"
    return sys.argv[0]


def command_place(settings: Settings) -> str:
    """What a hint needs after the command so that it reaches the same servers: ` --data-dir …`, or nothing."""
    return "" if settings.source_of("data_dir") == "default" else f" --data-dir {shlex.quote(str(settings.data_dir))}"


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False
