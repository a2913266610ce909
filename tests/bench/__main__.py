"""The command line of `make bench`. Exit code 1 when an event was lost."""

import argparse
import json
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from tests.bench.batches import measure_batches, measure_memory
from tests.bench.copy_floor import CopyFloor
from tests.bench.effort import FULL, QUICK, Effort
from tests.bench.figures import Findings
from tests.bench.half_rate import measure_queryable, measure_response
from tests.bench.machine import machine
from tests.bench.report import document, print_report
from tests.bench.singles import measure_singles
from tests.bench.stack import KINDS, Stack, running_stack

ROWS = {
    "a": "batches stored end to end, with c and e",
    "b": "single events",
    "c": "CPU of each part (with a)",
    "d": "latency at half the peak rate",
    "e": "memory at peak (with a)",
}
_EVENT_BATCH_SIZE = 5000  # the default of the setting, for the floor


def main() -> int:
    """Runs what was asked for, prints the table, writes the document."""
    options = _options()
    facts = machine()
    kinds = list(KINDS) if options.redis == "both" else [options.redis]
    found = [_measure(kind, options) for kind in kinds]
    print_report(facts, found)
    report = document(facts, found)
    options.json.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    print(json.dumps(report, ensure_ascii=False))
    if report["lost"]:
        print(f"{report['lost']} events were lost", file=sys.stderr)
        return 1
    return 0


def _measure(kind: str, options: argparse.Namespace) -> Findings:
    effort: Effort = QUICK if options.quick else FULL
    began = time.perf_counter()
    with (
        tempfile.TemporaryDirectory(prefix="weir-bench-") as folder,
        running_stack(kind, options.processors, Path(folder)) as stack,
    ):
        findings = Findings(kind, stack.versions)
        _rows(stack, set(options.only), effort, findings)
        findings.seconds = time.perf_counter() - began
    return findings


def _rows(stack: Stack, wanted: set[str], effort: Effort, findings: Findings) -> None:
    # Half of a peak needs the peak: d runs a and b too, as short as they can be.
    brief = effort if wanted & {"a", "c", "e"} else QUICK
    batch_peak = single_peak = 0.0
    if wanted & {"a", "c", "d", "e"}:
        floor = CopyFloor(stack.postgres.url, stack.folder, brief.floor_rows, _EVENT_BATCH_SIZE)
        batch_peak = measure_batches(stack, floor, brief, findings)
    if wanted & {"b", "d"}:
        single_peak = measure_singles(stack, effort if "b" in wanted else QUICK, findings)
    measure_memory(stack, findings)
    if "d" in wanted:
        measure_queryable(stack, batch_peak, effort, findings)
        measure_response(stack, single_peak, effort, findings)


def _options() -> argparse.Namespace:
    rows = "; ".join(f"{row}: {about}" for row, about in ROWS.items())
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=f"Measures Weir. Rows: {rows}.")
    parser.add_argument("--quick", action="store_true", help="one short run of each, for a first look")
    parser.add_argument("--only", type=_row_list, default=list(ROWS), help="rows, as a,b")
    parser.add_argument("--redis", choices=[*KINDS, "both"], default="both")
    parser.add_argument("--processors", type=int, default=1, help="processor processes [1]")
    default = Path(f"bench-{datetime.now(UTC):%Y-%m-%d}.json")
    parser.add_argument("--json", type=Path, default=default, help="where the document goes [%(default)s]")
    return parser.parse_args()


def _row_list(text: str) -> list[str]:
    rows = text.split(",")
    if unknown := set(rows) - set(ROWS):
        raise argparse.ArgumentTypeError(f"no such row: {', '.join(sorted(unknown))}; there are {', '.join(ROWS)}")
    return rows


if __name__ == "__main__":
    sys.exit(main())
