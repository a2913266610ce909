"""How many processors an age asks for: up soon, down slowly, and never to and fro."""

from dataclasses import dataclass
from math import ceil
from typing import Final

from shared.fleet_target import AutoPolicy

UP_AFTER_SECONDS: Final = 3.0
"""An age above the target for so long is no passing burst."""
SETTLE_SECONDS: Final = 6.0
"""What a new processor takes to start and show its effect, before more are asked for."""
DOWN_AFTER_SECONDS: Final = 30.0
"""An age below half of the target for so long: one processor fewer, and then the same again."""
_MOST_GROWTH: Final = 2


@dataclass(slots=True)
class AutoScale:
    """Looks at the age once a second and says how many processors there should be. Times are monotonic seconds."""

    over_since: float | None = None
    under_since: float | None = None
    changed_at: float = float("-inf")

    def look(self, now: float, age_seconds: float, count: int, policy: AutoPolicy) -> int:
        """The number for this moment, within the bounds of the policy."""
        wanted = min(max(count, policy.least), policy.most)
        self.over_since = (self.over_since or now) if age_seconds > policy.target_lag_seconds else None
        self.under_since = (self.under_since or now) if age_seconds < policy.target_lag_seconds / 2 else None
        since_change = now - self.changed_at
        if _lasts(self.over_since, now, UP_AFTER_SECONDS) and since_change >= SETTLE_SECONDS:
            growth = min(age_seconds / policy.target_lag_seconds, _MOST_GROWTH)
            wanted = min(max(wanted + 1, ceil(wanted * growth)), policy.most)
        elif _lasts(self.under_since, now, DOWN_AFTER_SECONDS) and since_change >= DOWN_AFTER_SECONDS:
            wanted = max(wanted - 1, policy.least)
        if wanted != count:
            self.changed_at = now
        return wanted


def _lasts(since: float | None, now: float, seconds: float) -> bool:
    return since is not None and now - since >= seconds
