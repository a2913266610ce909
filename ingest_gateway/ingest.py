"""The two ingest calls, as a plain ASGI application: the hot path has no framework in it.

``/openapi.json`` still shows them (``ingest_gateway/openapi.py``), and every answer, good or bad, goes through the
publisher, because the audit record belongs to the same atomic write as the events.
"""

import time
from dataclasses import dataclass, field
from typing import Final

import orjson

from ingest_gateway.answers import batch_answer, single_answer
from ingest_gateway.body import read_body
from ingest_gateway.config import GatewayConfig
from ingest_gateway.envelope import DecodedEvents, EventDecoder
from ingest_gateway.ingest_paths import SINGLE
from ingest_gateway.metrics import GatewayMetrics
from ingest_gateway.preferences import read_preferences
from ingest_gateway.publisher import BACKLOG_FULL, FULL_RETRY_SECONDS, LIMITED, Published, Publisher, PublishRequest
from ingest_gateway.slots import Slots
from ingest_gateway.storage_wait import StorageWait
from shared.accepted_counts import account_field
from shared.answers import WHOLE_BODY, Headers, Receive, Scope, Send, limited, problem_messages, rate_limit_headers
from shared.api_keys import ApiKey
from shared.api_keys import Scope as KeyScope
from shared.audit_record import encode_record_head
from shared.key_ring import KeyRing
from shared.problems import Problem
from shared.redis_keys import shard_of
from shared.request_facts import RequestFacts, audit_shard, read_facts
from shared.strangers import Strangers
from shared.stream_entry import encode_events, encode_head

_JSON: Final = (b"application/json", b"")
_LINES: Final = (b"application/x-ndjson", b"application/ndjson")


@dataclass(slots=True)
class _Call:
    """One ingest request on its way."""

    route: str
    facts: RequestFacts
    started: float
    body_bytes: int = 0
    api_key: ApiKey | None = None
    headers: Headers = field(default_factory=list)
    has_slot: bool = False
    slot_of: str | None = None


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

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        call = _Call(scope["path"], read_facts(scope), time.perf_counter())
        self._metrics.active += 1
        try:
            status, body = await self._serve(call, scope.get(WHOLE_BODY), receive)
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
            self._metrics.active -= 1
            self._leave_slot(call)

    async def _serve(self, call: _Call, whole: bytes | None, receive: Receive) -> tuple[int, bytes]:
        facts = call.facts
        self._slots.take()
        call.has_slot = True
        api_key = call.api_key = await self._key_ring.authenticate(facts.token)
        self._slots.name(api_key.public_id)
        call.slot_of = api_key.public_id
        if not api_key.may(KeyScope.INGEST):
            raise Problem("forbidden", f"this call needs a key of scope 'ingest'; {api_key.public_id} has not")
        if facts.method != "POST":
            raise Problem("method-not-allowed", "this path takes POST", headers=[("Allow", "POST")])
        if facts.content_type not in _JSON and (call.route == SINGLE or facts.content_type not in _LINES):
            takes = "application/json" + ("" if call.route == SINGLE else " or application/x-ndjson")
            raise Problem("unsupported-media-type", f"Content-Type must be {takes}")
        body = await read_body(facts, whole, receive, self._config.max_body_bytes, self._config.body_timeout_seconds)
        call.body_bytes = len(body)
        return await self._accept(call, api_key, body)

    async def _accept(self, call: _Call, api_key: ApiKey, body: bytes) -> tuple[int, bytes]:
        preferences = read_preferences(call.facts.prefer)
        if call.route == SINGLE:
            decoded = self._decoder.decode_one(body)
        else:
            decode = self._decoder.decode_lines if call.facts.content_type in _LINES else self._decoder.decode_batch
            decoded = decode(body)
            if decoded.faults:
                self._metrics.rejected += len(decoded.faults)
            if not preferences.lenient:
                decoded.refuse_faults()
        shard = shard_of(api_key.client_id, self._config.shards)
        request = self._request(call, api_key, decoded)
        published = await self._publishers[shard].publish(request)
        self._check_outcome(call, api_key, published)
        self._metrics.accepted += published.result.kept
        self._metrics.duplicates += len(published.result.duplicates)
        status = 202
        if preferences.wait_seconds:
            self._leave_slot(call)  # all that is left is to wait, and that is bounded elsewhere
            if await self._storage_wait.until_stored(published, request.ids, shard, preferences.wait_seconds):
                status = 200
        answer = single_answer if call.route == SINGLE else batch_answer
        return status, orjson.dumps(answer(decoded, published))

    def _leave_slot(self, call: _Call) -> None:
        if call.has_slot:
            call.has_slot = False
            self._slots.leave(call.slot_of)

    def _request(self, call: _Call, api_key: ApiKey, decoded: DecodedEvents) -> PublishRequest:
        facts = call.facts
        client_id = api_key.client_id
        return PublishRequest(
            key_id=api_key.public_id,
            limit=self._limit(api_key),
            audit_head=self._audit_head(call),
            status=202,
            ids=[f"{client_id}\0{frame[0]}" for frame in decoded.frames],
            crcs=b"".join([frame[4].to_bytes(4, "big") for frame in decoded.frames]),
            block_head=encode_head(
                client_id, facts.at_us, self._config.instance, facts.address, facts.user_agent, facts.request_id,
                api_key.public_id,
            ),
            block_events=encode_events(decoded.frames),
            account=account_field(facts.at_us, client_id),
        )  # fmt: skip

    def _limit(self, api_key: ApiKey) -> int:
        return self._config.rate_limit if api_key.rate_limit is None else api_key.rate_limit

    def _audit_head(self, call: _Call) -> bytes:
        facts, api_key = call.facts, call.api_key
        return encode_record_head(
            facts.at_us, "gateway", self._config.instance, api_key.client_id if api_key else None,
            api_key.public_id if api_key else None, facts.method, call.route, facts.path, facts.query,
            call.body_bytes, facts.address, facts.user_agent, facts.request_id,
        )  # fmt: skip

    def _check_outcome(self, call: _Call, api_key: ApiKey, published: Published) -> None:
        result = published.result
        limit, seconds = self._limit(api_key), self._config.window_seconds
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

    async def _refuse(self, call: _Call, problem: Problem, send: Send) -> None:
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

    async def _record(self, call: _Call, problem: Problem) -> Problem:
        """Write the refusal's audit record; the refusal to answer with, which is 429 if this call was one too many.

        A 5xx stays what it is, and is not held against the limit again: its events may be kept, which 429 would deny.
        """
        api_key = call.api_key
        if api_key is None and (refusal := await self._beyond_limit(call, problem)) is not None:
            return refusal
        client_id = api_key.client_id if api_key else None
        is_counted = api_key is not None and problem.status < 500
        request = PublishRequest(
            key_id=api_key.public_id if api_key else None,
            limit=self._limit(api_key) if api_key and is_counted else 0,
            audit_head=self._audit_head(call),
            status=problem.status,
            error=problem.type,
        )
        published = await self._publishers[audit_shard(client_id, self._config.shards)].publish(request)
        if api_key is not None and is_counted:
            try:
                self._check_outcome(call, api_key, published)
            except _Recorded as recorded:
                return recorded.problem
        return problem

    async def _beyond_limit(self, call: _Call, problem: Problem) -> Problem | None:
        """What a caller without a valid key is told, who makes too many calls; he waits for it without a slot."""
        self._leave_slot(call)
        return await self._strangers.beyond_limit(call.facts.address, problem)

    def _count(self, call: _Call, status: int) -> None:
        self._metrics.count_request(call.route, status, time.perf_counter() - call.started)


class _Recorded(Problem):
    """A refusal by the atomic function itself: its audit record is already written."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.type, problem.detail)
        self.problem = problem
