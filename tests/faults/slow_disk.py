"""Redis killed with -9 while its disk is slow: what a 202 waited for the disk for must be there afterwards.

    python -m tests.faults.slow_disk [--level fsync|server] [--kills 5] [--delay-ms 1500]

By hand, as root: strace (Debian's package of that name) makes every fdatasync of Redis take longer; it needs the right
to trace. With the level ``server`` it shows what the other is for. Exit code 1 when the level ``fsync`` lost anything.
"""

import argparse
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx2
import redis

from deploy.embedded.postgres_server import EmbeddedPostgres
from deploy.embedded.redis_server import EmbeddedRedis
from deploy.migrations import migrate
from shared.redis_keys import ShardKeys
from shared.stream_entry import decode_blocks
from tests.gateway_process import GatewayUnderTest, new_event, running_gateway
from tests.waiting import eventually

_CLIENTS = 16
_LOAD_SECONDS = 5.0


def main() -> int:
    """Loads, kills and looks, so many times over."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.slow_disk")
    parser.add_argument("--level", choices=("fsync", "server"), default="fsync")
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--delay-ms", type=int, default=1500)
    options = parser.parse_args()
    lost = 0
    with tempfile.TemporaryDirectory(prefix="weir-slow-disk-") as name:
        folder = Path(name)
        with EmbeddedPostgres(folder / "postgres") as postgres, EmbeddedRedis(folder / "redis") as server:
            migrate(postgres.url)
            settings = {"WEIR_DURABILITY": options.level, "WEIR_REDIS_TIMEOUT_MS": "10000"}
            with running_gateway(folder, postgres.url, server.url, **settings) as gateway:
                for kill in range(1, options.kills + 1):
                    acknowledged = _load_and_kill(gateway, server, options.delay_ms)
                    server.start()
                    missing = acknowledged - _kept(server.url)
                    lost += len(missing)
                    print(f"kill {kill}: {len(acknowledged)} acknowledged, {len(missing)} of them lost", flush=True)
                    eventually(lambda: gateway.http.get("/readyz").status_code == 200, within_seconds=30)
    print(f"level {options.level}, fdatasync {options.delay_ms} ms slower: {lost} lost in {options.kills} kills")
    return int(lost > 0 and options.level == "fsync")


def _load_and_kill(gateway: GatewayUnderTest, server: EmbeddedRedis, delay_ms: int) -> set[str]:
    """The ids of the events that were answered with 202 until Redis died."""
    acknowledged: set[str] = set()
    over = threading.Event()

    def post() -> None:
        with httpx2.Client(base_url=f"http://127.0.0.1:{gateway.port}", timeout=30) as client:
            while not over.is_set():
                event = new_event()
                answer = client.post("/api/v1/events/ingest", json=event, headers={"X-API-Key": gateway.key})
                if answer.status_code == 202:
                    acknowledged.add(event["event_id"])

    with ThreadPoolExecutor(_CLIENTS) as threads:
        with _slow_disk(server.pid, delay_ms):
            posting = [threads.submit(post) for _ in range(_CLIENTS)]
            time.sleep(_LOAD_SECONDS)  # so long is the load
            server.kill()
        over.set()
        for one in posting:
            one.result()
    return acknowledged


@contextmanager
def _slow_disk(pid: int, delay_ms: int) -> Iterator[None]:
    tracer = subprocess.Popen(
        ["strace", "-f", "-p", str(pid), "-e", "trace=fdatasync",
         "-e", f"inject=fdatasync:delay_enter={delay_ms * 1000}"],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert tracer.stderr is not None
    said = tracer.stderr.readline().decode()
    if "attached" not in said:
        sys.exit(f"strace cannot slow Redis' disk: {said.strip()}")
    threading.Thread(target=tracer.stderr.read, daemon=True).start()
    try:
        yield
    finally:
        tracer.terminate()
        tracer.wait(10)


def _kept(redis_url: str) -> set[str]:
    with redis.Redis.from_url(redis_url) as client:
        entries = client.xrange(ShardKeys(0).events.stream)
    return {event.event_id for _, fields in entries for block in decode_blocks(fields[b"e"]) for event in block.events}


if __name__ == "__main__":
    sys.exit(main())
