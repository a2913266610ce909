"""A glance as tables on a terminal."""

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from deploy.live.glance import Glance


def screen(glance: Glance) -> RenderableType:
    """Everything of one look."""
    return Group(*_headline(glance), _flow(glance), Text(), _streams(glance), Text(), _processors(glance))


def _headline(glance: Glance) -> list[RenderableType]:
    lines: list[RenderableType] = [Text(f"weir top   {glance.at:%Y-%m-%d %H:%M:%S} UTC", style="bold")]
    if glance.unavailable:
        names = " and ".join(glance.unavailable)
        lines.append(
            Text(f"{names} not available: what is empty is unknown; `weir doctor` says more", style="bold red")
        )
    return lines


def _flow(glance: Glance) -> Table:
    latency = glance.latency_ms or {}
    return _table(
        ["accepted/s", "settled/s", "not stored", "oldest s", "p50 ms", "p95 ms", "p99 ms", "failed"],
        [
            [
                glance.accepted_per_second, glance.settled_per_second, glance.lag, _rounded(glance.oldest_age_seconds),
                latency.get("p50"), latency.get("p95"), latency.get("p99"), glance.failed,
            ]
        ],
    )  # fmt: skip


def _streams(glance: Glance) -> Table:
    names = ["name", "shard", "length", "lag", "pending"]
    rows: list[list[object]] = [
        [*(stream[name] for name in names), _rounded(stream["oldest_age_seconds"])] for stream in glance.streams
    ]
    return _table(["stream", *names[1:], "oldest s"], rows)


def _processors(glance: Glance) -> Table:
    rows: list[list[object]] = [
        [one.name, one.host, one.state, one.rate, one.pending, _rounded(one.idle_seconds), one.last_error]
        for one in glance.processors
    ]
    return _table(["processor", "host", "state", "events/s", "pending", "idle s", "last error"], rows)


def _table(columns: list[str], rows: list[list[object]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for position, column in enumerate(columns):
        numeric = all(isinstance(row[position], int | float | None) for row in rows)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text("" if cell is None else _shown(cell)) for cell in row))
    return table


def _shown(cell: object) -> str:
    return f"{cell:,}" if isinstance(cell, int | float) else str(cell)


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)
