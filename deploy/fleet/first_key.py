"""The first key: made once, when there is none, so that a newcomer can post an event."""

import asyncio

import psycopg

from deploy.endpoints import Endpoints
from shared.api_keys import Scope
from shared.key_store import create_key

_ANY_KEY = "SELECT EXISTS (SELECT FROM api_keys)"


def ensure_first_key(endpoints: Endpoints) -> str | None:
    """A new admin key if there is no key at all, else None. Raises psycopg.Error."""
    return asyncio.run(_ensure(endpoints))


async def _ensure(endpoints: Endpoints) -> str | None:
    async with await psycopg.AsyncConnection.connect(endpoints.gateway_database_url, autocommit=True) as connection:
        row = await (await connection.execute(_ANY_KEY)).fetchone()
        if row is not None and row[0]:
            return None
        _, key = await create_key(
            connection,
            endpoints.secret_key,
            client_id="admin",
            name="first key",
            scopes=frozenset({Scope.ADMIN}),
            rate_limit=0,
        )
        return key
