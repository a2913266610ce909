"""How processors are shared among supervisors, and how their number follows the age of the oldest event."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from deploy.fleet.autoscale import DOWN_AFTER_SECONDS, SETTLE_SECONDS, UP_AFTER_SECONDS, AutoScale
from shared.fleet_target import AutoPolicy, share_of

POLICY = AutoPolicy(least=1, most=8, target_lag_seconds=5)

names = st.lists(st.text("abc-01", min_size=1, max_size=6), min_size=1, max_size=9, unique=True)


@given(names, st.integers(0, 1024))
def test_shares_add_up_and_differ_by_one_at_most(supervisors: list[str], count: int) -> None:
    shares = [share_of(name, supervisors, count) for name in supervisors]
    assert sum(shares) == count
    assert max(shares) - min(shares) <= 1


@given(names, st.integers(0, 99))
def test_a_share_does_not_depend_on_the_order_of_the_others(supervisors: list[str], count: int) -> None:
    assert share_of(supervisors[0], supervisors[::-1], count) == share_of(supervisors[0], supervisors, count)


def follow(ages: list[float], count: int = 1, policy: AutoPolicy = POLICY) -> list[int]:
    """The number after each second of these ages."""
    scale, counts = AutoScale(), []
    for second, age in enumerate(ages, start=100):
        count = scale.look(second, age, count, policy)
        counts.append(count)
    return counts


def test_a_passing_burst_changes_nothing() -> None:
    assert set(follow([0, 9, 9, 0, 9, 9, 0] * 9)) == {1}


def test_an_age_that_stays_too_high_doubles_the_number_up_to_the_most() -> None:
    counts = follow([60.0] * 40)
    assert counts[int(UP_AFTER_SECONDS)] == 2
    assert sorted(set(counts)) == [1, 2, 4, 8]
    rises = [second for second in range(1, len(counts)) if counts[second] > counts[second - 1]]
    assert all(later - sooner >= SETTLE_SECONDS for sooner, later in itertools.pairwise(rises))


def test_an_age_little_above_the_target_adds_one() -> None:
    assert follow([5.5] * 5, count=4)[-1] == 5


def test_it_comes_back_one_at_a_time_and_slowly() -> None:
    counts = follow([0.0] * int(DOWN_AFTER_SECONDS * 3), count=3)
    assert counts[-1] == 1
    falls = [second for second in range(1, len(counts)) if counts[second] < counts[second - 1]]
    assert len(falls) == 2
    assert falls[1] - falls[0] >= DOWN_AFTER_SECONDS


def test_an_age_between_half_the_target_and_the_target_keeps_the_number() -> None:
    assert set(follow([3.0] * 200, count=4)) == {4}


def test_bounds_hold_at_once() -> None:
    assert follow([0.0], count=50) == [8]
    assert follow([0.0], count=0, policy=AutoPolicy(2, 8, 5)) == [2]


@given(st.lists(st.floats(0, 1000, allow_nan=False), max_size=200), st.integers(0, 20))
def test_it_never_leaves_its_bounds(ages: list[float], count: int) -> None:
    assert all(1 <= one <= 8 for one in follow(ages, count))
