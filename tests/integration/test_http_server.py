"""Our ways beside uvicorn's: a request is seen whole when it came whole, and an answer of known length is one write."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn

from deploy.embedded.local_address import free_port
from deploy.services.http_protocol import timely_protocol
from shared.answers import WHOLE_BODY, Answer, Begin

ANSWER = [(b"content-length", b"2"), (b"content-type", b"text/plain")]


@asynccontextmanager
async def served(
    app: Any, begin: Begin | None = None, keep_alive_seconds: int = 5
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection to a server of this application."""
    port = free_port()
    config = uvicorn.Config(
        app, host="127.0.0.1", port=port, http=timely_protocol(10, begin=begin), log_config=None, lifespan="off",
        access_log=False, timeout_keep_alive=keep_alive_seconds,
    )  # fmt: skip
    server = uvicorn.Server(config)
    if isinstance(app, Beginner):
        app.stop = lambda: setattr(server, "should_exit", True)
    task = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110  uvicorn tells it by this alone
        await asyncio.sleep(0.01)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()
        server.should_exit = True
        await task


async def send_two(send: Any, headers: list[tuple[bytes, bytes]], body: bytes = b"ok") -> None:
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def read_answer(reader: asyncio.StreamReader, *, has_body: bool = True) -> tuple[bytes, bytes]:
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    (length,) = [line.split(b": ")[1] for line in head.split(b"\r\n") if line.startswith(b"content-length")]
    return head, await asyncio.wait_for(reader.readexactly(int(length)), 10) if has_body else b""


def post(body: bytes, *more: bytes) -> bytes:
    lines = [b"POST / HTTP/1.1", b"Host: x", b"Content-Length: %d" % len(body), *more]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def test_a_body_that_came_with_its_head_is_in_the_scope_and_a_later_one_is_received() -> None:
    seen: list[tuple[bytes | None, bytes]] = []
    waits_for_more = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        whole = scope.get(WHOLE_BODY)
        body = b""
        while whole is None:
            message = await receive()
            body += message["body"]
            if not message["more_body"]:
                break
            waits_for_more.set()
        seen.append((whole, body))
        await send_two(send, ANSWER)

    async def run() -> None:
        async with served(app) as (reader, writer):
            writer.write(post(b"whole"))
            await read_answer(reader)
            request = post(b"in two parts")
            writer.write(request[:-5])
            await asyncio.wait_for(waits_for_more.wait(), 10)
            writer.write(request[-5:])
            await read_answer(reader)

    asyncio.run(run())
    assert seen == [(b"whole", b""), (None, b"in two parts")]


def test_requests_of_one_packet_are_answered_in_order() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        body = scope.get(WHOLE_BODY) or (await receive())["body"]
        await send_two(send, [(b"content-length", b"%d" % len(body))], body)

    async def run() -> list[bytes]:
        async with served(app) as (reader, writer):
            writer.write(b"".join(post(b"number %d" % number) for number in range(5)))
            return [(await read_answer(reader))[1] for _ in range(5)]

    assert asyncio.run(run()) == [b"number %d" % number for number in range(5)]


def test_an_application_that_fails_between_head_and_body_gives_500_and_not_half_an_answer() -> None:
    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": ANSWER})
        raise RuntimeError

    async def run() -> bytes:
        async with served(app) as (reader, writer):
            writer.write(post(b"x"))
            return (await read_answer(reader))[0]

    assert asyncio.run(run()).startswith(b"HTTP/1.1 500 ")


def test_a_line_break_in_a_header_never_leaves() -> None:
    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send_two(send, [*ANSWER, (b"x-name", b"a\r\nx-evil: 1")])

    async def run() -> bytes:
        async with served(app) as (reader, writer):
            writer.write(post(b"x"))
            return await asyncio.wait_for(reader.read(), 10)

    answered = asyncio.run(run())
    assert b"x-evil" not in answered


def test_an_answer_of_another_length_than_it_says_ends_the_connection() -> None:
    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send_two(send, ANSWER, b"three")

    async def run() -> bytes:
        async with served(app) as (reader, writer):
            writer.write(post(b"x"))
            return await asyncio.wait_for(reader.read(), 10)

    assert b"three" not in asyncio.run(run())


def test_head_has_no_body_and_connection_close_closes() -> None:
    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send_two(send, ANSWER)

    async def run() -> tuple[bytes, bytes]:
        async with served(app) as (reader, writer):
            writer.write(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
            await read_answer(reader, has_body=False)
            writer.write(post(b"x", b"Connection: close"))
            head, body = await read_answer(reader)
            assert await asyncio.wait_for(reader.read(), 10) == b"", "closed after the answer"
            return head, body

    head, body = asyncio.run(run())
    assert b"connection: close" in head
    assert body == b"ok"


def test_a_stream_without_a_length_sends_its_head_at_once() -> None:
    go_on = asyncio.Event()

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await go_on.wait()
        await send({"type": "http.response.body", "body": b"late"})

    async def run() -> bytes:
        async with served(app) as (reader, writer):
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
            go_on.set()
            return await asyncio.wait_for(reader.readuntil(b"0\r\n\r\n"), 10)

    assert b"late" in asyncio.run(run())


class Beginner:
    """Begins what has a body of its own word, and answers it when told."""

    def __init__(self) -> None:
        self.begun: list[tuple[bytes, Answer]] = []
        self.seconds = 0.01
        self.stop: Callable[[], None] = lambda: None

    def begin(self, _scope: Any, body: bytes, answer: Answer) -> bool:
        if not body.startswith(b"begin"):
            return False
        self.begun.append((body, answer))
        asyncio.get_running_loop().call_later(
            self.seconds, answer.write, 202, b"content-length: %d\r\n" % len(body), body
        )
        return True

    async def __call__(self, scope: Any, _receive: Any, send: Any) -> None:
        body = b"by the application: " + scope[WHOLE_BODY]
        await send_two(send, [(b"content-length", b"%d" % len(body))], body)


def test_what_is_begun_at_once_is_answered_and_the_connection_goes_on() -> None:
    async def run() -> list[tuple[bytes, bytes]]:
        beginner = Beginner()
        answers = []
        async with served(beginner, beginner.begin) as (reader, writer):
            for body in (b"begin one", b"another", b"begin two"):
                writer.write(post(body))
                answers.append(await read_answer(reader))
        return answers

    answers = asyncio.run(run())
    assert [head.partition(b"\r\n")[0][:12] for head, _ in answers] == [
        b"HTTP/1.1 202",
        b"HTTP/1.1 200",
        b"HTTP/1.1 202",
    ]
    assert [body for _, body in answers] == [b"begin one", b"by the application: another", b"begin two"]
    assert all(b"\r\ndate: " in head for head, _ in answers)


def test_requests_behind_one_that_was_begun_wait_for_its_answer() -> None:
    async def run() -> list[bytes]:
        beginner = Beginner()

        async def app(_scope: Any, receive: Any, send: Any) -> None:
            body = (await receive())["body"]
            await send_two(send, [(b"content-length", b"%d" % len(body))], body)

        async with served(app, beginner.begin) as (reader, writer):
            writer.write(b"".join(post(b"begin %d" % number) for number in range(4)))
            return [(await read_answer(reader))[1] for _ in range(4)]

    assert asyncio.run(run()) == [b"begin %d" % number for number in range(4)]


def test_what_is_begun_ends_with_its_connection_if_that_was_to_be_closed() -> None:
    async def run() -> bytes:
        beginner = Beginner()
        async with served(beginner, beginner.begin) as (reader, writer):
            writer.write(post(b"begin", b"Connection: close"))
            return await asyncio.wait_for(reader.read(), 10)

    answered = asyncio.run(run())
    assert answered.endswith(b"\r\n\r\nbegin")
    assert b"\r\nconnection: close\r\n" in answered


def test_an_answer_to_a_client_that_is_gone_is_nothing() -> None:
    async def run() -> tuple[list[tuple[bytes, Answer]], bytes]:
        beginner = Beginner()
        begun = asyncio.Event()

        def begin(_scope: Any, body: bytes, answer: Answer) -> bool:
            beginner.begun.append((body, answer))
            begun.set()
            return body == b"begin"

        async with served(beginner, begin) as (_, writer):
            writer.write(post(b"begin"))
            await asyncio.wait_for(begun.wait(), 10)
            writer.transport.abort()
            ((_, answer),) = beginner.begun
            await asyncio.sleep(0.1)
            answer.write(202, b"content-length: 2\r\n", b"ok")
            port = writer.get_extra_info("peername")[1]
            reader, other = await asyncio.open_connection("127.0.0.1", port)
            other.write(post(b"still"))
            answered = await read_answer(reader)
            other.close()
        return beginner.begun, answered[1]

    begun, answered = asyncio.run(run())
    assert [body for body, _ in begun] == [b"begin", b"still"]
    assert answered == b"by the application: still"


def test_a_request_with_the_head_of_the_last_one_is_begun_with_its_own_body_and_the_date_of_now() -> None:
    async def run() -> tuple[list[bytes], list[bytes], list[int]]:
        beginner, scopes = Beginner(), list[int]()

        def begin(scope: Any, body: bytes, answer: Answer) -> bool:
            scopes.append(id(scope))
            return beginner.begin(scope, body, answer)

        bodies, dates = [], []
        async with served(beginner, begin) as (reader, writer):
            while len(set(dates)) < 2:
                writer.write(post(b"begin" + b"!" * len(bodies)))
                head, body = await read_answer(reader)
                bodies.append(body)
                dates.append(next(line for line in head.split(b"\r\n") if line.startswith(b"date")))
        return bodies, dates, scopes

    bodies, dates, scopes = asyncio.run(run())
    assert bodies == [b"begin" + b"!" * number for number in range(len(bodies))]
    assert len(dates) == len(bodies) > 1
    assert len(set(scopes)) == 1, "the head was parsed again"


def test_what_is_not_begun_though_its_head_came_before_is_served_by_the_application_with_a_scope_of_its_own() -> None:
    async def run() -> list[bytes]:
        beginner, answers = Beginner(), []
        async with served(beginner, beginner.begin) as (reader, writer):
            for body in (b"begin 1", b"begin 2", b"one", b"begin 3", b"two", b"begin 4"):
                writer.write(post(body))
                answers.append((await read_answer(reader))[1])
        return answers

    by_app = b"by the application: "
    assert asyncio.run(run()) == [b"begin 1", b"begin 2", by_app + b"one", b"begin 3", by_app + b"two", b"begin 4"]


def test_a_repeated_head_may_come_in_pieces_with_others_behind_it_and_between_other_heads() -> None:
    async def run() -> list[bytes]:
        beginner, bodies = Beginner(), []

        async def app(_scope: Any, receive: Any, send: Any) -> None:
            body = b""
            while (message := await receive())["more_body"]:
                body += message["body"]
            body = b"app:" + body + message["body"]
            await send_two(send, [(b"content-length", b"%d" % len(body))], body)

        async with served(app, beginner.begin) as (reader, writer):
            for body in (b"begin 1", b"begin 2"):
                writer.write(post(body))
                bodies.append((await read_answer(reader))[1])
            writer.write(post(b"begin 3")[:30])
            await asyncio.sleep(0.05)
            writer.write(post(b"begin 3")[30:])
            bodies.append((await read_answer(reader))[1])
            writer.write(post(b"begin 4") + post(b"begin 5") + post(b"begin 6", b"X: y"))
            bodies += [(await read_answer(reader))[1] for _ in range(3)]
            for body in (b"begin 7", b"begin 8"):  # the second while the first is in hand
                writer.write(post(body))
                await asyncio.sleep(0.002)
            bodies += [(await read_answer(reader))[1] for _ in range(2)]
            writer.write(post(b"begin 9", b"X: y"))
            bodies.append((await read_answer(reader))[1])
            writer.write(post(b"begin 10"))
            bodies.append((await read_answer(reader))[1])
        return bodies

    bodies = asyncio.run(run())
    assert [body.removeprefix(b"app:") for body in bodies] == [b"begin %d" % number for number in range(1, 11)]


ONE, TWO, THREE, FOUR = (post(b"begin %d" % number) for number in range(1, 5))


@pytest.mark.parametrize(
    ("packets", "expected"),
    [
        ((ONE[:2], ONE[2:], TWO + THREE[:2], THREE[2:], FOUR), ["/ 1", "/ 2", "/ 3", "/ 4"]),
        ((ONE, TWO + b"POST /other HTTP/1.1\r\nX: ", THREE, FOUR), ["/ 1", "/ 2", "/other 3", "/ 4"]),
        ((ONE, TWO + THREE[:-3], THREE[-3:], FOUR), ["/ 1", "/ 2", "/ 3", "/ 4"]),
        ((ONE[:2], ONE[2:], TWO[2:]), ["/ 1", "400"]),
        ((ONE[:-3], ONE[-3:] + TWO, ONE[-3:] + TWO), ["/ 1", "/ 2", "400"]),
    ],
    ids=["method cut", "as a header's value", "body cut", "without its start", "behind the end of a body"],
)
def test_a_packet_is_one_request_only_where_a_request_begins(packets: tuple[bytes, ...], expected: list[str]) -> None:
    async def run() -> list[str]:
        def begin(scope: Any, body: bytes, answer: Answer) -> bool:
            told = f"{scope['path']} {body[-1:].decode()}".encode()
            answer.write(202, b"content-length: %d\r\n" % len(told), told)
            return True

        async def app(scope: Any, receive: Any, send: Any) -> None:
            body = b""
            while (message := await receive())["more_body"]:
                body += message["body"]
            told = f"{scope['path']} {(body + message['body'])[-1:].decode()}".encode()
            await send_two(send, [(b"content-length", b"%d" % len(told))], told)

        answers = []
        async with served(app, begin) as (reader, writer):
            for packet in packets:
                writer.write(packet)
                await asyncio.sleep(0.05)  # so that each arrives as it is
            for _ in expected:
                head, body = await read_answer(reader)
                answers.append("400" if head.startswith(b"HTTP/1.1 400") else body.decode())
        return answers

    assert asyncio.run(run()) == expected


def test_an_idle_connection_is_closed_and_one_in_use_is_not() -> None:
    async def run() -> tuple[int, float]:
        beginner = Beginner()
        async with served(beginner, beginner.begin, keep_alive_seconds=1) as (reader, writer):
            loop = asyncio.get_running_loop()
            began, answers = loop.time(), 0
            while loop.time() < began + 2.5:
                writer.write(post(b"begin"))
                await read_answer(reader)
                answers += 1
                await asyncio.sleep(0.2)
            last = loop.time()
            assert await asyncio.wait_for(reader.read(), 20) == b""
            return answers, loop.time() - last

    answers, idle_seconds = asyncio.run(run())
    assert answers >= 3
    assert idle_seconds > 0.5


def test_a_server_that_stops_answers_what_was_begun_with_a_repeated_head() -> None:
    async def run() -> bytes:
        beginner = Beginner()
        async with served(beginner, beginner.begin) as (reader, writer):
            writer.write(post(b"begin 1"))
            await read_answer(reader)
            beginner.seconds = 0.5  # uvicorn looks every 0.1 s whether it is to stop
            writer.write(post(b"begin 2"))
            while len(beginner.begun) < 2:  # noqa: ASYNC110  it tells nobody
                await asyncio.sleep(0.001)
            beginner.stop()
            return await asyncio.wait_for(reader.read(), 10)

    answered = asyncio.run(run())
    assert answered.endswith(b"\r\n\r\nbegin 2")
    assert b"\r\nconnection: close\r\n" in answered
