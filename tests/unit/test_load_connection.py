"""The client of `weir load`: what it makes of answers, cuts and silence. The server is a scripted socket."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from deploy.load.gateway_address import GatewayAddress, parse_address
from deploy.load.http_connection import ExchangeCutError, HttpAnswer, HttpConnection
from deploy.load.interruptible_sleep import InterruptibleSleep

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@asynccontextmanager
async def server(script: Callable[[int, int], bytes | None]) -> AsyncIterator[GatewayAddress]:
    """Answers by the numbers of connection and request, from 1; None is silence. Closes after what ends otherwise."""
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        mine, requests = connections, 0
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                requests += 1
                answer = script(mine, requests)
                if answer is not None:
                    writer.write(answer)
                    if not answer.endswith((b"k", b"0\r\n\r\n")):
                        break
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listener:
        yield parse_address(f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}")


def exchanges(
    script: Callable[[int, int], bytes | None], times: int, timeout_seconds: float = 10
) -> list[HttpAnswer | str]:
    """What so many exchanges over one connection gave: answers, or what the cut said."""

    async def run() -> list[HttpAnswer | str]:
        found: list[HttpAnswer | str] = []
        async with server(script) as address:
            connection = HttpConnection(address, timeout_seconds)
            for _ in range(times):
                try:
                    found.append(await connection.exchange(REQUEST))
                except ExchangeCutError as error:
                    found.append(str(error))
            connection.close()
        return found

    return asyncio.run(run())


def test_answers_are_read_with_a_length_and_in_chunks_and_tell_when_to_come_again() -> None:
    chunked = b"HTTP/1.1 503 X\r\nRetry-After: 7\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nlat\r\n2\r\ner\r\n0\r\n\r\n"
    answers = exchanges(lambda _, number: chunked if number == 2 else OK, 3)
    assert answers == [HttpAnswer(200, b"ok", None), HttpAnswer(503, b"later", b"7"), HttpAnswer(200, b"ok", None)]


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", "closed before the answer was whole"),
        (b"HTTP/1.1 200 OK\r\nContent-", "closed before the answer was whole"),
        (b"not HTTP at all", "not HTTP"),
    ],
)
def test_after_a_broken_answer_the_next_exchange_has_a_connection_of_its_own(broken: bytes, told: str) -> None:
    cut, answer = exchanges(lambda connection, _: broken if connection == 1 else OK, 2)
    assert isinstance(cut, str)
    assert told in cut
    assert answer == HttpAnswer(200, b"ok", None)


def test_silence_ends_at_the_time_out_of_each_exchange() -> None:
    began = time.monotonic()
    answer, cut, after = exchanges(lambda connection, number: None if (connection, number) == (1, 2) else OK, 3, 0.4)
    assert (answer, after) == (HttpAnswer(200, b"ok", None),) * 2
    assert cut == "no answer within 0.4 s"
    assert time.monotonic() - began >= 0.4


def test_an_answer_that_closes_is_followed_by_another_connection() -> None:
    closing = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"
    assert exchanges(lambda _, __: closing, 2) == [HttpAnswer(200, b"ok", None)] * 2


def test_all_sleepers_wake_when_told_to_stop_and_nobody_sleeps_after_that() -> None:
    async def run() -> tuple[list[bool], bool, bool]:
        stop = asyncio.Event()
        sleep = InterruptibleSleep(stop)
        watch = asyncio.create_task(sleep.watch())
        through = await sleep.stopped_within(0.01)
        sleepers = [asyncio.create_task(sleep.stopped_within(60)) for _ in range(3)]
        await asyncio.sleep(0)
        stop.set()
        woken = await asyncio.wait_for(asyncio.gather(*sleepers), 10)
        await watch
        return woken, through, await sleep.stopped_within(60)

    assert asyncio.run(run()) == ([True] * 3, False, True)
