"""A key for the time of one run, made in the database of the gateway."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any

import psycopg

from deploy.load.event_source import now
from shared.api_keys import Scope
from shared.errors import Outage
from shared.key_store import create_key, delete_key

_CONNECT_SECONDS = 5
# A run that is killed cannot delete its key; this ends it.
_LIFE = timedelta(days=1)


@asynccontextmanager
async def temporary_key(dsn: str, pepper: bytes, client_id: str) -> AsyncIterator[str]:
    """A key that may ingest, without limit, as `client_id`; deleted at the end. Raises Outage."""
    async with connected(dsn) as connection:
        made, key = await create_key(
            connection,
            pepper,
            client_id=client_id,
            name="weir load",
            scopes=frozenset((Scope.INGEST,)),
            rate_limit=0,
            expires_at=now() + _LIFE,
        )
    try:
        yield key
    finally:
        # Where the database is gone by now, the summary still matters more than the key, which expires.
        with suppress(Outage, psycopg.Error):
            async with connected(dsn) as connection:
                await delete_key(connection, made.public_id)


@asynccontextmanager
async def connected(dsn: str) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
    """A connection in autocommit. Raises Outage when there is none to be had."""
    try:
        connection = await psycopg.AsyncConnection.connect(dsn, autocommit=True, connect_timeout=_CONNECT_SECONDS)
    except psycopg.OperationalError as error:
        raise Outage("postgresql", " ".join(str(error).split()), sqlstate=error.sqlstate) from error
    async with connection:
        yield connection
