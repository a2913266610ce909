"""Waiting ends when it should."""

import asyncio
import time

import pytest

from shared.deadline import RepeatedTimeout, within


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


def test_a_repeated_timeout_ends_the_wait_that_is_late_and_no_other() -> None:
    async def run() -> list[str]:
        timeout = RepeatedTimeout(0.3)
        ends = []
        for seconds in (0.2, 0.2, 5, 0.2, 5):
            began = time.monotonic()
            try:
                with timeout:
                    await asyncio.sleep(seconds)
                ends.append("done")
            except TimeoutError:
                assert time.monotonic() - began >= 0.29
                ends.append("late")
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        return ends

    assert asyncio.run(run()) == ["done", "done", "late", "done", "late"]


def test_a_cancellation_from_outside_goes_through_a_repeated_timeout() -> None:
    async def run() -> bool:
        timeout = RepeatedTimeout(0.2)

        async def wait() -> None:
            with timeout:
                await asyncio.Event().wait()

        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with timeout:  # what was cancelled is not late any more
            await asyncio.sleep(0)
        with pytest.raises(ZeroDivisionError), timeout:
            raise ZeroDivisionError
        await asyncio.sleep(0.3)
        with timeout:
            await asyncio.sleep(0.1)
        return task.cancelled()

    assert asyncio.run(run())


def test_a_repeated_timeout_of_none_is_no_bound() -> None:
    async def run() -> str:
        with RepeatedTimeout(None):
            await asyncio.sleep(0.05)
        return "done"

    assert asyncio.run(run()) == "done"
