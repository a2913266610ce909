"""API keys in PostgreSQL: the one place that reads and writes ``api_keys``.

Every call takes an open asyncio connection (autocommit or inside the caller's transaction) and raises psycopg's errors.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple, TypedDict, cast

from psycopg import AsyncConnection
from psycopg.rows import dict_row

from shared.api_keys import ApiKey, Scope, format_key, new_public_id, new_secret, secret_hmac
from shared.sql_files import load_sql


class KeyChanges(TypedDict, total=False):
    """The columns that may change; one that is absent stays."""

    is_active: bool
    rate_limit: int | None
    name: str
    expires_at: datetime | None


class Renewal(NamedTuple):
    """The HMAC of a key's secret under one pepper, and that of the same secret under another."""

    before: bytes
    after: bytes


async def create_key(
    connection: AsyncConnection[Any],
    pepper: bytes,
    *,
    client_id: str,
    name: str,
    scopes: frozenset[Scope],
    rate_limit: int | None = None,
    expires_at: datetime | None = None,
) -> tuple[ApiKey, str]:
    """Make a key; returns its row and the whole key, which nobody can read again."""
    public_id, secret = new_public_id(), new_secret()
    row = await _one(
        connection,
        "insert_key",
        public_id=public_id,
        secret_hmac=secret_hmac(pepper, secret),
        client_id=client_id,
        name=name,
        scopes=sorted(scopes),
        rate_limit=rate_limit,
        expires_at=expires_at,
    )
    return cast(ApiKey, row), format_key(public_id, secret)


async def find_key(connection: AsyncConnection[Any], public_id: str) -> ApiKey | None:
    """The key, or None."""
    return await _one(connection, "find_key", public_id=public_id)


async def list_keys(connection: AsyncConnection[Any], client_id: str | None = None) -> list[ApiKey]:
    """All keys, newest first, or one client's."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(load_sql("shared", "list_keys"), {"client_id": client_id})
        return [_api_key(row) for row in await cursor.fetchall()]


async def update_key(connection: AsyncConnection[Any], public_id: str, changes: KeyChanges) -> ApiKey | None:
    """Apply the changes; the key as it is now, or None when there is none."""
    values: dict[str, object] = {}
    for column in KeyChanges.__annotations__:
        values[column] = changes.get(column)
        values[f"set_{column}"] = column in changes
    return await _one(connection, "update_key", public_id=public_id, **values)


async def rotate_key(connection: AsyncConnection[Any], pepper: bytes, public_id: str) -> tuple[ApiKey, str] | None:
    """Give the key a new secret; the old one stops working within the cache's time. None when there is no such key."""
    secret = new_secret()
    row = await _one(connection, "rotate_key", public_id=public_id, secret_hmac=secret_hmac(pepper, secret))
    return None if row is None else (row, format_key(public_id, secret))


async def delete_key(connection: AsyncConnection[Any], public_id: str) -> bool:
    """Delete the key; whether there was one."""
    cursor = await connection.execute(load_sql("shared", "delete_key"), {"public_id": public_id})
    return cursor.rowcount == 1


async def touch_keys(connection: AsyncConnection[Any], used: dict[str, datetime]) -> None:
    """Note when keys were last used."""
    await connection.execute(load_sql("shared", "touch_keys"), {"public_ids": list(used), "ats": list(used.values())})


async def renew_keys(connection: AsyncConnection[Any], renewals: Mapping[str, Renewal]) -> int:
    """Replace hashes by public id, each only where the row still holds the one before; how many were replaced."""
    columns = {
        "public_ids": list(renewals),
        "befores": [renewal.before for renewal in renewals.values()],
        "afters": [renewal.after for renewal in renewals.values()],
    }
    cursor = await connection.execute(load_sql("shared", "renew_keys"), columns)
    return cursor.rowcount


async def _one(connection: AsyncConnection[Any], query: str, **values: object) -> ApiKey | None:
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(load_sql("shared", query), values)
        row = await cursor.fetchone()
        return None if row is None else _api_key(row)


def _api_key(row: dict[str, Any]) -> ApiKey:
    return ApiKey(**{**row, "scopes": frozenset(row["scopes"]), "secret_hmac": bytes(row["secret_hmac"])})
