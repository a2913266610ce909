"""An end to waiting that is kept even when what is waited for will not end."""

import asyncio
from collections.abc import Coroutine
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


def _abandon(task: asyncio.Task[Any]) -> None:
    _abandoned.add(task)
    task.add_done_callback(_forget)
    task.cancel()


def _forget(task: asyncio.Task[Any]) -> None:
    _abandoned.discard(task)
    if not task.cancelled():
        task.exception()  # seen: nobody waits for it any more
