"""Figures, each beside its floor and its target."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from statistics import median


class Judgement(StrEnum):
    OK = "ok"
    BELOW = "below"
    REPORTED = "reported"


@dataclass(frozen=True)
class Target:
    """A bound on a figure's median, or, where there is a floor, on the median of its ratio to it."""

    at_least: float | None = None
    at_most: float | None = None

    def judge(self, value: float) -> Judgement:
        if self.at_least is None and self.at_most is None:
            return Judgement.REPORTED
        meets = value >= (self.at_least or 0) and (self.at_most is None or value <= self.at_most)
        return Judgement.OK if meets else Judgement.BELOW


@dataclass(frozen=True)
class Figure:
    """Repeated measurements of one thing; `floors[i]` was measured just before `values[i]`."""

    name: str
    unit: str
    values: Sequence[float]
    target: Target = field(default_factory=Target)
    floors: Sequence[float] = ()
    note: str = ""

    @property
    def ratios(self) -> list[float]:
        return [value / floor for value, floor in zip(self.values, self.floors, strict=False)]

    @property
    def judgement(self) -> Judgement:
        return self.target.judge(median(self.ratios or self.values))

    def as_document(self) -> dict[str, object]:
        return {
            "name": self.name,
            "unit": self.unit,
            "measured": spread(self.values),
            "floor": spread(self.floors) if self.floors else None,
            "ratio": spread(self.ratios) if self.floors else None,
            "target": {"at_least": self.target.at_least, "at_most": self.target.at_most},
            "judgement": self.judgement,
            "note": self.note,
        }


def spread(values: Sequence[float]) -> dict[str, object]:
    """Least, middle and greatest, and each value in the order measured."""
    return {
        "min": _rounded(min(values)),
        "median": _rounded(median(values)),
        "max": _rounded(max(values)),
        "each": [_rounded(value) for value in values],
    }


def _rounded(value: float) -> float:
    """Four significant digits: more than a noisy machine can tell."""
    return float(f"{value:.4g}")


@dataclass
class Findings:
    """All that was measured on one kind of Redis."""

    kind: str
    versions: dict[str, str]
    figures: list[Figure] = field(default_factory=list)
    lost: int = 0
    stored: int = 0
    seconds: float = 0.0
    warnings: list[str] = field(default_factory=list)
