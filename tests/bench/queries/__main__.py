"""The command line of `make bench-queries`."""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from deploy.embedded.postgres_server import EmbeddedPostgres
from deploy.embedded.redis_server import EmbeddedRedis
from deploy.endpoints import with_role
from deploy.migrations import migrate
from tests.bench.machine import machine
from tests.bench.queries.history import EVENTS_A_CALL, History, now_minute_us, seconds_since
from tests.bench.queries.questions import Asked, ask_all
from tests.bench.queries.report import document, print_table


def main() -> int:
    """Stores a history of each size on a fresh server, asks, prints the table and writes the document."""
    options = _options()
    console, began = Console(stderr=True), time.perf_counter()
    found = [_measure(events, options.runs, options.folder, console) for events in options.events]
    facts = {**machine(), "seconds": round(seconds_since(began), 1)}
    print_table(facts, found)
    options.json.write_text(json.dumps(document(facts, found), indent=1) + "\n")
    return 0


def _measure(events: int, runs: int, folder: Path | None, console: Console) -> Asked:
    with (
        tempfile.TemporaryDirectory(prefix="weir-bench-", dir=folder) as name,
        EmbeddedPostgres(Path(name) / "postgres") as postgres,
        EmbeddedRedis(Path(name) / "redis") as redis,
    ):
        migrate(postgres.url)
        end_us, began = now_minute_us(), time.perf_counter()
        _fill(with_role(postgres.url, "weir_writer"), end_us, events, console)
        loading_seconds = seconds_since(began)
        console.print(f"asking {runs} times each …")
        asked = ask_all(postgres.url, redis.url, Path(name), end_us, runs)
        return Asked(events, loading_seconds, {"redis": redis.version, "postgres": postgres.version}, asked)


def _fill(writer_url: str, end_us: int, events: int, console: Console) -> None:
    history = History(writer_url, end_us)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console) as progress:
        storing = progress.add_task("events", total=events)
        history.store_events(events, lambda done: progress.update(storing, completed=done))
        calls = max(events // EVENTS_A_CALL, 1000)
        auditing = progress.add_task("audit rows", total=calls)
        history.store_calls(calls, lambda done: progress.update(auditing, completed=done))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.queries",
        description="Stores 90 days of 50 clients and 40 types, and asks about them.",
    )
    parser.add_argument(
        "--events",
        type=_sizes,
        default=[10_000_000, 1_000_000],
        help="how many; more sizes, as 10000000,1000000 [both]",
    )
    parser.add_argument("--runs", type=int, default=200, help="measured runs of each question [200]")
    parser.add_argument("--folder", type=Path, help="where the servers' data lies meanwhile; about 1 kB an event")
    parser.add_argument("--json", type=Path, default=Path("bench-queries.json"), help="the document [%(default)s]")
    return parser.parse_args()


def _sizes(text: str) -> list[int]:
    return [int(part.replace("_", "")) for part in text.split(",")]


if __name__ == "__main__":
    sys.exit(main())
