"""The command line of `make bench-queries`."""

import argparse
import json
import shutil
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import psycopg
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

_NOTE: Final = "history.json"


def main() -> int:
    """Stores a history of each size, or takes the one that is kept, asks, prints the table and writes the document."""
    options = _options()
    console, began = Console(stderr=True), time.perf_counter()
    found = [_measure(events, options.runs, options.folder, console) for events in options.events]
    facts = {**machine(), "seconds": round(seconds_since(began), 1)}
    print_table(facts, found)
    options.json.write_text(json.dumps(document(facts, found), indent=1) + "\n")
    return 0


def _measure(events: int, runs: int, folder: Path | None, console: Console) -> Asked:
    with ExitStack() as stack:
        place = _place(events, folder, stack)
        postgres = stack.enter_context(EmbeddedPostgres(place / "postgres"))
        redis = stack.enter_context(EmbeddedRedis(place / "redis"))
        migrate(postgres.url)
        stored = _kept(place) or _store(postgres.url, events, place, console)
        console.print(f"asking {runs} times each …")
        answers, exports = ask_all(postgres, redis.url, place, stored.end_us, runs, console.print)
        versions = {"redis": redis.version, "postgres": postgres.version}
        return Asked(events, stored.seconds, versions, answers, exports)


def _place(events: int, folder: Path | None, stack: ExitStack) -> Path:
    """Where the history lies: in ``folder`` to stay, else until the end."""
    if folder is None:
        return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="weir-bench-")))
    place = folder / f"events-{events}"
    if place.exists() and _kept(place) is None:
        shutil.rmtree(place)  # it was left half stored
    place.mkdir(parents=True, exist_ok=True)
    return place


@dataclass(frozen=True)
class _Stored:
    """A history that is whole."""

    end_us: int
    seconds: float


def _kept(place: Path) -> _Stored | None:
    note = place / _NOTE
    return _Stored(**json.loads(note.read_text())) if note.exists() else None


def _store(database_url: str, events: int, place: Path, console: Console) -> _Stored:
    end_us, began = now_minute_us(), time.perf_counter()
    _fill(with_role(database_url, "weir_writer"), end_us, events, console)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")  # as autovacuum would have done long ago
    stored = _Stored(end_us, round(seconds_since(began), 1))
    (place / _NOTE).write_text(json.dumps(asdict(stored)))
    return stored


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
    parser.add_argument("--folder", type=Path, help="where histories stay, to be asked again; 1.3 kB an event")
    parser.add_argument("--json", type=Path, default=Path("bench-queries.json"), help="the document [%(default)s]")
    return parser.parse_args()


def _sizes(text: str) -> list[int]:
    return [int(part.replace("_", "")) for part in text.split(",")]


if __name__ == "__main__":
    sys.exit(main())
