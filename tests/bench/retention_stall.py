"""How long retention holds up those who store: batches stored one after the other, alone and beside a run.

    python -m tests.bench.retention_stall [--days 10] [--events 50000] [--batch 500] [--seconds 15]

Fresh servers as `weir up` starts them. Days past retention are filled; then batches go through a processor's parts,
alone for some seconds, then until the run beside them is done, while readers count events in transactions of a second.
"""

import argparse
import tempfile
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg

from deploy.embedded.postgres_server import EmbeddedPostgres
from deploy.embedded.redis_server import EmbeddedRedis
from deploy.migrations import migrate
from stream_processor.retention import DEFAULT_POLICY
from stream_processor.retention_run import RetentionRun, plan_retention
from tests.pipeline import Pipeline, block, connect, event, put

_FILL = """
WITH filled AS (
    INSERT INTO event_ids SELECT 'old', %(day)s::text || '-' || n, %(day)s, 0 FROM generate_series(1, %(events)s) AS n
    RETURNING client_id, event_id, occurred_at
)
INSERT INTO events SELECT client_id, event_id, 'order.created', occurred_at, now(), now(),
    jsonb_build_object('note', repeat('x', 200)), '{}' FROM filled
"""


def main() -> None:
    """Fills, stores, measures, prints two lines."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.retention_stall")
    parser.add_argument("--days", type=int, default=10)
    parser.add_argument("--events", type=int, default=50_000)
    parser.add_argument("--batch", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=15)
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="weir-bench-") as folder,
        EmbeddedPostgres(Path(folder) / "postgres") as postgres,
        EmbeddedRedis(Path(folder) / "redis") as redis_server,
    ):
        migrate(postgres.url)
        _fill(postgres.url, options.days, options.events)
        stop = threading.Event()
        reader = threading.Thread(target=_read, args=(postgres.url, stop))
        reader.start()
        pipeline = Pipeline(redis_server.url, postgres.url)
        _tell("alone", _store(pipeline, options.batch, time.monotonic() + options.seconds, None))
        run = threading.Thread(target=_retain, args=(postgres.url,))
        run.start()
        _tell("beside retention", _store(pipeline, options.batch, time.monotonic() + 600, run))
        stop.set()
        for thread in (run, reader):
            thread.join()
        pipeline.close()


def _fill(url: str, days: int, events: int) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for number in range(days):
            day = datetime.now(UTC) - timedelta(days=100 + number)
            connection.execute("SELECT ensure_day_partition('events', %s)", (day.date(),))
            connection.execute(_FILL, {"day": day, "events": events})


def _read(url: str, stop: threading.Event) -> None:
    with psycopg.connect(url) as connection:
        while not stop.is_set():
            connection.execute("SELECT count(*) FROM events WHERE client_id = 'nobody'")
            stop.wait(1)
            connection.rollback()
            stop.wait(0.2)


def _store(pipeline: Pipeline, batch: int, deadline: float, beside: threading.Thread | None) -> list[float]:
    """Milliseconds of each batch, until the deadline, or until the thread has ended."""
    found: list[float] = []
    while time.monotonic() < deadline and (beside is None or beside.is_alive()):
        put(pipeline.redis, block(*(event(f"{time.monotonic_ns()}-{n}") for n in range(batch))))
        began = time.perf_counter()
        pipeline.pass_on()
        found.append((time.perf_counter() - began) * 1000)
    return found


def _retain(url: str) -> None:
    now = datetime.now(UTC)
    with connect(url) as connection:
        began = time.perf_counter()
        plan = plan_retention(connection, DEFAULT_POLICY, now)
        result = RetentionRun(connection, lambda seconds: bool(time.sleep(seconds))).carry_out(
            plan, DEFAULT_POLICY, now
        )
        seconds = time.perf_counter() - began
    print(
        f"retention: {len(result.partitions)} days, {result.event_ids:,} ids, {seconds:.1f} s, put off {result.put_off}"
    )


def _tell(what: str, found: list[float]) -> None:
    ordered = sorted(found)
    p50, p99 = (ordered[int(len(ordered) * share)] for share in (0.5, 0.99))
    print(f"{what}: {len(found)} batches, p50 {p50:.0f} ms, p99 {p99:.0f} ms, longest {ordered[-1]:.0f} ms")


if __name__ == "__main__":
    main()
