"""Cutting a range: together the parts are the range, none holds a bound inside, and each is as coarse as can be."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from analytics_api.rollup_levels import DAY_US, HOUR_US, MINUTE_US, Levels, Spans, cut_at_levels

START = 20_000 * DAY_US
STEPS = st.one_of(
    st.integers(1, 3 * MINUTE_US),
    st.integers(1, 300).map(lambda minutes: minutes * MINUTE_US),
    st.integers(1, 60).map(lambda hours: hours * HOUR_US),
    st.integers(1, 9).map(lambda days: days * DAY_US),
)
BOUNDS = st.tuples(
    st.sampled_from([0, DAY_US - 1, 17, 45 * MINUTE_US, 3 * HOUR_US]), st.lists(STEPS, min_size=1, max_size=8)
).map(lambda drawn: [START + drawn[0] + sum(drawn[1][:n]) for n in range(len(drawn[1]) + 1)])
LENGTHS = {"days": DAY_US, "hours": HOUR_US, "minutes": MINUTE_US}


def blocks(levels: Levels) -> list[tuple[int, int]]:
    """Every day, hour and minute, and the edges, in order."""
    found = list(levels.edges)
    for name, length in LENGTHS.items():
        for start, end in getattr(levels, name):
            assert start % length == end % length == 0
            found += [(at, at + length) for at in range(start, end, length)]
    return sorted(found)


@given(BOUNDS)
def test_the_parts_are_the_range_and_none_holds_a_bound_inside(bounds: list[int]) -> None:
    levels = cut_at_levels(bounds)
    parts = blocks(levels)
    assert (parts[0][0], parts[-1][1]) == (bounds[0], bounds[-1])
    assert all(end == start for (_, end), (start, _) in pairwise(parts))
    edges = set(levels.edges)
    for bound in bounds:
        assert not any(start < bound < end for start, end in parts if (start, end) not in edges)


@given(BOUNDS)
def test_an_edge_is_the_part_of_a_minute_that_holds_a_bound(bounds: list[int]) -> None:
    edges = cut_at_levels(bounds).edges
    minutes = [start // MINUTE_US for start, _ in edges]
    assert len(set(minutes)) == len(minutes)
    for start, end in edges:
        assert (end - 1) // MINUTE_US == start // MINUTE_US
        assert any(start <= bound <= end and bound % MINUTE_US for bound in bounds)


@given(BOUNDS)
def test_what_fits_a_coarser_level_is_not_cut_finer(bounds: list[int]) -> None:
    levels = cut_at_levels(bounds)
    for coarse, fine in (("days", "hours"), ("hours", "minutes")):
        length = LENGTHS[coarse]
        for start, end in getattr(levels, fine):
            first, last = -(-start // length) * length, end // length * length
            for at in range(first, last, length):
                assert any(at < bound < at + length for bound in bounds)


@given(BOUNDS)
def test_whole_spans_are_days_hours_and_minutes_together(bounds: list[int]) -> None:
    levels = cut_at_levels(bounds)
    assert joined([*levels.days, *levels.hours, *levels.minutes]) == list(levels.whole)
    finer = levels.without_hours()
    assert list(finer.hours) == []
    assert joined([*finer.days, *finer.minutes]) == list(levels.whole)


def joined(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    found = Spans()
    for start, end in sorted(spans):
        found.add(start, end)
    return list(found)
