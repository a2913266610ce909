"""The publisher: requests that arrive while a Redis call is in flight share the next one.

One call is one atomic function (``lua/publish.lua``) on one shard: limits, early duplicate filter, one entry with all
new events and one with the audit records. Either a request's part of it happened whole, or not at all.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from logging import ERROR, WARNING
from typing import Final

import msgspec
import redis
import redis.asyncio
import structlog
from redis.exceptions import OutOfMemoryError

from ingest_gateway.config import GatewayConfig
from ingest_gateway.durability import UnconfirmedError, check_confirmed, confirmation
from ingest_gateway.publish_calls import PublishCalls
from ingest_gateway.redis_memory import RedisMemory
from shared.audit_record import encode_record
from shared.audit_trail import audit_full
from shared.function_line import FunctionLine
from shared.problems import Problem
from shared.redis_functions import RedisFunction
from shared.redis_keys import ShardKeys

log = structlog.get_logger()

MAX_CALL_EVENTS: Final = 2000
MAX_CALL_BYTES: Final = 2 * 1024 * 1024
"""A call takes waiting requests up to either bound; one larger request goes alone."""
MAX_WAITING_BYTES: Final = 64 * 1024 * 1024
MAX_WAITING_REQUESTS: Final = 8192
"""Bytes of events, and requests, that may wait for their call in one process; beyond either they get 503 at once."""

FULL_RETRY_SECONDS: Final = 5

_encoder: Final = msgspec.msgpack.Encoder()

ACCEPTED: Final = 0
LIMITED: Final = 1
BACKLOG_FULL: Final = 2
UNRECORDED: Final = 3


class PublishRequest(msgspec.Struct, gc=False):
    """What one HTTP request brings to the publisher."""

    key_id: str | None
    limit: int
    """Requests a window; 0 is none."""
    audit_head: bytes
    status: int
    """Of the answer, should the function refuse nothing; it goes into the audit record."""
    error: str = ""
    ids: list[str] = []
    """``client NUL event_id`` of each event."""
    block_head: bytes = b""
    block_events: bytes = b""
    crcs: bytes = b""
    """The CRC-32 of each payload, big-endian, one after the other."""
    account: str = ""
    """Where its kept events are counted as accepted; see ``shared.accepted_counts.account_field``."""


class Duplicate(msgspec.Struct, array_like=True, frozen=True):
    """An event that was accepted before: its place in the request, and the id it has."""

    place: int
    ms: int
    seq: int
    same_payload: int


class PublishResult(msgspec.Struct, array_like=True, frozen=True):
    """What the function did with one request."""

    outcome: int
    remaining: int
    reset_us: int
    last: int
    kept: int
    duplicates: list[Duplicate]


class _Reply(msgspec.Struct, array_like=True, frozen=True):
    ms: int
    results: list[PublishResult]


class Published(msgspec.Struct, frozen=True, gc=False):
    """A request's result, and the id of the stream entry that holds the call's events: ``ms-entry_seq``."""

    result: PublishResult
    ms: int
    entry_seq: int


Done = Callable[[Published | Problem], None]
"""Told once what became of a request. It may not wait, and should not raise."""


class _Waiting(msgspec.Struct):
    request: PublishRequest
    done: Done


class Publisher:
    """Publishes to one shard. Used from one event loop; owns nothing but its queue."""

    def __init__(
        self, client: "redis.asyncio.Redis", config: GatewayConfig, shard: int, memory: RedisMemory | None = None
    ) -> None:
        self._redis = client
        self._memory = memory
        self._level = config.durability
        self._confirm = confirmation(config.durability, config.redis_timeout_ms)
        self._keys = ShardKeys(shard)
        self._function = RedisFunction("ingest_gateway", "publish")
        self._line = FunctionLine(client, self._function)
        self._decoder = msgspec.msgpack.Decoder(_Reply)
        windows_us = config.duplicate_window_seconds * 1_000_000, config.window_seconds * 1_000_000
        bounds = config.duplicate_max_ids, *windows_us, config.backlog_limit_records
        self._settings = _encoder.encode((config.backlog_limit_events, *bounds))
        self._settings_when_full = _encoder.encode((0, *bounds))
        self._waiting: deque[_Waiting] = deque()
        self._waiting_bytes = 0
        self._caller: asyncio.Task[None] | None = None
        self.calls = PublishCalls()

    async def publish(self, request: PublishRequest) -> Published:
        """Publish the request with whatever else waits. Blocks for up to two calls' time-outs.

        Raises Problem ``unavailable``: Redis did not answer, or the durability level was not reached in time, and
        whether the request was applied is unknown; or too much waits already, and nothing was done. Raises Problem
        ``backlog-full``: Redis is out of memory, or too many audit records wait, and nothing was done.
        """
        future: asyncio.Future[Published] = asyncio.get_running_loop().create_future()
        self.submit(request, partial(_settle, future))
        return await future

    def submit(self, request: PublishRequest, done: Done) -> None:
        """The same for who does not wait: ``done`` is told what ``publish`` would return or raise.

        Raises Problem ``unavailable``, and ``done`` hears nothing, when too much waits already.
        """
        if self._waiting_bytes > MAX_WAITING_BYTES or len(self._waiting) >= MAX_WAITING_REQUESTS:
            raise Problem("unavailable", "too many requests wait for Redis; nothing was accepted", retry_after=1)
        self._waiting.append(_Waiting(request, done))
        self._waiting_bytes += len(request.block_events)
        if self._caller is None:
            self._caller = asyncio.create_task(self._call_while_waiting())

    @property
    def waiting(self) -> tuple[int, int]:
        """Requests that wait for the next call, and the bytes of their events."""
        return len(self._waiting), self._waiting_bytes

    async def drain(self) -> None:
        """Wait until nothing waits or is in flight."""
        while self._caller is not None:
            await asyncio.wait([self._caller])
        await self._line.close()

    async def _call_while_waiting(self) -> None:
        try:
            while self._waiting:
                await asyncio.sleep(0)  # requests that are at the door go with this call
                await self._call(self._take())
        finally:
            self._caller = None

    def _take(self) -> list[_Waiting]:
        taken: list[_Waiting] = []
        events = size = 0
        while self._waiting:
            request = self._waiting[0].request
            events += len(request.ids)
            size += len(request.block_events)
            if taken and (events > MAX_CALL_EVENTS or size > MAX_CALL_BYTES):
                break
            taken.append(self._waiting.popleft())
        self._waiting_bytes -= sum(len(waiting.request.block_events) for waiting in taken)
        return taken

    async def _call(self, taken: list[_Waiting]) -> None:
        keys = self._keys
        names = [
            keys.events.stream, keys.events.totals, keys.audit.stream, keys.audit.totals, keys.ids, keys.ids_before,
            keys.accepted,
        ]  # fmt: skip
        started = time.perf_counter()
        try:
            arguments = _arguments(taken, names, keys)
            reply = self._decoder.decode(await self._run(names, *arguments))
            pairs = list(zip(taken, reply.results, strict=True))
        except Exception as error:  # noqa: BLE001  whatever it is, nobody may be left waiting
            self.calls.failed += 1
            self._fail(taken, error)
            return
        self.calls.done(sum(len(waiting.request.ids) for waiting in taken), started)
        # once the next call is on its way: Redis works at it while these answers are written
        asyncio.get_running_loop().call_soon(_tell_all, pairs, reply)

    async def _run(self, names: list[str], *arguments: bytes) -> bytes:
        """The function's reply, once what it wrote is as safe as the durability level asks."""
        is_full = self._memory is not None and self._memory.is_full
        settings = self._settings_when_full if is_full else self._settings
        packed: bytes
        if self._confirm is None:
            packed = await self._line.call(names, settings, *arguments)
        else:
            packed, reached = await self._function.call_confirmed_async(
                self._redis, names, settings, *arguments, confirm=self._confirm
            )
            check_confirmed(self._level, reached)
        return packed

    @staticmethod
    def _fail(taken: list[_Waiting], error: Exception) -> None:
        away = isinstance(
            error, redis.ConnectionError | redis.TimeoutError | OutOfMemoryError | UnconfirmedError | OSError
        )
        log.log(
            WARNING if away else ERROR, "publish.failed", requests=len(taken), error=f"{type(error).__name__}: {error}"
        )
        for waiting in taken:
            _tell(waiting, _problem(error))


def _tell_all(pairs: list[tuple[_Waiting, PublishResult]], reply: _Reply) -> None:
    ms, entry_seq = reply.ms, reply.results[-1].last
    for waiting, result in pairs:
        _tell(waiting, audit_full() if result.outcome == UNRECORDED else Published(result, ms, entry_seq))


def _tell(waiting: _Waiting, outcome: Published | Problem) -> None:
    try:
        waiting.done(outcome)
    except Exception:  # one request's fault must not leave the others waiting
        log.exception("publish.not_told")


def _settle(future: "asyncio.Future[Published]", outcome: Published | Problem) -> None:
    if future.done():  # its client is gone
        return
    if isinstance(outcome, Problem):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)


def _problem(error: Exception) -> Problem:
    """What the callers are told of a call that did not succeed."""
    if isinstance(error, OutOfMemoryError):  # asked before the function begins: none of it ran
        return Problem(
            "backlog-full", "Redis is full; nothing was accepted: send it again later", retry_after=FULL_RETRY_SECONDS
        )
    what = str(error) if isinstance(error, UnconfirmedError) else f"Redis does not answer ({type(error).__name__})"
    return Problem(
        "unavailable", f"{what}; whether the events were kept is unknown: send the same ids again", retry_after=1
    )


def _arguments(taken: list[_Waiting], names: list[str], keys: ShardKeys) -> list[bytes]:
    """What the function takes after its settings; appends the limit lists it needs to ``names``, each once."""
    places: dict[str, int] = {}
    requests: list[tuple[object, ...]] = []
    records: list[bytes] = []
    blocks: list[bytes] = []
    for waiting in taken:
        request = waiting.request
        place = 0
        if request.key_id is not None and request.limit > 0:
            place = places.get(request.key_id, 0)
            if place == 0:
                names.append(keys.limit(request.key_id))
                place = places[request.key_id] = len(names)
        record = encode_record(request.audit_head, request.status, request.error)
        records.append(record)
        blocks += (request.block_head, request.block_events)
        requests.append(
            (place, request.limit, request.ids, len(request.audit_head), len(record),
             len(request.block_head), len(request.block_events), request.account)
        )  # fmt: skip
    crcs = b"".join([waiting.request.crcs for waiting in taken])
    return [_encoder.encode(requests), b"".join(records), b"".join(blocks), crcs]
