"""One run: producers post, faults strike, the system drains by itself, the oracle judges."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import psycopg
import redis

from tests.faults.fault import Fault
from tests.faults.oracle import Verdict, judge
from tests.faults.pairs import pair_up
from tests.faults.reconcile import reconcile
from tests.faults.scene import Scene, scene

DRAIN_SECONDS = 60.0
"""In which everything that was accepted must be stored or given up, once nobody posts and nothing is broken."""
FLOW_SECONDS = 20.0
"""In which events must be stored again once a fault is over."""
_IN_QUICK_SUCCESSION = 0.3


@dataclass(frozen=True)
class Plan:
    """What a run is made of; the seed decides which faults strike, in which order, and how."""

    seed: str
    events: int
    """To be acknowledged at least."""
    faults: Sequence[Fault]
    events_per_second: float
    seconds: float
    """No fault strikes after so long."""
    on_small_disks: bool
    pairs: float = 0.0
    """The share of faults that strike two at a time."""


@dataclass
class Result:
    """What came of it."""

    verdict: Verdict
    struck: Counter[str] = field(default_factory=Counter)
    pairs: int = 0
    """How often two struck together."""
    seconds: float = 0.0
    drain_seconds: float = 0.0
    versions: tuple[str, ...] = ()


def draw(seed: str, kinds: Sequence[Fault], count: int) -> list[Fault]:
    """So many faults by chance, each kind before any comes again."""
    chance = Random(f"{seed}:faults")
    drawn: list[Fault] = []
    while len(drawn) < count:
        drawn += chance.sample(list(kinds), len(kinds))
    return drawn[:count]


def run(plan: Plan, folder: Path, tell: Callable[[str], None]) -> Result:
    """Blocks for as long as it takes. Raises nothing for a broken promise: the verdict says which."""
    began = time.monotonic()
    with scene(folder, on_small_disks=plan.on_small_disks) as target:
        result = Result(Verdict(), versions=(target.redis.version, target.postgres.version))
        broken = result.verdict.violations
        producers = target.start_producers(plan.seed, plan.events_per_second)
        try:
            _strike_all(plan, target, result, tell, began)
            _await_acknowledged(plan, target, tell)
        finally:
            producers.stop()
        if producers.failed is not None:
            broken.append(f"the producers failed: {producers.failed!r}")
        result.drain_seconds = drain(target, broken)
        tell(f"drained in {result.drain_seconds:.1f} s; {target.log.acknowledged} acknowledged; now the oracle")
        result.verdict = judge(target)
        result.verdict.violations[:0] = broken
        result.verdict.violations += reconcile(target)
    result.seconds = time.monotonic() - began
    return result


def _strike_all(plan: Plan, target: Scene, result: Result, tell: Callable[[str], None], began: float) -> None:
    await_flow(target, 0)
    strikes = pair_up(plan.seed, plan.faults, plan.pairs)
    for number, faults in enumerate(strikes, start=1):
        if time.monotonic() - began > plan.seconds:
            tell(f"the time is up before strike {number}")
            return
        _strike(plan, target, result, tell, f"{number}/{len(strikes)}", faults)


def _strike(
    plan: Plan, target: Scene, result: Result, tell: Callable[[str], None], number: str, faults: Sequence[Fault]
) -> None:
    names = " with ".join(fault.name for fault in faults)
    chance = Random(f"{plan.seed}:{number.partition('/')[0]}")
    started = time.monotonic()
    injected = inject(target, faults, chance.getrandbits(32))
    result.pairs += len(faults) > 1
    for fault, (word, has_struck) in zip(faults, injected, strict=True):
        result.struck[fault.name] += has_struck
        if not has_struck and len(faults) == 1:
            result.verdict.violations.append(f"fault {number} {fault.name} {word}")
    seconds = time.monotonic() - started
    target.links.heal()
    for news in target.revive():
        result.verdict.violations.append(f"fault {number} {names}: {news}")
    recovered = ""
    if chance.random() > _IN_QUICK_SUCCESSION:
        flow_seconds = await_flow(target, target.settled())
        recovered = f", stored again after {flow_seconds:.1f} s"
        if flow_seconds > FLOW_SECONDS:
            result.verdict.violations.append(
                f"fault {number} {names}: nothing was stored for {flow_seconds:.0f} s after it"
            )
    words = "; ".join(word for word, _ in injected if word)
    tell(f"{number} {names} {words} [{seconds:.1f} s{recovered}] {target.log.acknowledged} acknowledged")


def inject(target: Scene, faults: Sequence[Fault], seed: int) -> list[tuple[str, bool]]:
    """Inject all at once and wait until the last cause is gone; of each a word, and whether it struck.

    One of two may find nothing that it could hurt beside the other: that is no broken promise.
    """

    def one(place: int) -> tuple[str, bool]:
        try:
            return faults[place].inject(target, Random(f"{seed}:{place}")) or "", True
        except AssertionError as error:
            return f"could not be injected: {error}", False
        except (redis.RedisError, psycopg.Error, OSError) as error:
            if len(faults) == 1:
                raise
            return f"could not be injected: {type(error).__name__}", False

    with ThreadPoolExecutor(len(faults)) as threads:
        return list(threads.map(one, range(len(faults))))


def await_flow(target: Scene, before: int) -> float:
    """Seconds until more is settled than `before`; it gives up after three times what is allowed."""
    began = time.monotonic()
    while target.settled() <= before and time.monotonic() - began < 3 * FLOW_SECONDS:
        time.sleep(0.05)
    return time.monotonic() - began


def _await_acknowledged(plan: Plan, target: Scene, tell: Callable[[str], None]) -> None:
    while target.log.acknowledged < plan.events and target.producers.failed is None:
        tell(f"all faults have struck; {target.log.acknowledged} of {plan.events} acknowledged")
        deadline = time.monotonic() + 10
        while target.log.acknowledged < plan.events and time.monotonic() < deadline:
            time.sleep(0.05)


def drain(target: Scene, violations: list[str]) -> float:
    """Wait until nothing is left; the seconds that took. What takes longer than it may is a violation."""
    began = time.monotonic()
    while not target.is_drained():
        if time.monotonic() - began > DRAIN_SECONDS:
            violations.append(f"not drained after {DRAIN_SECONDS:.0f} s: {target.backlog()}")
            break
        time.sleep(0.05)
    return time.monotonic() - began
