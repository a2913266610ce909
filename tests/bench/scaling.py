"""What more of each part brings: processors, gateways and shards, side by side in one run. Exit code 1 for a loss.

    python -m tests.bench.scaling [--quick] [--redis redis8|valkey] [--rounds 1] [--json FILE]

A fresh stack for every row; the first row is measured again at the end, and what it differs by is the machine's doing.
The load is the same for all: batches of 500 by three clients, each of another of three shards, over 12 connections in
all, spread over the gateways. It runs on the same machine: where all cores are in use, more processes bring nothing.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from deploy.embedded.child_process import ChildProcess
from shared.redis_keys import shard_of
from tests.bench.disturbance import watched
from tests.bench.figures import Findings
from tests.bench.ledger import Ledger
from tests.bench.machine import machine
from tests.bench.process_costs import costs
from tests.bench.stack import KINDS, Stack, another_gateway, make_key, running_stack
from tests.bench.wrk import WrkLoad, WrkResult, run_wrk

BATCH = 500
_CONNECTIONS = 12
_SHARDS = 3
_WARM_SECONDS = 2


@dataclass(frozen=True)
class Case:
    """How many of each part."""

    gateways: int = 1
    processors: int = 1
    shards: int = 1

    @property
    def name(self) -> str:
        return f"{self.gateways} gateway(s), {self.processors} processor(s), {self.shards} shard(s)"


CASES = (Case(), Case(processors=2), Case(processors=4), Case(gateways=2), Case(shards=_SHARDS), Case())


@dataclass(frozen=True)
class Row:
    """Rates in events a second, CPU µs a stored event by part."""

    accepted_rate: float
    stored_rate: float
    cpu_us: dict[str, float]
    stored: int
    lost: int


def main() -> int:
    """Measures, prints the table and the document, writes the document if a file is named."""
    options = _options()
    facts, warnings = machine(), set[str]()
    rows: list[list[Row]] = [[] for _ in CASES]
    for _ in range(options.rounds):
        for place, case in enumerate(CASES):
            rows[place].append(_measure(case, options.redis, 4 if options.quick else 10, warnings))
    cases = zip(CASES, rows, strict=True)
    document = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": facts,
        "redis": options.redis,
        "lost": sum(row.lost for found in rows for row in found),
        "warnings": sorted(warnings),
        "rows": [{"case": asdict(case), "runs": [asdict(row) for row in found]} for case, found in cases],
    }
    _print(facts, rows, warnings)
    if options.json:
        options.json.write_text(json.dumps(document, indent=1) + "\n")
    print(json.dumps(document))
    return 1 if document["lost"] else 0


def _measure(case: Case, kind: str, seconds: float, warnings: set[str]) -> Row:
    settings = {"WEIR_STREAM_SHARDS": str(case.shards)}
    with (
        tempfile.TemporaryDirectory(prefix="weir-bench-") as folder,
        running_stack(kind, case.processors, Path(folder), settings=settings) as stack,
        _gateways(stack, case.gateways) as (urls, parts),
    ):
        keys = [make_key(stack, client) for client in _clients()]
        ledger, findings = Ledger(stack, case.shards), Findings(kind, stack.versions)
        _load(stack.folder, urls, keys, _WARM_SECONDS)
        ledger.open_books()
        before, began = costs(parts), time.perf_counter()
        with watched(findings, case.name):
            seen = _load(stack.folder, urls, keys, seconds)
            outcome = ledger.close_books(sum(one.requests - one.refused for one in seen) * BATCH, BATCH)
        after = costs(parts)
    warnings.update(findings.warnings)
    warnings.update(f"{case.name}: {one.refused} refused, {one.cut} cut" for one in seen if one.refused or one.cut)
    return Row(
        sum(one.rate for one in seen) * BATCH,
        outcome.stored / (outcome.stored_at - began),
        {part: (after[part] - before[part]) / outcome.stored * 1e6 for part in before},
        outcome.stored,
        outcome.lost,
    )


@contextmanager
def _gateways(stack: Stack, wanted: int) -> Iterator[tuple[list[str], dict[str, list[int]]]]:
    """The stack's gateway and more beside it: their addresses, and all processes by part."""
    urls = [stack.gateway_url]
    others: list[ChildProcess] = []
    with ExitStack() as started:
        for number in range(1, wanted):
            url, process = started.enter_context(another_gateway(stack, number))
            urls.append(url)
            others.append(process)
        parts = stack.parts
        yield urls, {**parts, "gateway": [*parts["gateway"], *(one.pid for one in others)]}


def _load(folder: Path, urls: Sequence[str], keys: Sequence[str], seconds: float) -> list[WrkResult]:
    """All generators at once: one for each client at each gateway."""
    load = WrkLoad(BATCH, _CONNECTIONS // (len(urls) * len(keys)), seconds)
    with ThreadPoolExecutor(len(urls) * len(keys)) as pool:
        runs = [
            pool.submit(run_wrk, load, url, key, _made(folder / f"wrk-{number}-{place}"))
            for number, url in enumerate(urls)
            for place, key in enumerate(keys)
        ]
        return [run.result() for run in runs]


def _made(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return folder


def _clients() -> list[str]:
    """A client of each shard, where there are three."""
    names = [f"bench-{number}" for number in range(100)]
    return [next(name for name in names if shard_of(name, _SHARDS) == shard) for shard in range(_SHARDS)]


def _print(facts: dict[str, object], rows: list[list[Row]], warnings: set[str]) -> None:
    print(" · ".join(f"{name} {value}" for name, value in facts.items()) + "\n")
    parts = list(rows[0][0].cpu_us)
    print(f"| | stored/s | ratio | accepted/s | CPU µs an event: {' · '.join(parts)} | in all | lost |")
    print("|---|---|---|---|---|---|---|")
    first = median(row.stored_rate for row in rows[0])
    for place, (case, found) in enumerate(zip(CASES, rows, strict=True)):
        again = ", again" if case in CASES[:place] else ""
        stored, accepted = (median(getattr(row, name) for row in found) for name in ("stored_rate", "accepted_rate"))
        cpu = [median(row.cpu_us[part] for row in found) for part in parts]
        each = " · ".join(f"{one:.1f}" for one in cpu)
        lost = sum(row.lost for row in found)
        print(
            f"| {case.name}{again} | {stored:,.0f} | {stored / first:.2f} | {accepted:,.0f} | {each} | {sum(cpu):.0f} "
            f"| {lost} of {sum(row.stored for row in found):,} |"
        )
    for warning in sorted(warnings):
        print(f"note: {warning}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.scaling", description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="4 s a row instead of 10")
    parser.add_argument("--redis", choices=list(KINDS), default="redis8")
    parser.add_argument("--rounds", type=int, default=1, help="rows of all kinds in turn, so often; medians are shown")
    parser.add_argument("--json", type=Path, help="where the document goes as well")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
