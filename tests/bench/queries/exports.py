"""What an export takes: time, and the memory by which the API's process grows meanwhile."""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2

EXPORT_DAYS = 9
"""A tenth of the history: a million events of ten."""
_FORMATS = ("ndjson", "csv", "parquet")


@dataclass(frozen=True)
class Exported:
    """One export of the last days, of all clients."""

    format: str
    seconds: float
    answer_bytes: int
    resident_bytes: int
    """Of the process, before."""
    grown_bytes: int
    """The most it had meanwhile, beyond that."""


def export_all(http: httpx2.Client, key: str, pid: int, end_us: int) -> list[Exported]:
    """The same days in every format; each is read and thrown away as fast as it comes."""
    end = datetime.fromtimestamp(end_us / 1e6, UTC)
    return [_export(http, key, pid, format_, end) for format_ in _FORMATS]


def _export(http: httpx2.Client, key: str, pid: int, format_: str, end: datetime) -> Exported:
    def read(span: timedelta) -> int:
        return sum(_pieces(http, key, {"format": format_, "from": (end - span).isoformat(), "to": end.isoformat()}))

    read(timedelta(minutes=5))  # what a first export loads is not what an export holds
    Path(f"/proc/{pid}/clear_refs").write_text("5")  # forget the most there ever was
    before, began = _memory_bytes(pid, "VmRSS"), time.perf_counter()
    size = read(timedelta(days=EXPORT_DAYS))
    seconds = time.perf_counter() - began
    return Exported(format_, seconds, size, before, _memory_bytes(pid, "VmHWM") - before)


def _pieces(http: httpx2.Client, key: str, query: dict[str, str]) -> Iterator[int]:
    with http.stream("GET", "/api/v1/events/export", params=query, headers={"X-API-Key": key}) as answer:
        assert answer.status_code == 200, answer.read()
        yield from map(len, answer.iter_raw())


def _memory_bytes(pid: int, which: str) -> int:
    found = re.search(rf"{which}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1]) * 1024
