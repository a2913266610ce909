"""How `weir load` sends: what it does with each kind of answer. The gateway is a scripted socket server."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from deploy.load.event_source import EventSource, FreshIds, now
from deploy.load.gateway_address import GatewayAddress, parse_address
from deploy.load.load_request import load_requests
from deploy.load.pacing import Pace
from deploy.load.sender import Sender
from deploy.load.synthetic_events import SyntheticShape, synthetic_tails
from deploy.load.tally import Tally
from shared.errors import RefusedRequest

Answer = Callable[[int, list[str]], bytes | None]
"""From the number of the request and its event ids to the response; None cuts the connection."""


def kept(ids: Sequence[str], duplicates: int = 0) -> bytes:
    return response(202, {"accepted": len(ids) - duplicates, "duplicates": duplicates, "rejected": 0})


def response(status: int, body: object, headers: str = "") -> bytes:
    content = json.dumps(body).encode()
    return f"HTTP/1.1 {status} X\r\nContent-Length: {len(content)}\r\n{headers}\r\n".encode() + content


@asynccontextmanager
async def gateway(answer: Answer) -> AsyncIterator[tuple[GatewayAddress, list[list[str]]]]:
    """A gateway that answers as scripted, and the ids of every request it got."""
    seen: list[list[str]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                size = int(head.lower().partition(b"content-length:")[2].split()[0])
                ids = [event["event_id"] for event in json.loads(await reader.readexactly(size))["events"]]
                seen.append(ids)
                reply = answer(len(seen), ids)
                if reply is None:
                    break
                writer.write(reply)
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=2**20)
    async with server:
        yield parse_address(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"), seen


def send(
    answer: Answer, *, events: int = 20, connections: int = 1, pace: Pace | None = None
) -> tuple[Tally, list[list[str]]]:
    """Sends events, 10 a request; what was counted, and the ids of each request the gateway saw."""

    async def run() -> tuple[Tally, list[list[str]]]:
        async with gateway(answer) as (address, seen):
            source = EventSource(FreshIds("r-"), synthetic_tails(SyntheticShape(200, 1))[:50], events, now())
            tally = Tally()
            sender = Sender(address, connections, pace or Pace(), tally, asyncio.Event())
            await sender.send(load_requests(source, 10, address, "key"))
            return tally, seen

    return asyncio.run(asyncio.wait_for(run(), 20))


def test_every_event_is_sent_once_over_several_connections() -> None:
    tally, seen = send(lambda _, ids: kept(ids), events=205, connections=4)
    sent = [event_id for ids in seen for event_id in ids]
    assert sorted(sent) == [FreshIds("r-").at(place) for place in range(205)]
    assert (tally.accepted, tally.requests, tally.latency.count) == (205, 21, 21)
    assert tally.left == []


@pytest.mark.parametrize("status", [429, 503])
def test_what_was_put_off_is_sent_again_with_the_same_ids_and_is_no_failure(status: int) -> None:
    put_off = response(status, {"detail": "later"}, "Retry-After: 0\r\n")
    tally, seen = send(lambda number, ids: put_off if number == 1 else kept(ids))
    assert seen[0] == seen[1]
    assert (tally.accepted, tally.throttled_requests, tally.failed_requests) == (20, 1, 0)


def test_retry_after_is_waited_for() -> None:
    put_off = response(429, {"detail": "later"}, "Retry-After: 1\r\n")
    tally, _ = send(lambda number, ids: put_off if number == 1 else kept(ids), events=10)
    assert tally.seconds >= 1


@pytest.mark.parametrize("broken", [None, response(500, {}), response(504, {}), b"nonsense\r\n\r\n"])
def test_what_was_cut_or_broke_is_sent_again_and_its_duplicates_are_known_as_its_own(broken: bytes | None) -> None:
    tally, seen = send(lambda number, ids: broken if number == 1 else kept(ids, duplicates=10 if number == 2 else 0))
    assert seen[0] == seen[1]
    assert (tally.failed_requests, tally.accepted, tally.duplicates, tally.own_duplicates) == (1, 10, 10, 10)
    assert tally.acknowledged == 20


def test_a_refused_request_is_not_sent_again_and_the_others_are() -> None:
    refusal = response(422, {"type": "/problems/invalid-event", "detail": "payload is too deep"})
    tally, seen = send(lambda number, ids: refusal if number == 1 else kept(ids))
    assert len(seen) == 2
    assert (tally.refused, tally.accepted) == (10, 10)
    assert "payload is too deep" in tally.refusal


def test_a_refusal_that_would_meet_every_request_ends_the_run() -> None:
    refusal = response(401, {"type": "/problems/unauthenticated", "detail": "no such key"})
    with pytest.raises(RefusedRequest, match="no such key") as raised:
        send(lambda *_: refusal, events=1000, connections=4)
    assert raised.value.problem == "unauthenticated"


def test_a_chunked_answer_is_read_whole() -> None:
    def chunked(_: int, ids: list[str]) -> bytes:
        body = b'{"accepted":%d,"duplicates":0}' % len(ids)
        parts = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:5], body[5:]))
        return b"HTTP/1.1 202 X\r\nTransfer-Encoding: chunked\r\n\r\n" + parts + b"0\r\n\r\n"

    tally, _ = send(chunked)
    assert tally.accepted == 20


def test_a_connection_that_the_gateway_closes_after_its_answer_is_opened_again_without_a_failure() -> None:
    closing = "Connection: close\r\n"
    tally, _ = send(lambda _, ids: response(202, {"accepted": len(ids)}, closing))
    assert (tally.accepted, tally.failed_requests) == (20, 0)


def test_a_paced_run_takes_its_time_and_counts_response_times_from_when_they_were_due() -> None:
    def slow_first(number: int, ids: list[str]) -> bytes:
        if number == 1:
            time.sleep(0.3)
        return kept(ids)

    tally, _ = send(slow_first, events=50, pace=Pace(events_per_second=200))
    assert tally.seconds >= 0.2
    # One connection: the requests due during the slow first one were late, though each was answered at once.
    middle = tally.latency.percentile_ms(50)
    assert middle is not None
    assert middle > 50


def test_a_stopped_run_leaves_what_was_not_answered_and_says_so() -> None:
    async def run() -> Tally:
        async with gateway(lambda *_: response(503, {}, "Retry-After: 60\r\n")) as (address, _):
            source = EventSource(FreshIds("r-"), synthetic_tails(SyntheticShape(200, 1))[:50], 1000, now())
            tally, stop = Tally(), asyncio.Event()
            sending = asyncio.create_task(
                Sender(address, 2, Pace(), tally, stop).send(load_requests(source, 10, address, "key"))
            )
            while tally.throttled_requests < 2:  # noqa: ASYNC110  # a tally tells nobody
                await asyncio.sleep(0.01)
            stop.set()
            await asyncio.wait_for(sending, 2)
            return tally

    tally = asyncio.run(run())
    assert tally.acknowledged == 0
    assert (len(tally.left), tally.left_events, tally.sent_events) == (2, 20, 20)


def test_a_time_limit_ends_an_endless_run() -> None:
    async def run() -> Tally:
        async with gateway(lambda _, ids: kept(ids)) as (address, _):
            source = EventSource(FreshIds("r-"), synthetic_tails(SyntheticShape(200, 1))[:50], None, now())
            tally = Tally()
            await Sender(address, 2, Pace(seconds=0.3), tally, asyncio.Event()).send(
                load_requests(source, 10, address, "key")
            )
            return tally

    tally = asyncio.run(asyncio.wait_for(run(), 10))
    assert tally.accepted > 0
    assert tally.left == []
