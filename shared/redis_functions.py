"""Redis Functions from ``.lua`` files: one atomic action a file, its name carrying the hash of its code.

Because the name changes with the code, gateways and processors of two releases run side by side on one Redis, each
calling its own version. A server that lost its functions gets them again at the first call, as does a node of a cluster
that a shard has moved to: nothing ran, so the call is repeated safely. Calls are never repeated for any other reason.
"""

from hashlib import sha256
from importlib.resources import files
from typing import Any

import redis
import redis.asyncio
from redis.exceptions import OutOfMemoryError, ResponseError

from shared.errors import Outage
from shared.redis_nodes import node_of, node_of_async

_PRELUDES = ("append", "sliding_window")


class RedisFunction:
    """One function of Redis, loaded on demand.

    ``<package>/lua/<name>.lua`` defines ``local function <name>(keys, argv)``; the preludes stand before it. One that
    frees memory, or is on the way to it, runs ``when_full`` too: Redis at its maxmemory refuses every other.
    """

    def __init__(self, package: str, name: str, *, when_full: bool = False) -> None:
        shared_lua = files("shared") / "lua"
        preludes = "\n".join((shared_lua / f"{prelude}.lua").read_text() for prelude in _PRELUDES)
        body = preludes + "\n" + (files(package) / "lua" / f"{name}.lua").read_text()
        self.name = f"weir_{name}_{sha256(body.encode()).hexdigest()[:10]}"
        flags = "'allow-oom'" if when_full else ""
        # A full Redis takes no function, and needs this one to become less full: then it runs as a script.
        self._script = f"#!lua flags=allow-oom\n{body}\nreturn {name}(KEYS, ARGV)\n" if when_full else None
        registration = f"{{function_name = '{self.name}', callback = {name}, flags = {{{flags}}}}}"
        self.code = f"#!lua name={self.name}\n{body}\nredis.register_function{registration}\n"

    def call(self, client: "redis.Redis", keys: list[str], *args: bytes | str | int) -> Any:
        """Run it once and return its reply. Blocks up to the client's socket time-out.

        Raises what redis-py raises; after a time-out or a cut connection it may or may not have run.
        """
        try:
            return client.fcall(self.name, len(keys), *keys, *args)
        except ResponseError as error:
            if not is_missing(error):
                raise
        try:
            node_of(client, keys[0]).function_load(self.code)
        except OutOfMemoryError:
            if self._script is None:
                raise
            return client.eval(self._script, len(keys), *keys, *args)
        except ResponseError as error:
            if "already exists" not in str(error):
                raise
        return client.fcall(self.name, len(keys), *keys, *args)

    async def call_confirmed_async(
        self, client: "redis.asyncio.Redis", keys: list[str], *args: bytes | str | int, confirm: tuple[str | int, ...]
    ) -> tuple[Any, Any]:
        """Run it, and on the same connection a command that waits for what it wrote; both replies.

        One pipeline without MULTI: what waits would not wait inside of a transaction. Raises as ``call`` does.
        """
        replies = await self._pair(client, keys, args, confirm)
        if isinstance(replies[0], ResponseError) and is_missing(replies[0]):
            await self._load_async(client, keys[0])
            replies = await self._pair(client, keys, args, confirm)
        for reply in replies:
            if isinstance(reply, Exception):
                raise reply
        return replies[0], replies[1]

    async def _pair(
        self,
        client: "redis.asyncio.Redis",
        keys: list[str],
        args: tuple[bytes | str | int, ...],
        confirm: tuple[str | int, ...],
    ) -> list[Any]:
        async with client.pipeline(transaction=False) as pipeline:
            pipeline.execute_command("FCALL", self.name, len(keys), *keys, *args)
            pipeline.execute_command(*confirm)
            return await pipeline.execute(raise_on_error=False)

    async def call_async(self, client: "redis.asyncio.Redis", keys: list[str], *args: bytes | str | int) -> Any:
        """The same on an asyncio client."""
        try:
            return await client.fcall(self.name, len(keys), *keys, *args)
        except ResponseError as error:
            if not is_missing(error):
                raise
        await self._load_async(client, keys[0])
        return await client.fcall(self.name, len(keys), *keys, *args)

    async def _load_async(self, client: "redis.asyncio.Redis", key: str) -> None:
        try:
            await (await node_of_async(client, key)).function_load(self.code)
        except ResponseError as error:
            if "already exists" not in str(error):
                raise


def is_missing(error: ResponseError) -> bool:
    """Whether Redis says that it has no such function: nothing ran."""
    return "Function not found" in str(error)


def redis_outage(error: redis.RedisError) -> Outage:
    """What a Redis error means to a caller that may only wait: the server is away, busy, full or read-only."""
    return Outage("redis", f"{type(error).__name__}: {error}")
