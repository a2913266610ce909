"""A cut range as the parameters that queries over several levels take."""

from collections.abc import Sequence

from analytics_api.moments import Moments
from analytics_api.rollup_levels import Levels

SpanValues = dict[str, object]


def span_values(levels: Levels, bounds_us: Sequence[int]) -> SpanValues:
    """``day_starts``, ``day_ends`` and so on for each level and for ``whole``; the buckets as ``starts``."""
    starts = Moments(bounds_us[:-1])
    values: SpanValues = {"starts": starts, "one_bucket": len(starts) == 1}
    spans = {"day": levels.days, "hour": levels.hours, "minute": levels.minutes, "whole": levels.whole}
    for name, each in spans.items():
        values |= {f"{name}_starts": Moments(each.starts), f"{name}_ends": Moments(each.ends)}
    return values
