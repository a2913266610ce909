"""One ingest request on its way, and what it brings to the publisher."""

import msgspec

from ingest_gateway.config import GatewayConfig
from ingest_gateway.envelope import DecodedEvents
from ingest_gateway.publisher import PublishRequest
from shared.accepted_counts import account_field
from shared.answers import Headers
from shared.api_keys import ApiKey
from shared.audit_record import encode_record_head
from shared.problems import Problem
from shared.request_facts import RequestFacts
from shared.stream_entry import encode_events, encode_head


class IngestCall(msgspec.Struct):
    """What is known of a request, and what it holds."""

    route: str
    facts: RequestFacts
    started: float
    """As ``time.perf_counter`` tells it."""
    body_bytes: int = 0
    api_key: ApiKey | None = None
    headers: Headers = []
    """Of its answer, beside those that every answer has."""
    has_slot: bool = False
    slot_of: str | None = None


def limit_of(api_key: ApiKey, config: GatewayConfig) -> int:
    """Requests a window that the key may make; 0 is no limit."""
    return config.rate_limit if api_key.rate_limit is None else api_key.rate_limit


def accepting(call: IngestCall, api_key: ApiKey, decoded: DecodedEvents, config: GatewayConfig) -> PublishRequest:
    """Publish these events, and the record of a call that was answered 202."""
    facts = call.facts
    client_id = api_key.client_id
    return PublishRequest(
        key_id=api_key.public_id,
        limit=limit_of(api_key, config),
        audit_head=_audit_head(call, config),
        status=202,
        ids=[f"{client_id}\0{frame[0]}" for frame in decoded.frames],
        crcs=b"".join([frame[4].to_bytes(4, "big") for frame in decoded.frames]),
        block_head=encode_head(
            client_id, facts.at_us, config.instance, facts.address, facts.user_agent, facts.request_id,
            api_key.public_id,
        ),
        block_events=encode_events(decoded.frames),
        account=account_field(facts.at_us, client_id),
    )  # fmt: skip


def refusing(call: IngestCall, problem: Problem, config: GatewayConfig, *, is_counted: bool) -> PublishRequest:
    """Publish the record of a call that was refused; ``is_counted`` holds it against the key's limit."""
    api_key = call.api_key
    return PublishRequest(
        key_id=api_key.public_id if api_key else None,
        limit=limit_of(api_key, config) if api_key and is_counted else 0,
        audit_head=_audit_head(call, config),
        status=problem.status,
        error=problem.type,
    )


def _audit_head(call: IngestCall, config: GatewayConfig) -> bytes:
    facts, api_key = call.facts, call.api_key
    return encode_record_head(
        facts.at_us, "gateway", config.instance, api_key.client_id if api_key else None,
        api_key.public_id if api_key else None, facts.method, call.route, facts.path, facts.query,
        call.body_bytes, facts.address, facts.user_agent, facts.request_id,
    )  # fmt: skip
