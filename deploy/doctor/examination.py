"""Gathers the facts for `weir doctor`: asks this machine, Redis and PostgreSQL; changes nothing."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import psycopg
import redis

from deploy.connections import sync_redis
from deploy.doctor.facts import ClockOffset, Facts, MachineFacts, PostgresFacts, RedisFacts, Unreachable
from deploy.endpoints import Endpoints
from deploy.migrations import MigrationStatus, status
from deploy.servers_file import SECRET_KEY_FILE
from shared.errors import WeirError
from shared.masking import mask_secrets
from shared.settings import Settings

ANSWER_SECONDS = 5

Found = TypeVar("Found")


def examine(settings: Settings, endpoints: Endpoints) -> Facts:
    """All facts; a server that does not answer within 5 s is told as Unreachable, never raised."""
    return Facts(
        machine=examine_machine(settings),
        redis=_or_unreachable(lambda: examine_redis(endpoints.redis_url)),
        postgres=_or_unreachable(lambda: examine_postgres(endpoints.database_url)),
        durability=settings.durability,
    )


def examine_machine(settings: Settings) -> MachineFacts:
    """Python, the disk of the data directory (or of where it would be made), the secret key."""
    folder = settings.data_dir.absolute()
    existing = next(path for path in (folder, *folder.parents) if _exists(path))
    return MachineFacts(
        python=sys.version_info[:3],
        disk_path=str(existing),
        disk_free_bytes=shutil.disk_usage(existing).free,
        secret_key=settings.secret_key.get_secret_value() if settings.secret_key else None,
        secret_key_is_kept=_exists(folder / SECRET_KEY_FILE),
    )


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # in a folder that this user may not enter
        return False


def examine_redis(url: str) -> RedisFacts:
    """Asks INFO, TIME and CONFIG GET; raises redis.RedisError."""
    with sync_redis(url, ANSWER_SECONDS) as client:
        told: dict[str, Any] = client.info()
        valkey = "valkey_version" in told
        version = str(told["valkey_version" if valkey else "redis_version"])
        return RedisFacts(
            product="Valkey" if valkey else "Redis",
            version=tuple(int(part) for part in version.split(".") if part.isdigit()),
            aof_enabled=bool(told.get("aof_enabled")),
            appendfsync=_config(client, "appendfsync"),
            maxmemory_policy=told.get("maxmemory_policy") or _config(client, "maxmemory-policy"),
            clock=_clock_offset(lambda: _redis_time(client)),
            has_waitaof=_has_waitaof(client),
            replicas=int(told.get("connected_slaves", 0)),
        )


def examine_postgres(url: str) -> PostgresFacts:
    """Asks for settings, clock and migrations; raises psycopg.Error."""
    with psycopg.connect(url, autocommit=True, connect_timeout=ANSWER_SECONDS) as connection:
        connection.execute(f"SET statement_timeout = '{ANSWER_SECONDS}s'")
        return PostgresFacts(
            version=connection.info.server_version,
            fsync=_one(connection, "SELECT current_setting('fsync')"),
            full_page_writes=_one(connection, "SELECT current_setting('full_page_writes')"),
            synchronous_commit=_one(connection, "SELECT current_setting('synchronous_commit')"),
            migrations=_migrations(url),
            clock=_clock_offset(lambda: float(_one(connection, "SELECT extract(epoch FROM clock_timestamp())::text"))),
        )


def _or_unreachable(ask: Callable[[], Found]) -> Found | Unreachable:
    try:
        return ask()
    except (WeirError, redis.RedisError, psycopg.Error) as error:
        return Unreachable(mask_secrets(" ".join(str(error).split())))


def _migrations(url: str) -> list[MigrationStatus] | str:
    try:
        return status(url)
    except WeirError as error:
        return str(error)


def _config(client: redis.Redis, name: str) -> str | None:
    try:
        found: dict[Any, Any] = client.config_get(name)
    except redis.ResponseError:
        return None
    value = found.get(name, found.get(name.encode()))
    return value.decode() if isinstance(value, bytes) else value


def _has_waitaof(client: redis.Redis) -> bool:
    try:
        client.waitaof(0, 0, 1)  # waits for nothing
    except redis.ResponseError:
        return False
    return True


def _redis_time(client: redis.Redis) -> float:
    seconds, microseconds = client.time()
    return float(seconds) + float(microseconds) / 1e6


def _one(connection: psycopg.Connection[Any], query: str) -> str:
    row = connection.execute(query.encode()).fetchone()
    return str(row[0]) if row else ""


def _clock_offset(server_time: Callable[[], float]) -> ClockOffset:
    before = time.time()
    told = server_time()
    after = time.time()
    return ClockOffset(told - (before + after) / 2, (after - before) / 2)
