"""What each durability level costs: single events and batches, side by side, round by round.

    python -m tests.bench.durability [--redis valkey|redis8] [--seconds 5] [--rounds 2]

A fresh stack for every run; all levels in turn in each round, so that a noisy machine is noisy to all of them. The
replica runs on the same machine: a real one costs a round trip of the network more, and no CPU here.
"""

import argparse
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

import redis

from deploy.embedded.redis_server import EmbeddedRedis
from tests.bench.stack import KINDS, Stack, running_stack
from tests.bench.wrk import WrkLoad, WrkResult, run_wrk
from tests.waiting import eventually

SINGLES, BATCHES = (1, 32), (500, 8)
"""Events a request, connections."""


@dataclass(frozen=True)
class Case:
    """A level and the fsync policy of the server under it."""

    level: str
    appendfsync: str

    @property
    def name(self) -> str:
        return f"`{self.level}`, appendfsync {self.appendfsync}"


CASES = [
    Case("server", "everysec"),
    Case("replica", "everysec"),
    Case("server", "always"),
    Case("fsync", "always"),
    Case("fsync", "everysec"),
]


def main() -> None:
    """Measures all levels and prints a table in Markdown."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.durability")
    parser.add_argument("--redis", choices=list(KINDS), default="valkey")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    runs: dict[tuple[Case, tuple[int, int]], list[WrkResult]] = defaultdict(list)
    for _ in range(options.rounds):
        for case in CASES:
            with (
                tempfile.TemporaryDirectory(prefix="weir-bench-") as folder,
                _running(options.redis, case, Path(folder)) as stack,
            ):
                for load in (SINGLES, BATCHES):
                    runs[case, load].append(_run(stack, load, options.seconds))
    _print(runs)


@contextmanager
def _running(kind: str, case: Case, folder: Path) -> Iterator[Stack]:
    redis_config = {"appendfsync": case.appendfsync, "repl-diskless-sync-delay": "0"}
    # Before its replica follows, a gateway of that level is ready all the same, and answers 503.
    with running_stack(kind, 1, folder, redis_config=redis_config, settings={"WEIR_DURABILITY": case.level}) as stack:
        if case.level != "replica":
            yield stack
            return
        follows = {"replicaof": f"127.0.0.1 {stack.redis.port}", "masterauth": str(urlsplit(stack.redis.url).password)}
        with (
            EmbeddedRedis(folder / "replica", binary=KINDS[kind][1](), extra_config=follows) as replica,
            redis.Redis.from_url(replica.url) as client,
        ):
            eventually(lambda: client.info("replication")["master_link_status"] == "up", within_seconds=30)
            yield stack


def _run(stack: Stack, load: tuple[int, int], seconds: float) -> WrkResult:
    batch, connections = load
    run_wrk(WrkLoad(batch, connections, 1), stack.gateway_url, stack.key, stack.folder)
    seen = run_wrk(WrkLoad(batch, connections, seconds), stack.gateway_url, stack.key, stack.folder)
    stack.assert_alive()
    assert seen.refused == 0, f"{seen.refused} requests were refused"
    return seen


def _print(runs: dict[tuple[Case, tuple[int, int]], list[WrkResult]]) -> None:
    print("| level | single events/s | ratio | p50, p99 ms | batches: events/s | ratio | p50, p99 ms |")
    print("|---|---|---|---|---|---|---|")
    for case in CASES:
        cells = []
        for load in (SINGLES, BATCHES):
            found, floor = runs[case, load], runs[CASES[0], load]
            ratio = median(one.rate / first.rate for one, first in zip(found, floor, strict=True))
            p50, p99 = (median(getattr(one, name) for one in found) for name in ("p50_ms", "p99_ms"))
            cells += [f"{median(one.rate for one in found) * load[0]:,.0f}", f"{ratio:.2f}", f"{p50:.1f}, {p99:.0f}"]
        print(f"| {case.name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
