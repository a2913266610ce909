"""Clients and connections, made in one place with the time-outs and the retries that the design asks for.

No client of Redis retries by itself: a repeated XADD whose first reply was lost would be a second entry (redis-py's
default makes eleven). Who may repeat a call, repeats it himself.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final

import psycopg
import redis
import redis.asyncio
from psycopg_pool import AsyncConnectionPool
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.maint_notifications import MaintNotificationsConfig
from redis.retry import Retry

from deploy.cluster.async_client import AsyncClusterRedis
from deploy.cluster.sync_client import ClusterRedis
from deploy.cluster.topology import is_cluster

Configure = Callable[[psycopg.AsyncConnection[Any]], Awaitable[None]]

CONNECT_SECONDS: Final = 3
_KEEPALIVES: Final[dict[str, Any]] = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
_STORE_STATEMENT_MS: Final = 60_000
"""A statement of a processor that takes longer is cancelled and written again: its locks hold up the others."""


_NO_NOTICES: Final = MaintNotificationsConfig(enabled=False)
"""With them, redis-py hands out pooled connections that the server has closed: the first call after a restart fails."""
_STORE_IDLE_MS: Final = 20_000
"""A processor that hangs inside a transaction loses it after this, and with it the fence that its heir waits for."""


def sync_redis(url: str, timeout_seconds: float) -> redis.Redis:
    """A client for one thread. Calls raise after ``timeout_seconds``; a blocking read must be shorter."""
    if is_cluster(url):
        return ClusterRedis(url, lambda node_url: sync_redis(node_url, timeout_seconds))
    return redis.Redis.from_url(
        url,
        socket_timeout=timeout_seconds,
        socket_connect_timeout=timeout_seconds,
        socket_keepalive=True,
        retry=Retry(NoBackoff(), 0),
        maint_notifications_config=_NO_NOTICES,
    )


def async_redis(url: str, timeout_seconds: float) -> "redis.asyncio.Redis":
    """A client for one event loop, with the same rule."""
    if is_cluster(url):
        return AsyncClusterRedis(url, lambda node_url: async_redis(node_url, timeout_seconds))
    return redis.asyncio.Redis.from_url(
        url,
        socket_timeout=timeout_seconds,
        socket_connect_timeout=timeout_seconds,
        socket_keepalive=True,
        retry=AsyncRetry(NoBackoff(), 0),
        maint_notifications_config=_NO_NOTICES,
    )


def store_connection(url: str) -> psycopg.Connection[Any]:
    """A processor's connection, in autocommit: transactions are opened by hand. Raises psycopg.OperationalError."""
    connection = psycopg.connect(url, autocommit=True, connect_timeout=CONNECT_SECONDS, **_KEEPALIVES)
    limits = {
        "statement_timeout": _STORE_STATEMENT_MS,
        "idle_in_transaction_session_timeout": _STORE_IDLE_MS,
    }
    for name, milliseconds in limits.items():
        connection.execute("SELECT set_config(%s, %s, false)", (name, str(milliseconds)))
    return connection


async def async_store_connection(url: str) -> psycopg.AsyncConnection[Any]:
    """The same for an event loop, with the pools' time-outs."""
    connection = await psycopg.AsyncConnection.connect(
        url, autocommit=True, connect_timeout=CONNECT_SECONDS, **_KEEPALIVES
    )
    await statement_timeout(_STORE_STATEMENT_MS)(connection)
    return connection


def statement_timeout(timeout_ms: int) -> Configure:
    """A pool's ``configure`` that sets the time a statement may take."""

    async def configure(connection: psycopg.AsyncConnection[Any]) -> None:
        await connection.execute("SELECT set_config('statement_timeout', %s, false)", (str(timeout_ms),))

    return configure


def connection_pool(url: str, *, size: int, configure: Configure) -> AsyncConnectionPool[Any]:
    """A service's pool, not yet open; a connection that broke is replaced before it is lent out."""
    return AsyncConnectionPool(
        url,
        min_size=1,
        max_size=size,
        open=False,
        check=AsyncConnectionPool.check_connection,
        configure=configure,
        reconnect_timeout=5,
        kwargs={"autocommit": True, "connect_timeout": CONNECT_SECONDS, **_KEEPALIVES},
    )
