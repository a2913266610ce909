"""What a run needs around it: a key, a look at the database if it can be had, and Ctrl-C."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

from deploy.endpoints import Endpoints
from deploy.load.event_source import now
from deploy.load.run import LoadPlan, LoadRun, Show
from deploy.load.stored_watch import StoredWatch
from deploy.load.summary import Summary
from deploy.load.temporary_key import connected, temporary_key
from shared.api_keys import parse_key
from shared.errors import SettingsError, UsageError
from shared.key_store import find_key

_DEFAULT_CLIENT = "load"


@dataclass(frozen=True, slots=True, repr=False)
class KeyChoice:
    """The key to send with; without one a temporary key of `client_id` is made."""

    key: str | None
    client_id: str | None


@dataclass(frozen=True, slots=True, repr=False)
class _Access:
    key: str
    client_id: str | None
    watch: StoredWatch | None


async def load(plan: LoadPlan, choice: KeyChoice, endpoints: Endpoints, show: Show) -> Summary:
    """One run from key to summary; Ctrl-C ends it with the summary so far.

    Raises Outage, RefusedRequest, UsageError, and SettingsError when a key has to be made and no database is known.
    """
    began_at = now()
    async with _access(plan, choice, endpoints, began_at) as access:
        run = LoadRun(plan, access.watch, show)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, run.stop, number)
        return await run.run(access.key, access.client_id)


@asynccontextmanager
async def _access(
    plan: LoadPlan, choice: KeyChoice, endpoints: Endpoints, began_at: datetime
) -> AsyncIterator[_Access]:
    async with AsyncExitStack() as stack:
        key, client_id = choice.key, choice.client_id or _DEFAULT_CLIENT
        if key is None:
            making = temporary_key(endpoints.gateway_database_url, endpoints.secret_key, client_id)
            key = await stack.enter_async_context(making)
        elif (known := await _client_of(key, endpoints)) is None:
            yield _Access(key, None, None)
            return
        else:
            client_id = known
        connection = await stack.enter_async_context(connected(endpoints.analytics_database_url))
        watch = StoredWatch(connection, client_id, plan.source.ids, began_at, plan.source.earliest)
        yield _Access(key, client_id, watch)


async def _client_of(key: str, endpoints: Endpoints) -> str | None:
    """The client of a given key; None when no database is known here, or not the one that holds the key."""
    parts = parse_key(key)
    if parts is None:
        raise UsageError("--key is no key of Weir, or has a typing error: its checksum is wrong")
    try:
        url = endpoints.analytics_database_url
    except SettingsError:
        return None
    async with connected(url) as connection:
        found = await find_key(connection, parts.public_id)
    return None if found is None else found.client_id
