"""What the system knows of a process."""

import os
from pathlib import Path


def is_running(pid: int) -> bool:
    """Whether it executes; one that has ended and waits to be reaped does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def family(pid: int) -> list[int]:
    """`pid` and all its living descendants."""
    found = [pid]
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and _parent(int(entry.name)) == pid:
            found += family(int(entry.name))
    return found


def of_folder(folder: Path) -> list[int]:
    """All living processes that work on `folder`: it is in their command line or environment, or they are in it."""
    name = str(folder)
    return [
        pid
        for pid in (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
        if is_running(pid) and name in _traces(pid)
    ]


def _traces(pid: int) -> str:
    try:
        return f"{command_line(pid)} {environment(pid)} {Path(f'/proc/{pid}/cwd').readlink()}"
    except OSError:  # it has just ended, or is another user's
        return ""


def command_line(pid: int) -> str:
    """Its program and arguments; empty when it has just ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def environment(pid: int) -> str:
    return Path(f"/proc/{pid}/environ").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")


def as_root() -> bool:
    return os.geteuid() == 0


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0
