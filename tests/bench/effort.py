"""How long and how often to measure."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Effort:
    """Seconds of a run, runs of a figure, rows of the floor. Short runs see no checkpoint and no full cache."""

    seconds: float
    warm_seconds: float
    rounds: int
    floor_rows: int


FULL = Effort(seconds=12, warm_seconds=4, rounds=3, floor_rows=600_000)
QUICK = Effort(seconds=4, warm_seconds=2, rounds=1, floor_rows=100_000)
