"""A question put to a server that may be away or hang, by somebody who must go on in time."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from redis.exceptions import RedisError

from shared.problems import Problem

Answer = TypeVar("Answer")


class Probe(Generic[Answer]):
    """One call at a time; a server that hangs is asked no second time meanwhile."""

    def __init__(self, read: Callable[[], Awaitable[Answer]], patience_seconds: float) -> None:
        self._read = read
        self._patience_seconds = patience_seconds
        self._call: asyncio.Future[Answer] | None = None

    async def ask(self) -> Answer | None:
        """What the server says, within the patience; None when it is away. A late answer is the next call's."""
        call = self._call = self._call or asyncio.ensure_future(self._read())
        done, _ = await asyncio.wait({call}, timeout=self._patience_seconds)
        if not done:
            return None
        self._call = None
        try:
            return call.result()
        except (Problem, RedisError, OSError, TimeoutError):
            return None

    async def close(self) -> None:
        """Let go of a call that is under way."""
        call, self._call = self._call, None
        if call is not None:
            call.cancel()
            with contextlib.suppress(Problem, RedisError, OSError, TimeoutError, asyncio.CancelledError):
                await call
