"""Calls without a valid key: how many are admitted, and what becomes of the others."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import stranger_limit, strangers
from shared.problems import Problem
from shared.stranger_limit import MOST_NETWORKS, WINDOW_SECONDS, StrangerLimit, StrangerPolicy, network_of
from shared.strangers import MOST_NAMED, Strangers, Tally

CALLS = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 160).map(lambda quarter: quarter / 4)), max_size=80)


@given(CALLS, st.integers(1, 5), st.integers(1, 9))
def test_no_window_holds_more_than_the_limits(calls: list[tuple[str, float]], per_network: int, in_all: int) -> None:
    limit, now = StrangerLimit(StrangerPolicy(per_network, in_all)), 0.0
    admitted: list[tuple[str, float]] = []
    for network, step in calls:
        now += step
        within = [one for one in admitted if one[1] > now - WINDOW_SECONDS]
        own = [one for one in within if one[0] == network]
        wait = limit.admit(network, now)
        assert (wait == 0) == (len(own) < per_network and len(within) < in_all)
        if wait == 0:
            admitted.append((network, now))
        else:
            assert 0 < wait <= WINDOW_SECONDS


def test_who_waits_as_long_as_he_was_told_is_admitted() -> None:
    limit = StrangerLimit(StrangerPolicy(2, 100))
    assert [limit.admit("a", now) for now in (0, 10, 20)] == [0, 0, 40]
    assert limit.admit("a", 60) == 0


def test_no_limit_is_none() -> None:
    limit = StrangerLimit(StrangerPolicy(0, 0))
    assert not any(limit.admit("a", 0) for _ in range(10_000))


def test_many_addresses_take_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stranger_limit, "MOST_NETWORKS", 50)
    limit = StrangerLimit(StrangerPolicy(5, 1000))
    for number in range(10_000):
        limit.admit(f"network {number}", number / 1000)
    assert len(limit._networks) == 50
    assert len(limit._all) == 1000
    assert MOST_NETWORKS >= 1000


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9%eth0", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("", ""),
        ("unix:", ""),
    ],
)
def test_an_ipv6_network_counts_as_one_address(address: str, network: str) -> None:
    assert network_of(address) == network


class Written:
    """Where tallies go; raises ``failure`` if there is one."""

    def __init__(self) -> None:
        self.tallies: list[Tally] = []
        self.failure: Problem | None = None

    async def write(self, tally: Tally) -> None:
        await asyncio.sleep(0)
        if self.failure is not None:
            raise self.failure
        self.tallies.append(tally)

    @property
    def calls(self) -> dict[tuple[str, int, str], int]:
        """All of them, added up."""
        found: dict[tuple[str, int, str], int] = {}
        for tally in self.tallies:
            for key, (_, number) in tally.items():
                found[key] = found.get(key, 0) + number
        return found


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strangers, "TALLY_SECONDS", 0.01)


def asked(policy: StrangerPolicy, act: Callable[[Strangers], Awaitable[None]]) -> Written:
    written = Written()

    async def run() -> None:
        await act(Strangers(policy, written.write))

    asyncio.run(run())
    return written


def test_calls_beyond_the_limit_are_answered_when_their_number_is_written() -> None:
    async def act(one: Strangers) -> None:
        answers = await asyncio.gather(*(one.beyond_limit("192.0.2.1") for _ in range(50)))
        assert [answer for answer in answers if answer is None] == [None] * 10
        refused = [answer for answer in answers if answer is not None]
        assert {(answer.type, answer.retry_after) for answer in refused} == {("rate-limited", 60)}

    written = asked(StrangerPolicy(10, 100), act)
    assert written.calls == {("192.0.2.1", 429, "rate-limited"): 40}
    assert len(written.tallies) == 1


def test_a_5xx_stays_what_it_is() -> None:
    problem = Problem("unavailable", "x", retry_after=1)

    async def act(one: Strangers) -> None:
        assert await one.beyond_limit("192.0.2.1", problem) is None
        assert await one.beyond_limit("192.0.2.1", problem) is problem

    assert asked(StrangerPolicy(1, 100), act).calls == {("192.0.2.1", 503, "unavailable"): 1}


def test_a_crowd_of_addresses_takes_a_bounded_number_of_records_and_every_call_is_counted() -> None:
    async def act(one: Strangers) -> None:
        await one.beyond_limit("192.0.2.1")
        await asyncio.gather(*(one.beyond_limit(f"10.0.{n // 250}.{n % 250}") for n in range(1000)))

    written = asked(StrangerPolicy(1, 1), act)
    assert sum(written.calls.values()) == 1000
    assert all(len(tally) <= MOST_NAMED + 1 for tally in written.tallies)
    assert written.calls["", 429, "rate-limited"] == 1000 - MOST_NAMED


def test_nobody_is_answered_with_a_refusal_that_is_not_recorded() -> None:
    failure = Problem("unavailable", "the audit record of this call cannot be written", retry_after=1)
    written = Written()
    written.failure = failure

    async def run() -> None:
        one = Strangers(StrangerPolicy(1, 100), written.write)
        await one.beyond_limit("192.0.2.1")
        answers = await asyncio.gather(*(one.beyond_limit("192.0.2.1") for _ in range(3)), return_exceptions=True)
        assert answers == [failure] * 3
        written.failure = None
        assert await one.beyond_limit("192.0.2.1") is not None, "and it goes on when it can be"

    asyncio.run(run())
    assert sum(written.calls.values()) == 1


def test_a_client_that_went_away_is_counted_all_the_same() -> None:
    async def act(one: Strangers) -> None:
        await one.beyond_limit("192.0.2.1")
        gone = asyncio.create_task(one.beyond_limit("192.0.2.1"))
        await asyncio.sleep(0)
        gone.cancel()
        await one.beyond_limit("192.0.2.1")

    assert asked(StrangerPolicy(1, 100), act).calls == {("192.0.2.1", 429, "rate-limited"): 2}
