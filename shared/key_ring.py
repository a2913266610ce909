"""The keys a service knows at this moment: an in-process cache over ``api_keys``.

Promise: a change to a key takes effect within ``STALE_FACTOR * fresh_seconds`` plus one look-up, 5 s at the defaults.
While PostgreSQL is away, keys seen before go on working for ``grace_seconds``; unknown ones get 503, not 401.
"""

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import psycopg
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from shared.api_keys import ApiKey, Peppers, matches, parse_key, secret_hmac
from shared.deadline import within
from shared.key_store import Renewal, find_key, renew_keys, touch_keys
from shared.problems import Problem

STALE_FACTOR: Final = 2
"""Between fresh and this many times fresh, a key is served from the cache while it is looked up again."""
MAX_REMEMBERED: Final = 50_000
"""Keys (and unknown ids) remembered; the least recently looked up is forgotten first."""
_RETRY_SECONDS: Final = 1.0
_STILL_AWAY_SECONDS: Final = 2.0
"""After a retry was due, how long PostgreSQL is taken to be away still: known keys then wait for no look-up."""
_LOOK_UP_TIMEOUT_SECONDS: Final = 1.5


@dataclass(slots=True)
class _Remembered:
    api_key: ApiKey | None  # None: no such key when last looked
    looked_up: float  # monotonic
    not_before: float = 0.0  # after a failed look-up, the next one waits until then


class KeyRing:
    """Checks keys. One per process, used from one event loop."""

    def __init__(
        self,
        pool: AsyncConnectionPool[Any],
        peppers: Peppers,
        *,
        fresh_seconds: float,
        grace_seconds: float,
    ) -> None:
        self._pool = pool
        self._peppers = peppers
        self._fresh_seconds = fresh_seconds
        self._grace_seconds = grace_seconds
        self._remembered: OrderedDict[str, _Remembered] = OrderedDict()
        self._look_ups: dict[str, asyncio.Task[None]] = {}
        self._used: dict[str, float] = {}
        self._renewals: dict[str, Renewal] = {}
        self._proved: OrderedDict[str, tuple[str, bytes]] = OrderedDict()

    async def authenticate(self, token: str | None) -> ApiKey:
        """The usable key that this token is. Raises Problem: unauthenticated; unavailable when it cannot be known."""
        if token is None:
            raise no_key()
        api_key = await self._proved_key(token)
        if not api_key.is_active:
            raise _refused(f"API key {api_key.public_id} is disabled")
        if not api_key.is_usable():
            raise _refused(f"API key {api_key.public_id} has expired")
        self._used[api_key.public_id] = time.time()
        return api_key

    def known(self, token: str | None) -> ApiKey | None:
        """The usable key that this token is, if that is known without asking; None says nothing: authenticate then."""
        if token is None:
            return None
        public_id, proved_against = self._proved.get(token, (None, None))
        remembered = None if public_id is None else self._remembered.get(public_id)
        if remembered is None or time.monotonic() - remembered.looked_up >= self._fresh_seconds:
            return None
        api_key = remembered.api_key
        if api_key is None or api_key.secret_hmac != proved_against or not api_key.is_usable():
            return None
        self._used[api_key.public_id] = time.time()
        return api_key

    async def _proved_key(self, token: str) -> ApiKey:
        """The key whose secret the token holds. Proved once for a token and the HMAC it was proved against."""
        public_id, proved_against = self._proved.get(token, (None, None))
        if public_id is not None:
            api_key = await self._current(public_id)
            if api_key is not None and api_key.secret_hmac == proved_against:
                return api_key
        parts = parse_key(token)
        if parts is None:
            raise _refused("this is not an API key of Weir: its form or its checksum is wrong")
        api_key = await self._current(parts.public_id)
        if api_key is None or not self._holds(api_key, parts.secret):
            raise _refused("no such API key")
        self._proved[token] = parts.public_id, api_key.secret_hmac
        self._proved.move_to_end(token)
        while len(self._proved) > MAX_REMEMBERED:
            self._proved.popitem(last=False)
        return api_key

    def _holds(self, api_key: ApiKey, secret: str) -> bool:
        peppers = self._peppers
        if any(matches(api_key, pepper, secret) for pepper in (peppers.now, peppers.next) if pepper is not None):
            return True
        if peppers.before is None or not matches(api_key, peppers.before, secret):
            return False
        self._renewals[api_key.public_id] = Renewal(api_key.secret_hmac, secret_hmac(peppers.now, secret))
        return True

    async def flush_renewals(self) -> int:
        """Hash the keys that were proved under the pepper before anew under that of now; how many rows that changed.

        A key whose row has changed meanwhile stays as it is. Raises psycopg's errors, and keeps them for the next call.
        """
        renewals, self._renewals = self._renewals, {}
        if not renewals:
            return 0
        try:
            async with self._pool.connection(timeout=_LOOK_UP_TIMEOUT_SECONDS) as connection:
                return await renew_keys(connection, renewals)
        except (psycopg.Error, PoolTimeout):
            self._renewals = {**renewals, **self._renewals}
            raise

    async def flush_last_used(self) -> None:
        """Write down when keys were last used. Raises psycopg's errors, and keeps the times for the next call."""
        used, self._used = self._used, {}
        if not used:
            return
        try:
            async with self._pool.connection(timeout=_LOOK_UP_TIMEOUT_SECONDS) as connection:
                await touch_keys(connection, {key: datetime.fromtimestamp(at, UTC) for key, at in used.items()})
        except (psycopg.Error, PoolTimeout):
            self._used = {**used, **self._used}
            raise

    async def _current(self, public_id: str) -> ApiKey | None:
        remembered = self._remembered.get(public_id)
        now = time.monotonic()
        age = float("inf") if remembered is None else now - remembered.looked_up
        if age >= self._fresh_seconds and (remembered is None or now >= remembered.not_before):
            look_up = self._look_up(public_id)
            away = remembered is not None and now < remembered.not_before + _STILL_AWAY_SECONDS
            if age >= STALE_FACTOR * self._fresh_seconds and not away:
                await asyncio.shield(look_up)
                remembered = self._remembered.get(public_id)
        if remembered is None or time.monotonic() - remembered.looked_up > self._grace_seconds:
            raise Problem(
                "unavailable",
                "the key cannot be checked: PostgreSQL does not answer; send the request again",
                retry_after=2,
            )
        return remembered.api_key

    async def _read(self, public_id: str) -> ApiKey | None:
        async with self._pool.connection(timeout=_LOOK_UP_TIMEOUT_SECONDS) as connection:
            return await find_key(connection, public_id)

    def _look_up(self, public_id: str) -> asyncio.Task[None]:
        # one look-up at a time for a key, however many requests wait for it
        task = self._look_ups.get(public_id)
        if task is None:
            task = asyncio.create_task(self._find(public_id))
            self._look_ups[public_id] = task
            task.add_done_callback(lambda _: self._look_ups.pop(public_id, None))
        return task

    async def _find(self, public_id: str) -> None:
        asked = time.monotonic()  # not when the answer came: the row may have changed since it was read
        try:
            api_key = await within(_LOOK_UP_TIMEOUT_SECONDS, self._read(public_id))
        except (psycopg.Error, PoolTimeout, TimeoutError):
            remembered = self._remembered.get(public_id)
            if remembered is not None:
                remembered.not_before = time.monotonic() + _RETRY_SECONDS
            return
        self._remembered[public_id] = _Remembered(api_key, asked)
        self._remembered.move_to_end(public_id)
        while len(self._remembered) > MAX_REMEMBERED:
            self._remembered.popitem(last=False)


def no_key() -> Problem:
    """The 401 of a call that brought no key."""
    detail = "send a key as 'Authorization: Bearer KEY' or 'X-API-Key: KEY'"
    return Problem("unauthenticated", detail, headers=(("WWW-Authenticate", "Bearer"),))


def _refused(detail: str) -> Problem:
    return Problem("unauthenticated", detail, headers=(("WWW-Authenticate", 'Bearer error="invalid_token"'),))
