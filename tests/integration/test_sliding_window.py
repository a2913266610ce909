"""The rate limit is exact: no window ever holds more than it may, and nothing is refused that would fit."""

import time
from collections.abc import Iterator

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.redis_functions import RedisFunction
from shared.redis_keys import ShardKeys
from tests.servers import EmbeddedUnderTest
from tests.waiting import eventually

ADMIT_AT = RedisFunction("tests", "admit_at")
ADMIT_TOGETHER = RedisFunction("tests", "admit_together")
ADMIT_NOW = RedisFunction("shared", "admit_request")
LIMIT_LIST = ShardKeys(0).limit("k")

on_each_server = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)


@pytest.fixture
def client(any_redis: EmbeddedUnderTest) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(any_redis.url) as connected:
        yield connected


@st.composite
def call_times(draw: st.DrawFn) -> tuple[int, int, list[int]]:
    """A limit, a window and the times of calls, crowded where windows end; now and then a clock steps back."""
    window = draw(st.integers(1, 50))
    steps = draw(st.lists(st.sampled_from([0, 0, 1, window - 1, window, window + 1, -3, 7]), min_size=1, max_size=120))
    now, times = 1_700_000_000_000_000, []
    for step in steps:
        now += step
        times.append(now)
    return draw(st.integers(1, 12)), window, times


def brute_force(limit: int, window: int, times: list[int]) -> list[tuple[int, int, int]]:
    """Admitted, remaining and time to the next free place, by looking at every admission ever made."""
    admitted: list[int] = []
    told = []
    for time_us in times:
        now = max([time_us, *admitted[-1:]])
        inside = [at for at in admitted if at > now - window]
        if len(inside) < limit:
            admitted.append(now)
            inside.append(now)
            told.append((1, limit - len(inside), inside[0] + window - now))
        else:
            told.append((0, 0, inside[0] + window - now))
    return told


@on_each_server
@given(call_times())
def test_the_window_decides_as_a_recount_of_every_admission_would(
    client: redis.Redis, case: tuple[int, int, list[int]]
) -> None:
    limit, window, times = case
    told = ADMIT_AT.call(client, [LIMIT_LIST], limit, window, *times)
    assert [tuple(one[:3]) for one in told] == brute_force(limit, window, times)


@on_each_server
@given(call_times())
def test_no_half_open_window_holds_more_than_the_limit_and_memory_no_more_either(
    client: redis.Redis, case: tuple[int, int, list[int]]
) -> None:
    limit, window, times = case
    times.sort()
    told = ADMIT_AT.call(client, [LIMIT_LIST], limit, window, *times)
    admitted = [at for at, (was_admitted, *_) in zip(times, told, strict=True) if was_admitted]
    assert all(sum(start <= at < start + window for at in admitted) <= limit for start in admitted)
    assert max(length for *_, length in told) <= limit


Call = tuple[int, int, int]
"""Limit, time and requests."""


@st.composite
def calls_together(draw: st.DrawFn) -> tuple[int, list[Call]]:
    """A window and calls of several requests, whose limit changes meanwhile; often few have left, now and then all."""
    window = draw(st.integers(1, 50))
    steps = st.sampled_from([0, 1, 1, 1, 2, window - 1, window, window + 1, -3])
    parts = draw(st.lists(st.tuples(st.integers(1, 40), steps, st.integers(0, 9)), min_size=1, max_size=120))
    usual = draw(st.integers(1, 200))
    changes = draw(st.booleans())
    now, calls = 1_700_000_000_000_000, []
    for limit, step, requests in parts:
        now += step
        calls.append((limit if changes and limit < 9 else usual, now, requests))
    return window, calls


def recount(window: int, calls: list[Call]) -> list[tuple[int, int, int]]:
    """Admitted, remaining and time to the next free place after each call, by looking at every admission ever made."""
    admitted: list[int] = []
    told = []
    for limit, time_us, requests in calls:
        now = max([time_us, *admitted[-1:]])
        inside = [at for at in admitted if at > now - window]
        fitting = min(requests, max(limit - len(inside), 0))
        admitted += [now] * fitting
        inside += [now] * fitting
        told.append((fitting, max(limit - len(inside), 0), (inside[0] if inside else now) + window - now))
    return told


@on_each_server
@given(calls_together())
def test_calls_of_several_requests_are_admitted_as_by_a_recount_while_the_limit_changes(
    client: redis.Redis, case: tuple[int, list[Call]]
) -> None:
    window, calls = case
    told = ADMIT_TOGETHER.call(client, [LIMIT_LIST], window, *(value for call in calls for value in call))
    assert [tuple(one[:3]) for one in told] == recount(window, calls)
    highest = max(limit for limit, *_ in calls)
    assert max(length for *_, length in told) <= highest


@pytest.mark.parametrize("calls", [1, 2, 3, 17, 64, 100])
def test_whatever_number_of_calls_has_left_exactly_they_are_forgotten(client: redis.Redis, calls: int) -> None:
    limit, window = 3 * calls, 1000
    before = [value for at in range(calls) for value in (limit, at, 3)]
    for left in range(1, calls + 1):
        told = ADMIT_TOGETHER.call(client, [LIMIT_LIST], window, *before, limit, window + left - 1, limit)
        assert told[-1] == [3 * left, 0, 1 if left < calls else window, calls - left + 1]


def test_a_call_takes_one_place_however_many_it_admits(client: redis.Redis) -> None:
    told = ADMIT_TOGETHER.call(client, [LIMIT_LIST], 1000, 10_000, 5000, 9000, 10_000, 5001, 2000)
    assert told == [[9000, 1000, 1000, 1], [1000, 0, 999, 2]]


@pytest.mark.parametrize("limit", [1000, 3000])
def test_a_large_window_that_ended_is_forgotten_at_once(client: redis.Redis, limit: int) -> None:
    *_, before, after = ADMIT_AT.call(client, [LIMIT_LIST], limit, 1000, *[5000] * limit, 5999, 6000)
    assert before == [0, 0, 1, limit]
    assert after == [1, limit - 1, 1000, 1]


def test_by_the_servers_own_clock_the_limit_holds_and_its_memory_goes_with_the_window(client: redis.Redis) -> None:
    limit, window_us, admitted = 4, 400_000, []
    deadline = time.monotonic() + 1.1
    while time.monotonic() < deadline:
        if ADMIT_NOW.call(client, [LIMIT_LIST], limit, window_us)[0]:
            newest = client.lindex(LIMIT_LIST, 0)
            assert newest is not None
            admitted.append(int.from_bytes(newest[:7], "big"))  # its time: see sliding_window.lua
    assert len(admitted) in (2 * limit, 3 * limit)
    assert all(later - earlier >= window_us for earlier, later in zip(admitted, admitted[limit:], strict=False))
    eventually(lambda: not client.exists(LIMIT_LIST), within_seconds=3, what="the limit list expires")
