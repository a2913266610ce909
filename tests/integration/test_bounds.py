"""Nothing grows without a bound: a full Redis refuses in time, queues are short, idle clients hold up nobody."""

import asyncio
import contextlib
import resource
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson
import pytest
import redis

from deploy.connections import async_redis
from deploy.embedded.redis_server import EmbeddedRedis
from ingest_gateway import publisher as publisher_module
from ingest_gateway.publisher import BACKLOG_FULL, Publisher
from ingest_gateway.redis_memory import RedisMemory
from shared.api_keys import Scope
from shared.problems import Problem
from tests.bench.process_costs import peak_mib
from tests.gateway_process import new_event, read_answer, refusal, running_gateway, running_processor
from tests.pipeline import KEYS, Pipeline
from tests.publishing import audited, config, event, kept_ids, publish, publishing, request
from tests.servers import EmbeddedUnderTest
from tests.waiting import eventually

CONNECTIONS = 2000


@pytest.fixture
def client(any_redis: EmbeddedUnderTest) -> Iterator[Any]:
    with redis.Redis.from_url(any_redis.url) as connected:
        yield connected
        connected.config_set("maxmemory", 0)


@pytest.fixture
def url(any_redis: EmbeddedUnderTest) -> str:
    return any_redis.url


def used(client: Any) -> int:
    return int(client.info("memory")["used_memory"])


def test_a_full_redis_takes_nothing_and_says_when_to_come_back(client: Any, url: str) -> None:
    publish(url, request(event("before")))
    client.config_set("maxmemory", 1)
    with pytest.raises(Problem, match="nothing was accepted") as refused:
        publish(url, request(event("a")))
    assert (refused.value.type, refused.value.status, refused.value.retry_after) == ("backlog-full", 503, 5)
    assert kept_ids(client) == ["before"]
    client.config_set("maxmemory", 0)
    [told] = publish(url, request(event("a")))
    assert told.result.kept == 1


def test_processors_go_on_while_redis_is_full(client: Any, url: str, database_url: str) -> None:
    publish(url, request(event("good"), event("bad", b"no json")))
    client.function_flush()  # a processor of another release, whose functions Redis does not know yet
    client.config_set("maxmemory", 1)
    pipeline = Pipeline(url, database_url)  # the first one ever: it has to make the group, too
    stored = pipeline.pass_on()
    pipeline.close()
    assert len(stored.parked) == 1
    assert client.xlen(KEYS.events.stream) == 0
    assert client.xlen(KEYS.dead.stream) == 1


@pytest.mark.parametrize("by_setting", [True, False])
def test_events_are_refused_before_redis_is_full(client: Any, url: str, by_setting: bool) -> None:
    async def run() -> None:
        async with async_redis(url, 2) as asyncio_client:
            memory = RedisMemory(asyncio_client, used(client) if by_setting else 0)
            publisher = Publisher(asyncio_client, config(), 0, memory)
            await memory.look()
            if not by_setting:
                assert not memory.is_full, "no maxmemory, no limit"
                client.set("others", b"x" * 20_000_000)
                deadline = time.monotonic() + 10
                while not memory.is_full and time.monotonic() < deadline:  # a buffer may be given back meanwhile
                    client.config_set("maxmemory", int(used(client) * 1.05))
                    await memory.look()
            assert memory.is_full
            assert (await publisher.publish(request(event("a")))).result.outcome == BACKLOG_FULL
            memory = RedisMemory(asyncio_client, used(client) * 2)
            await memory.look()
            assert not memory.is_full

    asyncio.run(run())
    assert kept_ids(client) == []
    assert audited(client) == [(503, "backlog-full")]


@pytest.mark.parametrize("bound", ["MAX_WAITING_BYTES", "MAX_WAITING_REQUESTS"])
def test_what_waits_for_redis_is_bounded(client: Any, url: str, bound: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publisher_module, bound, 3)
    many = [request(event(f"e{number}")) for number in range(50)]

    async def act(publisher: Publisher) -> list[Any]:
        return list(await asyncio.gather(*map(publisher.publish, many), return_exceptions=True))

    told = publishing(url, act)
    refused = [one for one in told if isinstance(one, Problem)]
    assert refused
    assert all("nothing was accepted" in one.detail for one in refused)
    assert len(kept_ids(client)) == len(told) - len(refused) > 0


def test_a_gateway_recovers_by_itself_from_a_full_redis(tmp_path: Path, database_url: str) -> None:
    payload = {"text": "x" * 10_000}
    with (
        EmbeddedRedis(tmp_path / "redis") as server,
        redis.Redis.from_url(server.url) as client,
        running_gateway(tmp_path, database_url, server.url) as gateway,
    ):
        client.config_set("maxmemory", used(client) + 2_000_000)
        accepted = 0
        answer = gateway.batch([new_event(payload=payload) for _ in range(10)])
        deadline = time.monotonic() + 30
        while answer.status_code == 202 and time.monotonic() < deadline:
            accepted += 10
            answer = gateway.batch([new_event(payload=payload) for _ in range(10)])
        assert refusal(answer) == (503, "backlog-full")
        assert answer.headers["retry-after"] == "5"
        with running_processor(tmp_path, database_url, server.url):
            eventually(lambda: gateway.ingest(new_event()).status_code == 202, within_seconds=20, what="accepted again")
            eventually(lambda: client.hget(KEYS.events.totals, "settled") == b"%d" % (accepted + 1), within_seconds=20)


def test_idle_and_slow_connections_hold_up_nobody(tmp_path: Path, database_url: str, redis_url: str) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most < 3 * CONNECTIONS:
        pytest.skip(f"this machine lets a process have {most} open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with running_gateway(tmp_path, database_url, redis_url) as gateway, contextlib.ExitStack() as stack:
        for number in range(CONNECTIONS):
            sock = stack.enter_context(socket.create_connection(("127.0.0.1", gateway.port), timeout=10))
            if number % 2:
                sock.sendall(b"POST /api/v1/events/ingest HTTP/1.1\r\nHost: x\r\nContent-Le")
        began = time.monotonic()
        assert [gateway.ingest(new_event()).status_code for _ in range(50)] == [202] * 50
        assert time.monotonic() - began < 5


def test_one_key_with_slow_bodies_does_not_shut_the_others_out(
    tmp_path: Path, database_url: str, redis_url: str
) -> None:
    with (
        running_gateway(tmp_path, database_url, redis_url, WEIR_MAX_CONCURRENCY="4") as gateway,
        contextlib.ExitStack() as stack,
    ):
        greedy = gateway.make_key("greedy", Scope.INGEST)
        for _ in range(2):
            sock = stack.enter_context(socket.create_connection(("127.0.0.1", gateway.port), timeout=10))
            head = f"POST /api/v1/events/ingest HTTP/1.1\r\nHost: x\r\nX-API-Key: {greedy}\r\n"
            sock.sendall(f"{head}Content-Type: application/json\r\nContent-Length: 99\r\n\r\n".encode())
        active = "weir_gateway_requests_active 2.0"
        eventually(lambda: active in gateway.http.get("/metrics").text, what="its share is used up")
        answer = gateway.ingest(new_event(), key=greedy)
        assert refusal(answer) == (429, "rate-limited")
        assert "2 requests of key" in answer.json()["detail"]
        assert [gateway.ingest(new_event()).status_code for _ in range(9)] == [202] * 9


def test_requests_that_wait_for_storage_hold_no_slot(tmp_path: Path, database_url: str, redis_url: str) -> None:
    with (
        running_gateway(tmp_path, database_url, redis_url, WEIR_MAX_CONCURRENCY="2") as gateway,
        ThreadPoolExecutor(4) as pool,
    ):
        waiting = []
        for number in range(1, 5):
            waiting.append(pool.submit(gateway.ingest, new_event(), headers={"Prefer": "wait=6"}))
            active = f"weir_gateway_requests_active {number}.0"
            eventually(lambda active=active: active in gateway.http.get("/metrics").text, what=active)
            eventually(lambda: gateway.ingest(new_event()).status_code == 202, what="a slot is free")
        assert not any(one.done() for one in waiting)
        assert [one.result().status_code for one in waiting] == [202] * 4


def test_connections_beyond_the_limit_are_told_so_and_closed(tmp_path: Path, database_url: str, redis_url: str) -> None:
    with (
        running_gateway(tmp_path, database_url, redis_url, WEIR_MAX_CONNECTIONS="5") as gateway,
        contextlib.ExitStack() as stack,
    ):
        address = ("127.0.0.1", gateway.port)
        idle = [stack.enter_context(socket.create_connection(address, timeout=10)) for _ in range(5)]

        def told_at_once() -> bool:
            with socket.create_connection(address, timeout=10) as more:
                more.settimeout(0.5)
                try:
                    return more.recv(100).startswith(b"HTTP/1.1 503 ")
                except TimeoutError:
                    return False

        eventually(told_at_once, what="a connection beyond the limit is refused")
        for sock in idle:
            sock.close()
        eventually(lambda: not told_at_once(), what="there is room again")
        assert gateway.ingest(new_event()).status_code == 202


def test_rubbish_behind_a_request_does_not_take_its_answer(tmp_path: Path, database_url: str, redis_url: str) -> None:
    with running_gateway(tmp_path, database_url, redis_url) as gateway, gateway.connection() as sock:
        body = orjson.dumps(new_event())
        head = f"POST /api/v1/events/ingest HTTP/1.1\r\nHost: x\r\nX-API-Key: {gateway.key}\r\nPrefer: wait=2\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        sock.sendall(head.encode() + body)
        eventually(lambda: "requests_active 1.0" in gateway.http.get("/metrics").text, what="it waits")
        sock.sendall(b"RUBBISH\r\n\r\n")
        status, headers, _ = read_answer(sock)
        assert (status, headers["connection"]) == (202, "close")
        assert sock.recv(100) == b""


def test_trailers_without_end_take_no_memory(tmp_path: Path, database_url: str, redis_url: str) -> None:
    with running_gateway(tmp_path, database_url, redis_url) as gateway, gateway.connection() as sock:
        pid = gateway.service.process.pid
        before = peak_mib(pid)
        sock.sendall(b"POST /api/v1/events/ingest HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n")
        with pytest.raises(OSError):  # it hangs up
            for _ in range(1000):
                sock.sendall(b"A: v\r\n" * 10_000)
        assert peak_mib(pid) < before + 30
