"""Waiting ends when it should."""

import asyncio
import time

import pytest

from shared.deadline import within


async def stubborn(ended: asyncio.Event) -> None:
    try:
        await asyncio.Event().wait()
    finally:
        await asyncio.wait({asyncio.ensure_future(asyncio.sleep(0.3))})
        ended.set()


def test_work_that_resists_its_cancellation_delays_nobody() -> None:
    async def scene() -> float:
        ended, began = asyncio.Event(), time.monotonic()
        with pytest.raises(TimeoutError):
            await within(0.05, stubborn(ended))
        waited = time.monotonic() - began
        await asyncio.wait_for(ended.wait(), 5)
        return waited

    assert asyncio.run(scene()) < 0.25


def test_results_and_errors_come_through() -> None:
    async def work(fail: bool) -> int:
        return 1 // (not fail)

    assert asyncio.run(within(5, work(False))) == 1
    with pytest.raises(ZeroDivisionError):
        asyncio.run(within(5, work(True)))
