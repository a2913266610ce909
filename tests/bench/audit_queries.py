"""How long questions about the audit log take among millions of rows, what its indexes cost, and what an export holds.

    python -m tests.bench.audit_queries [--rows 3000000] [--days 10] [--runs 100]

A fresh PostgreSQL as `weir up` starts it; rows of 50 clients, 2 in 100 of them failed. Queries as the API runs them,
warm, without HTTP: 50 rows each, over the whole range, each run with another client, key or moment.
"""

import argparse
import asyncio
import random
import tempfile
import time
import tracemalloc
from datetime import UTC, datetime, timedelta
from hashlib import md5
from pathlib import Path
from typing import Any

import psycopg
from psycopg_pool import AsyncConnectionPool

from analytics_api.audit_logs import COLUMNS, LogFilters, all_pages, page_values, query_values, read_logs
from analytics_api.cursor import Page
from analytics_api.export_stream import encoder
from analytics_api.reader import Reader, configure_reader
from analytics_api.time_range import TimeRange
from deploy.embedded.postgres_server import EmbeddedPostgres
from deploy.migrations import migrate
from tests.bench.process_costs import cpu_seconds

CLIENTS = 50
_COPIED = 200_000
_INDEXES = ("audit_logs_failed", "audit_logs_request", "audit_logs_client_time", "audit_logs_time")
_FILL = """
INSERT INTO audit_logs (at, service, instance, client_id, key_id, method, endpoint, path, query, status, error,
                        duration_us, bytes_in, bytes_out, address, user_agent, request_id)
SELECT %(start)s::timestamptz + (n::float8 / %(rows)s) * %(span)s::interval,
       CASE WHEN n %% 5 = 0 THEN 'analytics' ELSE 'gateway' END, 'host-1',
       'client' || c, 'key' || c, CASE WHEN n %% 5 = 0 THEN 'GET' ELSE 'POST' END,
       CASE WHEN n %% 5 = 0 THEN '/api/v1/events' ELSE '/api/v1/events/batch' END,
       CASE WHEN n %% 5 = 0 THEN '/api/v1/events' ELSE '/api/v1/events/batch' END, '',
       CASE WHEN hashint4(n) %% 50 = 0 THEN 422 ELSE 202 END, CASE WHEN hashint4(n) %% 50 = 0 THEN 'invalid-event' END,
       500 + abs(hashint4(n)) %% 5000, 125000, NULL, '192.0.2.' || c, 'python-httpx/0.28',
       lpad(to_hex(n), 12, '0') || left(md5(n::text), 12)
FROM generate_series(1, %(rows)s::int) AS n, LATERAL (SELECT abs(hashint4(n + 7)) %% 50 AS c) AS client
"""


def main() -> None:
    """Fills, measures, prints tables in Markdown."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.audit_queries")
    parser.add_argument("--rows", type=int, default=3_000_000)
    parser.add_argument("--days", type=int, default=10)
    parser.add_argument("--runs", type=int, default=100)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="weir-bench-") as folder, EmbeddedPostgres(Path(folder)) as server:
        migrate(server.url)
        asked = _fill(server.url, options.rows, options.days)
        asyncio.run(_measure(server.url, asked, options.rows, options.runs))
        _index_costs(server.url)


def _fill(url: str, rows: int, days: int) -> TimeRange:
    end = datetime.now(UTC)
    asked = TimeRange(end - timedelta(days=days), end)
    with psycopg.connect(url, autocommit=True) as connection:
        for day in range(days + 1):
            connection.execute("SELECT ensure_day_partition('audit_logs', %s)", ((end - timedelta(days=day)).date(),))
        connection.execute(_FILL, {"start": asked.start, "span": timedelta(days=days), "rows": rows})
        connection.execute("VACUUM ANALYZE audit_logs")
    return asked


def _questions(chance: random.Random, rows: int) -> dict[str, tuple[LogFilters, str | None]]:
    client = f"client{chance.randrange(CLIENTS)}"
    number = chance.randrange(1, rows)
    return {
        "newest of all": (LogFilters(), None),
        "of one client": (LogFilters(), client),
        "failed of all": (LogFilters(endpoint="failed"), None),
        "failed of one client": (LogFilters(endpoint="failed"), client),
        "`4xx` of one client, one error": (LogFilters(status="4xx", error="invalid-event"), client),
        "`503` (there is none)": (LogFilters(status="503"), None),
        "one key": (LogFilters(key_id=f"key{number % CLIENTS}"), None),
        "one route and method of one client": (LogFilters(endpoint="/api/v1/events", method="GET"), client),
        "slower than 5.4 ms of one client": (LogFilters(min_duration_ms=5.4), client),
        "one request": (LogFilters(request_id=_request_id(number)), None),
    }


async def _measure(url: str, asked: TimeRange, rows: int, runs: int) -> None:
    chance, times = random.Random(1), dict[str, list[float]]()
    pool: AsyncConnectionPool[Any] = AsyncConnectionPool(
        url, min_size=1, max_size=1, open=False, configure=configure_reader(60_000)
    )
    async with pool:
        reader = Reader(pool, 60_000)
        for run in range(runs + 5):
            page = (
                Page(asked) if run % 2 else Page(asked, asked.end - chance.random() * (asked.end - asked.start), (0,))
            )
            for name, (filters, client_id) in _questions(chance, rows).items():
                # the one request is looked for in the whole range
                values = query_values(filters, client_id) | page_values(Page(asked) if filters.request_id else page, 50)
                began = time.perf_counter()
                await read_logs(reader, values)
                if run >= 5:
                    times.setdefault(name, []).append((time.perf_counter() - began) * 1000)
        print(f"| 50 of {rows:,} audit rows | p50 ms | p95 ms |\n|---|---|---|")
        for name, found in times.items():
            found.sort()
            print(f"| {name} | {found[len(found) // 2]:.1f} | {found[int(len(found) * 0.95)]:.1f} |")
        await _export(reader, asked)


async def _export(reader: Reader, asked: TimeRange) -> None:
    """A tenth of the range for the speed, and a hundredth for the memory, whose measuring is slow."""
    began = time.perf_counter()
    rows, size = await _exported(reader, asked, 10)
    seconds = time.perf_counter() - began
    tracemalloc.start()
    await _exported(reader, asked, 100)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    print(f"\nexport as CSV: {rows / seconds:,.0f} rows/s, {size / rows:.0f} bytes a row, {peak / 2**20:.1f} MiB held")


async def _exported(reader: Reader, asked: TimeRange, part: int) -> tuple[int, int]:
    filters = LogFilters.model_validate({"from": asked.end - (asked.end - asked.start) / part, "to": asked.end})
    encode, count, size = encoder("csv", COLUMNS), 0, 0
    async for rows in all_pages(reader, filters, query_values(filters, None)):
        count += len(rows)
        size += len(encode(rows))
    return count, size


def _index_costs(url: str) -> None:
    print("\n| index | MiB for all rows | INSERT of 200,000 rows without it, CPU µs a row |\n|---|---|---|")
    with psycopg.connect(url, autocommit=True) as connection:
        sizes = {index: _index_bytes(connection, index) for index in _INDEXES}  # before any row is taken back
        print(f"| (all) | | {_copy_us(connection):.2f} |")
        for index, size in sizes.items():
            with connection.transaction(force_rollback=True):
                connection.execute(psycopg.sql.SQL("DROP INDEX {}").format(psycopg.sql.Identifier(index)))
                cost = _copy_us(connection)
            print(f"| {index} | {size / 2**20:.0f} | {cost:.2f} |")


def _index_bytes(connection: psycopg.Connection[Any], index: str) -> int:
    query = "SELECT sum(pg_relation_size(inhrelid)) FROM pg_inherits WHERE inhparent = to_regclass(%s)"
    (size,) = connection.execute(query, (index,)).fetchone() or (0,)
    return int(size)


def _copy_us(connection: psycopg.Connection[Any]) -> float:
    """CPU of the backend: the middle one of three inserts of 200,000 rows of the newest day, taken back."""
    found, pid = [], connection.info.backend_pid
    for _ in range(3):
        with connection.transaction(force_rollback=True):
            now = datetime.now(UTC)
            before = cpu_seconds(pid)
            connection.execute(_FILL, {"start": now, "span": timedelta(seconds=1), "rows": _COPIED})
            found.append((cpu_seconds(pid) - before) * 1e6 / _COPIED)
    return sorted(found)[1]


def _request_id(number: int) -> str:
    """As the services make them: growing with time, then chance."""
    return f"{number:012x}{md5(str(number).encode(), usedforsecurity=False).hexdigest()[:12]}"


if __name__ == "__main__":
    main()
