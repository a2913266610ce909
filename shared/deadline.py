"""An end to waiting that is kept even when what is waited for will not end."""

import asyncio
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, TypeVar

Result = TypeVar("Result")

_abandoned: set[asyncio.Task[Any]] = set()  # the event loop itself keeps only weak references


async def within(seconds: float, work: Coroutine[Any, Any, Result]) -> Result:
    """The result of ``work``. Raises TimeoutError at the deadline, not later.

    psycopg answers a cancellation only after it has tried for 10 s to tell a server that hangs: here ``work`` is
    cancelled and left to end by itself, as it is when the caller is cancelled.
    """
    task = asyncio.create_task(work)
    try:
        done, _ = await asyncio.wait({task}, timeout=seconds)
    except asyncio.CancelledError:
        _abandon(task)
        raise
    if not done:
        _abandon(task)
        raise TimeoutError
    return task.result()


class RepeatedTimeout:
    """``asyncio.timeout`` for one who waits thousands of times a second, once at a time; None is no bound.

    ``with`` it around what is awaited. Its timer is not set and cancelled each time: it looks again when it fires.
    """

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds
        self._task: asyncio.Task[Any] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._cancelling = 0
        self._is_late = False

    def __enter__(self) -> None:
        task = asyncio.current_task()
        if self._seconds is None or task is None:
            return
        loop = task.get_loop()
        self._task, self._cancelling = task, task.cancelling()
        self._due = loop.time() + self._seconds
        if self._timer is None:
            self._timer = loop.call_at(self._due, self._look, loop)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Raises TimeoutError in place of the cancellation that this timeout asked for."""
        task, self._task = self._task, None
        if task is not None and self._is_late:
            self._is_late = False
            if task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
                raise TimeoutError from error

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        if self._task is None:
            return  # the next one sets it again
        if loop.time() < self._due:
            self._timer = loop.call_at(self._due, self._look, loop)
        else:
            self._is_late = True
            self._task.cancel()


def _abandon(task: asyncio.Task[Any]) -> None:
    _abandoned.add(task)
    task.add_done_callback(_forget)
    task.cancel()


def _forget(task: asyncio.Task[Any]) -> None:
    _abandoned.discard(task)
    if not task.cancelled():
        task.exception()  # seen: nobody waits for it any more
