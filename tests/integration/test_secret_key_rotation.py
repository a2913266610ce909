"""SECRET_KEY is changed while keys are in use: old and new are accepted, and what is used is hashed anew."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from psycopg_pool import AsyncConnectionPool

from deploy.endpoints import with_role
from shared.api_keys import Peppers, Scope
from shared.key_ring import KeyRing
from shared.key_store import create_key, rotate_key
from shared.problems import Problem
from tests.gateway_process import SECRET_KEY, new_event, running_gateway

OLD, NEW = b"the pepper before", b"the pepper after"

Body = Callable[[AsyncConnectionPool[Any], str, str], Awaitable[None]]


def with_a_key_of_the_old_pepper(database_url: str, body: Body) -> None:
    """Calls `body` with a gateway's pool, the key's public id, and the key."""

    async def run() -> None:
        url = with_role(database_url, "weir_keys")
        async with AsyncConnectionPool(url, min_size=1, open=False, kwargs={"autocommit": True}) as pool:
            async with pool.connection() as connection:
                row, key = await create_key(
                    connection, OLD, client_id="acme", name="t", scopes=frozenset((Scope.INGEST,))
                )
            await body(pool, row.public_id, key)

    asyncio.run(run())


def ring(pool: AsyncConnectionPool[Any], now: bytes, **others: bytes) -> KeyRing:
    """As a process that starts with these peppers; it reads a key at every call."""
    return KeyRing(pool, Peppers(now, **others), fresh_seconds=0, grace_seconds=60)


async def accepts(ring: KeyRing, key: str) -> bool:
    try:
        await ring.authenticate(key)
    except Problem as problem:
        assert problem.status == 401
        return False
    return True


def test_at_every_step_of_a_rotation_the_key_works_in_all_processes(database_url: str) -> None:
    async def rotate(pool: AsyncConnectionPool[Any], _: str, key: str) -> None:
        before, first = ring(pool, OLD), ring(pool, OLD, next=NEW)
        second, after = ring(pool, NEW, before=OLD), ring(pool, NEW)
        assert [await accepts(one, key) for one in (before, first, second)] == [True, True, True]
        assert not await accepts(after, key)
        assert [await one.flush_renewals() for one in (before, first)] == [0, 0]
        assert await second.flush_renewals() == 1
        assert [await accepts(one, key) for one in (first, second, after)] == [True, True, True]
        assert not await accepts(before, key)
        assert await first.flush_renewals() == 0, "one that has not changed over yet takes nothing back"

    with_a_key_of_the_old_pepper(database_url, rotate)


def test_a_key_that_was_rotated_meanwhile_keeps_its_new_secret(database_url: str) -> None:
    async def race(pool: AsyncConnectionPool[Any], public_id: str, key: str) -> None:
        second = ring(pool, NEW, before=OLD)
        assert await accepts(second, key)
        async with pool.connection() as connection:
            rotated = await rotate_key(connection, NEW, public_id)
        assert rotated is not None
        assert await second.flush_renewals() == 0
        assert [await accepts(second, one) for one in (key, rotated[1])] == [False, True]

    with_a_key_of_the_old_pepper(database_url, race)


def test_a_renewal_that_postgresql_did_not_take_is_written_at_the_next_flush(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def retry(pool: AsyncConnectionPool[Any], _: str, key: str) -> None:
        second = ring(pool, NEW, before=OLD)
        assert await accepts(second, key)
        async with pool.connection() as connection:
            await connection.execute("SET default_transaction_read_only = on")
        with pytest.raises(Exception, match="read-only"):
            await second.flush_renewals()
        async with pool.connection() as connection:
            await connection.execute("SET default_transaction_read_only = off")
        assert await second.flush_renewals() == 1

    with_a_key_of_the_old_pepper(database_url, retry)


def test_a_gateway_with_both_secrets_takes_keys_of_either(tmp_path: Path, database_url: str, redis_url: str) -> None:
    secrets = {"SECRET_KEY": "another pepper", "WEIR_SECRET_KEY_BEFORE": SECRET_KEY}
    with running_gateway(tmp_path, database_url, redis_url, **secrets) as gateway:
        made = gateway.manage("POST", json={"client_id": "new", "name": "made under the new one"})
        assert gateway.ingest(new_event()).status_code == 202
        assert gateway.ingest(new_event(), key=made.json()["key"]).status_code == 202
        assert "another pepper" not in gateway.service.logs()
