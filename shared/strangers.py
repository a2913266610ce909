"""Calls without a valid key: audited one by one up to a limit, and beyond it by number.

Anybody can make such calls as fast as a connection goes; a record each would let strangers fill Redis and PostgreSQL.
Beyond the limit a call waits for up to a second, until one record that counts it together with the others of its
address is safe in Redis; only then it is answered. So the audit stays complete in number, no answer leaves without its
record, and strangers are slowed down.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from math import ceil
from typing import Final

from shared.problems import Problem
from shared.stranger_limit import WINDOW_SECONDS, StrangerLimit, StrangerPolicy, network_of

TALLY_SECONDS: Final = 1.0
MOST_NAMED: Final = 100
"""Addresses that one tally names; the calls of the others are counted together, under no address."""

Tally = dict[tuple[str, int, str], tuple[int, int]]
"""Address, status and error, to the first time in microseconds and the number of calls."""


class Strangers:
    """Those of one process; ``write`` makes a tally safe, or raises the Problem that its calls are answered with."""

    def __init__(self, policy: StrangerPolicy, write: Callable[[Tally], Awaitable[None]]) -> None:
        self._limit = StrangerLimit(policy)
        self._write = write
        self._tally: Tally = {}
        self._written: asyncio.Future[None] | None = None

    async def beyond_limit(self, address: str, problem: Problem | None = None) -> Problem | None:
        """None if this call is within the limit: it is recorded like any other.

        Else the refusal to answer with, whose record is written: ``problem`` itself if its status is 5xx, which must
        not turn into a 4xx, or 429. Takes up to TALLY_SECONDS and a call of Redis. Raises Problem: there is no record.
        """
        network = network_of(address)
        wait_seconds = self._limit.admit(network, time.monotonic())
        if wait_seconds == 0:
            return None
        refusal = problem if problem is not None and problem.status >= 500 else _too_many(wait_seconds)
        await self._count(network, refusal)
        return refusal

    async def _count(self, network: str, refusal: Problem) -> None:
        key = network, refusal.status, refusal.type
        if key not in self._tally and len(self._tally) >= MOST_NAMED:
            key = "", *key[1:]
        first_us, calls = self._tally.get(key, (time.time_ns() // 1000, 0))
        self._tally[key] = first_us, calls + 1
        if self._written is None:
            self._written = asyncio.get_running_loop().create_future()
            self._task = asyncio.create_task(self._write_soon(self._written))
        await asyncio.shield(self._written)

    async def _write_soon(self, written: "asyncio.Future[None]") -> None:
        await asyncio.sleep(TALLY_SECONDS)
        tally, self._tally, self._written = self._tally, {}, None
        try:
            await self._write(tally)
        except Exception as error:  # noqa: BLE001  whatever it is, nobody may be left waiting
            written.set_exception(error)
            written.exception()  # seen: those who waited may all be gone
        else:
            written.set_result(None)


def _too_many(wait_seconds: float) -> Problem:
    seconds = ceil(wait_seconds)
    detail = (
        f"too many calls without a valid key came from here in {WINDOW_SECONDS:g} s; send a key, or try again in "
        f"{seconds} s"
    )
    return Problem("rate-limited", detail, retry_after=seconds)
