"""The rate limit is exact: no window ever holds more than it may, and nothing is refused that would fit."""

import time
from collections.abc import Iterator

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.redis_functions import RedisFunction
from tests.servers import EmbeddedUnderTest
from tests.waiting import eventually

ADMIT_AT = RedisFunction("tests", "admit_at")
ADMIT_NOW = RedisFunction("shared", "admit_request")
LIMIT_LIST = "weir:{0}:limit:k"

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
            admitted.append(int(newest or 0))
    assert len(admitted) in (2 * limit, 3 * limit)
    assert all(later - earlier >= window_us for earlier, later in zip(admitted, admitted[limit:], strict=False))
    eventually(lambda: not client.exists(LIMIT_LIST), within_seconds=3, what="the limit list expires")
