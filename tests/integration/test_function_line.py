"""A line to one function: what goes wrong on it is told once, and the next call goes well."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
import redis

from deploy.connections import async_redis
from shared.function_line import FunctionLine
from shared.redis_functions import RedisFunction
from shared.redis_keys import ShardKeys
from tests.servers import EmbeddedUnderTest


@pytest.fixture
def client(any_redis: EmbeddedUnderTest) -> Iterator[Any]:
    with redis.Redis.from_url(any_redis.url) as connected:
        yield connected


@pytest.fixture
def url(any_redis: EmbeddedUnderTest) -> str:
    return any_redis.url


KEYS = ShardKeys(0)
NAMES = [KEYS.events.stream, KEYS.events.totals]


def on_line(url: str, act: Callable[[FunctionLine], Awaitable[Any]], seconds: float = 2) -> Any:
    """What `act` returns, given a line to the function that tells an entry's state."""

    async def run() -> Any:
        async with async_redis(url, seconds) as asyncio_client:
            line = FunctionLine(asyncio_client, RedisFunction("ingest_gateway", "entry_state"))
            try:
                return await act(line)
            finally:
                await line.close()

    return asyncio.run(run())


async def ask(line: FunctionLine) -> Any:
    return await line.call(NAMES, "weir", 1, 1)


def test_a_function_that_redis_has_lost_is_loaded_and_called(client: Any, url: str) -> None:
    async def act(line: FunctionLine) -> list[Any]:
        first = await ask(line)
        client.function_flush()
        return [first, await ask(line)]

    first, second = on_line(url, act)
    assert isinstance(first, bytes)
    assert first == second
    assert len(client.function_list()) == 1


def test_all_calls_take_one_connection_and_a_closed_one_is_made_again(client: Any, url: str) -> None:
    async def act(line: FunctionLine) -> tuple[int, int, Any]:
        await ask(line)
        before = client.info("stats")["total_connections_received"]
        for _ in range(20):
            await ask(line)
        same = client.info("stats")["total_connections_received"]
        client.client_kill_filter(_type="normal", skipme=True)
        for _ in range(3):
            await asyncio.sleep(0)  # the loop sees the end of the connection
        return before, same, await ask(line)

    before, same, state = on_line(url, act)
    assert before == same
    assert isinstance(state, bytes)


def test_no_reply_in_time_raises_and_the_late_one_is_nobodys(client: Any, url: str) -> None:
    async def act(line: FunctionLine) -> tuple[Any, Any]:
        usual = await ask(line)
        client.execute_command("CLIENT", "PAUSE", 700, "ALL")
        with pytest.raises(redis.TimeoutError, match=r"no reply within 0\.3 s"):
            await ask(line)
        client.client_unpause()
        return usual, await ask(line)

    usual, later = on_line(url, act, 0.3)
    assert usual == later


def test_what_the_function_refuses_is_raised_and_the_line_stays(client: Any, url: str) -> None:
    async def act(line: FunctionLine) -> Any:
        await ask(line)
        with pytest.raises(redis.ResponseError):
            await line.call([], "weir")
        return await ask(line)

    assert isinstance(on_line(url, act), bytes)
