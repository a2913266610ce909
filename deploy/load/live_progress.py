"""What a person sees while a run goes on: two bars, sent and stored, on stderr."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from deploy.load.tally import Tally


class LiveProgress:
    """Drawn 5 times a second from the first `show` on, until the context ends; all of it fits 80 columns."""

    def __init__(self, events: int | None, seconds: float | None) -> None:
        columns = (
            TextColumn("{task.description:<6}"),
            BarColumn(bar_width=14),
            TaskProgressColumn(),
            TextColumn("{task.fields[told]}"),
        )
        self._progress = Progress(*columns, console=Console(stderr=True), refresh_per_second=5)
        self._seconds = seconds
        self._events = events
        self._sent = self._progress.add_task("sent", total=events or seconds, told="")
        self._stored = self._progress.add_task("stored", total=None, told="")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._progress.stop()

    def show(self, tally: Tally, settled: int | None) -> None:
        """Draw the counts; `settled` is None where the database is not seen."""
        self._progress.start()
        done = tally.sent_events - tally.left_events if self._events else min(tally.seconds, self._seconds or 0)
        self._progress.update(self._sent, completed=done, told=_told(tally))
        if settled is None:
            self._progress.update(self._stored, visible=False)
        else:
            told = f"{settled:,} · {settled / max(tally.since_began, 1e-3):,.0f}/s"
            self._progress.update(self._stored, total=tally.accepted or None, completed=settled, told=told)


def _told(tally: Tally) -> str:
    parts = [f"{tally.acknowledged:,}", f"{tally.acknowledged / max(tally.seconds, 1e-3):,.0f}/s"]
    middle, slow = tally.latency.percentile_ms(50), tally.latency.percentile_ms(99)
    if middle is not None and slow is not None:
        parts.append(f"p50 {middle:.1f} p99 {slow:.0f} ms")
    if tally.throttled_requests:
        parts.append(f"{tally.throttled_requests:,} put off")
    parts.append(f"{tally.failed_requests:,} failed")
    return " · ".join(parts)
