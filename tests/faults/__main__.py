"""The command line of `make faults`. Exit code 1 when a promise was broken."""

import argparse
import json
import secrets
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from tests.faults import small_disk
from tests.faults.fault import Fault, all_faults
from tests.faults.report import document, table
from tests.faults.run import Plan, draw, run

_SECONDS_A_FAULT = 4.0


def main() -> int:
    """Draws the faults, runs, prints the table; what was broken leaves its logs behind."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))  # so that nothing is left behind
    chosen, left_out = _choose(options.only or list(all_faults()), options.without, on_disk=options.disk)
    plan = Plan(
        seed=options.seed,
        events=options.events,
        faults=draw(options.seed, chosen, options.faults),
        events_per_second=options.rate or max(1.2 * options.events / (options.faults * _SECONDS_A_FAULT), 500),
        seconds=options.seconds,
        on_small_disks=not options.disk and small_disk.why_none() is None,
        pairs=options.pairs,
    )
    began = time.monotonic()

    def tell(line: str) -> None:
        print(f"{time.monotonic() - began:7.1f} s  {line}", flush=True)

    tell(f"seed {plan.seed}: {options.events} events at {plan.events_per_second:.0f}/s, {options.faults} faults")
    folder = Path(tempfile.mkdtemp(prefix="weir-faults-"))
    told = document(plan, run(plan, folder, tell), left_out)
    print(table(told))
    if options.json:
        options.json.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n")
    if told["violations"]:
        print(f"the logs are in {folder}; the same again: --seed {plan.seed}", file=sys.stderr)
        return 1
    shutil.rmtree(folder)
    return 0


def _choose(names: list[str], without: list[str], *, on_disk: bool) -> tuple[list[Fault], dict[str, str]]:
    """The faults that can strike here, and of the others why they do not."""
    faults = all_faults()
    why = "the servers' data lie on the machine's own disk (--disk)" if on_disk else small_disk.why_none()
    left_out = {name: why for name in names if why and faults[name].small_disk}
    left_out |= dict.fromkeys(without, "as asked (--without)")
    return [faults[name] for name in names if name not in left_out], left_out


def _options() -> argparse.Namespace:
    kinds = "; ".join(f"{fault.name}: {fault.about}" for fault in all_faults().values())
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults", description=f"Hurts Weir and looks what it kept. {kinds}."
    )
    parser.add_argument("--seed", default=secrets.token_hex(4), help="of the run that is to be repeated")
    parser.add_argument("--events", type=int, default=20_000, help="to be acknowledged at least [%(default)s]")
    parser.add_argument("--faults", type=int, default=10, help="how many [%(default)s]")
    parser.add_argument("--seconds", type=float, default=3600, help="no fault strikes after so long [%(default)s]")
    parser.add_argument(
        "--pairs",
        type=_share,
        default=0.4,
        metavar="SHARE",
        help="of the faults, that strike two at once [%(default)s]",
    )
    parser.add_argument("--rate", type=float, help="events a second; chosen so that they last for all faults")
    parser.add_argument("--only", type=_names, metavar="NAME,…", help="kinds of faults; all, if not given")
    parser.add_argument("--without", type=_names, default=[], metavar="NAME,…", help="kinds of faults to leave out")
    parser.add_argument("--disk", action="store_true", help="the machine's own disk under the servers, not small ones")
    parser.add_argument("--json", type=Path, metavar="PATH", help="where the result goes as a document")
    return parser.parse_args()


def _share(text: str) -> float:
    share = float(text)
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError("a share is between 0 and 1")
    return share


def _names(text: str) -> list[str]:
    names = text.split(",")
    if unknown := set(names) - set(all_faults()):
        raise argparse.ArgumentTypeError(f"no such fault: {', '.join(sorted(unknown))}")
    return names


if __name__ == "__main__":
    sys.exit(main())
