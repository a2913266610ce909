"""What the live tail costs at a high rate: `python -m tests.bench.live_tail`.

Entries of 500 events are put on a stream as the gateway does, at a given rate, while viewers of the tail read all they
get. CPU is of the API's process and of Redis; the row without a viewer tells what the events cost anyway. Bounded: a
few runs of some seconds; nothing is stored.
"""

import argparse
import json
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx2
import redis

from deploy.embedded.postgres_server import EmbeddedPostgres
from deploy.embedded.redis_server import EmbeddedRedis
from deploy.migrations import migrate
from shared.api_keys import Scope
from tests.analytics_server import AnalyticsUnderTest
from tests.bench.machine import machine
from tests.bench.process_costs import cpu_seconds
from tests.export_process import ExportProcess, running_export_process
from tests.pipeline import KEYS, block, event, put

_ENTRY_EVENTS = 500
_TAIL = "/api/v1/live/events"


def main() -> None:
    """Prints a line a run."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.live_tail", description=__doc__)
    parser.add_argument("--rates", type=int, nargs="+", default=[1000, 10_000, 40_000], help="events a second")
    parser.add_argument("--viewers", type=int, nargs="+", default=[0, 1, 10])
    parser.add_argument("--seconds", type=float, default=5)
    options = parser.parse_args()
    print(json.dumps(machine()))
    print("| events/s | viewers | API, % of a core | Redis, % of a core | shown/s to each |\n|---|---|---|---|---|")
    with (
        tempfile.TemporaryDirectory(prefix="weir-bench-") as name,
        EmbeddedPostgres(Path(name, "postgres")) as postgres,
        EmbeddedRedis(Path(name, "redis")) as server,
    ):
        Path(name, "service").mkdir()
        migrate(postgres.url)
        with (
            running_export_process(postgres.url, server.url, Path(name, "service")) as process,
            redis.Redis.from_url(server.url) as client,
        ):
            key = AnalyticsUnderTest(postgres.url, str(process.http.base_url)).make_key("bench", Scope.ADMIN)
            for rate in options.rates:
                for viewers in options.viewers:
                    with _watching(process, key, viewers) as shown:
                        api, of_redis, put_rate = _measure(process, server, client, rate, options.seconds)
                        each = shown[0] / viewers / options.seconds if viewers else 0
                    print(f"| {put_rate:,.0f} | {viewers} | {api:.1f} | {of_redis:.1f} | {each:,.0f} |", flush=True)
                    client.delete(KEYS.events.stream)


def _measure(
    process: ExportProcess, server: EmbeddedRedis, client: "redis.Redis", rate: int, seconds: float
) -> tuple[float, float, float]:
    """CPU of both in per cent of a core, and the rate that was reached."""
    many = block(*(event(f"e{number}", b'{"text": "%s"}' % (b"x" * 200)) for number in range(_ENTRY_EVENTS)))
    pids = (process.service.process.pid, server.pid)
    before, began, done = [cpu_seconds(pid) for pid in pids], time.perf_counter(), 0
    while (passed := time.perf_counter() - began) < seconds:
        if done < passed * rate:
            put(client, many)
            done += _ENTRY_EVENTS
        else:
            time.sleep(0.002)
    passed = time.perf_counter() - began
    api, of_redis = (100 * (cpu_seconds(pid) - first) / passed for pid, first in zip(pids, before, strict=True))
    return api, of_redis, done / passed


@contextmanager
def _watching(process: ExportProcess, key: str, viewers: int) -> Iterator[list[int]]:
    """So many viewers, each on a thread; the list's one number counts the events that they were shown."""
    shown, ready, over = [0], threading.Barrier(viewers + 1), threading.Event()

    def watch() -> None:
        with (
            suppress(httpx2.ReadTimeout),  # nothing comes any more
            httpx2.Client(base_url=process.http.base_url, timeout=3) as http,
            http.stream("GET", _TAIL, headers={"X-API-Key": key}) as answer,
        ):
            ready.wait()
            for piece in answer.iter_bytes():
                shown[0] += piece.count(b"event: event\n")
                if over.is_set():
                    return

    threads = [threading.Thread(target=watch, daemon=True) for _ in range(viewers)]
    for thread in threads:
        thread.start()
    ready.wait()
    time.sleep(0.5)  # for the tail to find the stream's end
    yield shown
    over.set()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
