"""One function of Redis over a connection of its own, for a caller who makes one call at a time, and many of them.

redis-py's client lends a connection for each call, wraps it in a retry, and makes a task that sends: 100 microseconds
and more, which a gateway would pay for every dozen requests. Here a call is sent in its caller's step, for a third.
"""

import asyncio
from typing import Any

import redis.asyncio
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from shared.deadline import RepeatedTimeout
from shared.redis_functions import RedisFunction, is_missing
from shared.redis_nodes import has_nodes


class FunctionLine:
    """Calls one function on a client's server, under its time-out. Used from one event loop, by one caller."""

    def __init__(self, client: "redis.asyncio.Redis", function: RedisFunction) -> None:
        self._client = client
        self._function = function
        self._is_plain = not has_nodes(client)
        self._timeout_seconds: float | None = client.connection_pool.connection_kwargs.get("socket_timeout")
        self._timeout = RepeatedTimeout(self._timeout_seconds)
        self._connection: AbstractConnection | None = None

    async def call(self, keys: list[str], *args: bytes | str | int) -> Any:
        """Run it once and return its reply, or load it first where it is missing. A cluster's client has its own way.

        Raises what redis-py raises; after a time-out or a cut connection it may or may not have run.
        """
        if not self._is_plain:
            return await self._function.call_async(self._client, keys, *args)
        try:
            connection = self._connection
            if (
                connection is None or await connection.can_read()
            ):  # nothing is due: it would be the end, or a stranger's
                async with asyncio.timeout(self._timeout_seconds):
                    connection = await self._connect()
            with self._timeout:
                return await self._call(connection, keys, args)
        except ResponseError as error:
            if not is_missing(error):
                raise
        except TimeoutError:
            await self.close()
            raise RedisTimeoutError(f"no reply within {self._timeout_seconds:g} s") from None
        except BaseException:
            await self.close()
            raise
        return await self._function.call_async(self._client, keys, *args)

    async def close(self) -> None:
        """Give the connection up. The next call makes another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.disconnect(nowait=True)

    async def _call(self, connection: AbstractConnection, keys: list[str], args: tuple[bytes | str | int, ...]) -> Any:
        command = connection.pack_command("FCALL", self._function.name, len(keys), *keys, *args)
        await connection.send_packed_command(command, check_health=False)
        return await connection.read_response()

    async def _connect(self) -> AbstractConnection:
        await self.close()
        pool = self._client.connection_pool
        # its own time-out on sending would be a task for each call; the one in `call` is over all
        connection = self._connection = pool.connection_class(**{**pool.connection_kwargs, "socket_timeout": None})
        await connection.connect()  # type: ignore[no-untyped-call]
        return connection
