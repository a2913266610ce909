"""What processes cost, from /proc: CPU seconds and the most memory they ever held."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.processes import family

_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """CPU time of a process, its living descendants, and those of them that have ended and were waited for.

    For PostgreSQL's first process that is every backend: they are its children.
    """
    return sum(_own_and_reaped(member) for member in family(pid))


def costs(processes: Mapping[str, Iterable[int]]) -> dict[str, float]:
    """CPU seconds by name of part, summed over the part's processes."""
    return {name: sum(map(cpu_seconds, pids)) for name, pids in processes.items()}


def peak_mib(pid: int) -> float:
    """The largest resident set of the process so far (VmHWM), in MiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


def _own_and_reaped(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return sum(map(int, fields[11:15])) / _TICKS  # utime, stime, cutime, cstime
