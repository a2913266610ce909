"""The two ingest calls, as a plain ASGI application: the hot path has no framework in it.

``/openapi.json`` still shows them (``ingest_gateway/openapi.py``), and every answer, good or bad, goes through the
publisher, because the audit record belongs to the same atomic write as the events.
"""

import asyncio
import time
from functools import partial
from typing import Final

import orjson
import structlog

from ingest_gateway.answers import batch_answer, single_answer
from ingest_gateway.body import read_body
from ingest_gateway.config import GatewayConfig
from ingest_gateway.envelope import DecodedEvents, EventDecoder
from ingest_gateway.ingest_call import IngestCall, accepting, limit_of, refusing
from ingest_gateway.ingest_paths import SINGLE
from ingest_gateway.metrics import GatewayMetrics
from ingest_gateway.preferences import read_preferences
from ingest_gateway.publisher import ACCEPTED, BACKLOG_FULL, FULL_RETRY_SECONDS, LIMITED, Published, Publisher
from ingest_gateway.slots import Slots
from ingest_gateway.storage_wait import StorageWait
from shared.answers import (
    Answer,
    Headers,
    Receive,
    Scope,
    Send,
    limited,
    problem_messages,
    rate_limit_headers,
    rate_limit_lines,
)
from shared.api_keys import ApiKey
from shared.api_keys import Scope as KeyScope
from shared.key_ring import KeyRing
from shared.problems import Problem
from shared.redis_keys import shard_of
from shared.request_facts import RequestFacts, audit_shard, read_facts
from shared.strangers import Strangers

_JSON: Final = (b"application/json", b"")
_LINES: Final = (b"application/x-ndjson", b"application/ndjson")
_FIELDS: Final = b"content-type: application/json\r\ncontent-length: %d\r\nx-request-id: %b\r\n%b"

log = structlog.get_logger()


class IngestEndpoint:
    """Serves POST on the two ingest paths. ``publishers`` has one a shard."""

    def __init__(
        self,
        config: GatewayConfig,
        key_ring: KeyRing,
        publishers: list[Publisher],
        storage_wait: StorageWait,
        metrics: GatewayMetrics,
        strangers: Strangers,
    ) -> None:
        self._config = config
        self._key_ring = key_ring
        self._publishers = publishers
        self._storage_wait = storage_wait
        self._metrics = metrics
        self._strangers = strangers
        self._slots = Slots(config.max_concurrency)
        self._decoder = EventDecoder(config)
        self._refusals: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        call = IngestCall(scope["path"], read_facts(scope), time.perf_counter())
        self._metrics.active += 1
        try:
            status, body = await self._serve(call, scope, receive)
            headers: Headers = [
                (b"content-type", b"application/json"),
                (b"content-length", b"%d" % len(body)),
                (b"x-request-id", call.facts.request_id.encode()),
                *call.headers,
            ]
            self._count(call, status)
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": body})
        except Problem as problem:
            await self._refuse(call, problem, send)
        finally:
            self._end(call)

    def begin(self, scope: Scope, body: bytes, answer: Answer) -> bool:
        """Serve the call without a task, if nothing is wrong with it and there is nothing to wait for but Redis.

        False, with nothing done, when ``__call__`` is to serve it. Tasks cost a tenth of a small request.
        """
        started = time.perf_counter()
        facts = read_facts(scope)
        api_key = self._key_ring.known(facts.token)
        if api_key is None or not self._is_plain(scope["path"], facts, api_key, len(body)):
            return False
        call = IngestCall(scope["path"], facts, started, len(body), api_key)
        has_begun = False
        try:
            self._take_slot(call)
            self._name_slot(call, api_key)
            decoded = self._decode(call, body)
            decoded.refuse_faults()
            shard = shard_of(api_key.client_id, self._config.shards)
            request = accepting(call, api_key, decoded, self._config)
            self._publishers[shard].submit(request, partial(self._finish, call, api_key, decoded, answer))
            has_begun = True
            self._metrics.active += 1
        except Problem:
            pass  # told, and put on record, by __call__
        finally:
            if not has_begun:
                self._leave_slot(call)
        return has_begun

    def _is_plain(self, route: str, facts: RequestFacts, api_key: ApiKey, body_bytes: int) -> bool:
        return (
            facts.method == "POST"
            and (facts.content_type in _JSON or (route != SINGLE and facts.content_type in _LINES))
            and facts.content_encoding == b""
            and facts.prefer == ""
            and body_bytes <= self._config.max_body_bytes
            and api_key.may(KeyScope.INGEST)
        )

    def _finish(
        self, call: IngestCall, api_key: ApiKey, decoded: DecodedEvents, answer: Answer, outcome: Published | Problem
    ) -> None:
        """The end of what ``begin`` began."""
        try:
            if isinstance(outcome, Problem):
                raise outcome
            if outcome.result.outcome != ACCEPTED:
                self._check_outcome(call, api_key, outcome)
            body = self._answer_body(call.route, decoded, outcome)
            fields = _FIELDS % (len(body), call.facts.request_id.encode(), self._limit_lines(api_key, outcome))
            self._count(call, 202)
            answer.write(202, fields, body)
            self._end(call)
        except Exception as error:  # noqa: BLE001  whatever it is, the caller gets an answer and a record
            refusal = asyncio.create_task(self._refuse_later(call, _as_problem(error), answer))
            self._refusals.add(refusal)
            refusal.add_done_callback(self._refusals.discard)

    async def _refuse_later(self, call: IngestCall, problem: Problem, answer: Answer) -> None:
        try:
            await self._refuse(call, problem, answer.send)
        finally:
            self._end(call)

    def _end(self, call: IngestCall) -> None:
        self._metrics.active -= 1
        self._leave_slot(call)

    def _limit_lines(self, api_key: ApiKey, published: Published) -> bytes:
        limit, result = limit_of(api_key, self._config), published.result
        return rate_limit_lines(limit, self._config.window_seconds, result.remaining, result.reset_us)

    async def _serve(self, call: IngestCall, scope: Scope, receive: Receive) -> tuple[int, bytes]:
        facts = call.facts
        self._take_slot(call)
        api_key = call.api_key = await self._key_ring.authenticate(facts.token)
        self._name_slot(call, api_key)
        if not api_key.may(KeyScope.INGEST):
            raise Problem("forbidden", f"this call needs a key of scope 'ingest'; {api_key.public_id} has not")
        if facts.method != "POST":
            raise Problem("method-not-allowed", "this path takes POST", headers=[("Allow", "POST")])
        if facts.content_type not in _JSON and (call.route == SINGLE or facts.content_type not in _LINES):
            takes = "application/json" + ("" if call.route == SINGLE else " or application/x-ndjson")
            raise Problem("unsupported-media-type", f"Content-Type must be {takes}")
        body = await read_body(
            facts.content_encoding, scope, receive, self._config.max_body_bytes, self._config.body_timeout_seconds
        )
        call.body_bytes = len(body)
        return await self._accept(call, api_key, body)

    async def _accept(self, call: IngestCall, api_key: ApiKey, body: bytes) -> tuple[int, bytes]:
        preferences = read_preferences(call.facts.prefer)
        decoded = self._decode(call, body)
        if decoded.faults:
            self._metrics.rejected += len(decoded.faults)
        if not preferences.lenient:
            decoded.refuse_faults()
        shard = shard_of(api_key.client_id, self._config.shards)
        request = accepting(call, api_key, decoded, self._config)
        published = await self._publishers[shard].publish(request)
        self._check_outcome(call, api_key, published)
        document = self._answer_body(call.route, decoded, published)
        status = 202
        if preferences.wait_seconds:
            self._leave_slot(call)  # all that is left is to wait, and that is bounded elsewhere
            if await self._storage_wait.until_stored(published, request.ids, shard, preferences.wait_seconds):
                status = 200
        return status, document

    def _decode(self, call: IngestCall, body: bytes) -> DecodedEvents:
        if call.route == SINGLE:
            return self._decoder.decode_one(body)
        if call.facts.content_type in _LINES:
            return self._decoder.decode_lines(body)
        return self._decoder.decode_batch(body)

    def _answer_body(self, route: str, decoded: DecodedEvents, published: Published) -> bytes:
        self._metrics.accepted += published.result.kept
        self._metrics.duplicates += len(published.result.duplicates)
        return orjson.dumps((single_answer if route == SINGLE else batch_answer)(decoded, published))

    def _take_slot(self, call: IngestCall) -> None:
        self._slots.take()
        call.has_slot = True

    def _name_slot(self, call: IngestCall, api_key: ApiKey) -> None:
        self._slots.name(api_key.public_id)
        call.slot_of = api_key.public_id

    def _leave_slot(self, call: IngestCall) -> None:
        if call.has_slot:
            call.has_slot = False
            self._slots.leave(call.slot_of)

    def _check_outcome(self, call: IngestCall, api_key: ApiKey, published: Published) -> None:
        result = published.result
        limit, seconds = limit_of(api_key, self._config), self._config.window_seconds
        call.headers = rate_limit_headers(limit, seconds, result.remaining, result.reset_us)
        if result.outcome == LIMITED:
            self._metrics.limited += 1
            raise _Recorded(limited(limit, seconds, result.reset_us))
        if result.outcome == BACKLOG_FULL:
            detail = (
                f"as many events wait to be stored as Redis may hold ({self._config.backlog_limit_events} events, or "
                "the limit of its memory); nothing was accepted: send it again later"
            )
            raise _Recorded(Problem("backlog-full", detail, retry_after=FULL_RETRY_SECONDS))

    async def _refuse(self, call: IngestCall, problem: Problem, send: Send) -> None:
        """Answer with the problem, once its audit record is written; if it cannot be, with 503."""
        if isinstance(problem, _Recorded):
            problem = problem.problem
        else:
            try:
                problem = await self._record(call, problem)
            except Problem as unavailable:
                problem = unavailable
        self._metrics.refused[problem.type] += 1
        if call.api_key is None and problem.type == "rate-limited":
            self._metrics.strangers += 1
        self._count(call, problem.status)
        for message in problem_messages(problem, call.facts.request_id, call.headers):
            await send(message)

    async def _record(self, call: IngestCall, problem: Problem) -> Problem:
        """Write the refusal's audit record; the refusal to answer with, which is 429 if this call was one too many.

        A 5xx stays what it is, and is not held against the limit again: its events may be kept, which 429 would deny.
        """
        api_key = call.api_key
        if api_key is None and (refusal := await self._beyond_limit(call, problem)) is not None:
            return refusal
        client_id = api_key.client_id if api_key else None
        is_counted = api_key is not None and problem.status < 500
        request = refusing(call, problem, self._config, is_counted=is_counted)
        published = await self._publishers[audit_shard(client_id, self._config.shards)].publish(request)
        if api_key is not None and is_counted:
            try:
                self._check_outcome(call, api_key, published)
            except _Recorded as recorded:
                return recorded.problem
        return problem

    async def _beyond_limit(self, call: IngestCall, problem: Problem) -> Problem | None:
        """What a caller without a valid key is told, who makes too many calls; he waits for it without a slot."""
        self._leave_slot(call)
        return await self._strangers.beyond_limit(call.facts.address, problem)

    def _count(self, call: IngestCall, status: int) -> None:
        self._metrics.count_request(call.route, status, time.perf_counter() - call.started)


def _as_problem(error: Exception) -> Problem:
    if isinstance(error, Problem):
        return error
    log.error("ingest.failed", exc_info=error)
    return Problem("internal-error", "the request failed here, and whether its events were kept is not known")


class _Recorded(Problem):
    """A refusal by the atomic function itself: its audit record is already written."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.type, problem.detail)
        self.problem = problem
