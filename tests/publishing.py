"""Events on their way through the publisher alone, without HTTP, for tests of what it does to Redis."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from zlib import crc32

import redis
import redis.asyncio

from deploy.connections import async_redis
from ingest_gateway.config import GatewayConfig
from ingest_gateway.publisher import Published, Publisher, PublishRequest
from shared.accepted_counts import account_field
from shared.audit_record import AuditRecord, decode_records, encode_record_head
from shared.redis_keys import ShardKeys
from shared.stream_entry import Block, EventFrame, decode_blocks, encode_events, encode_head

KEYS = ShardKeys(0)
RECEIVED_US = 1_763_800_000_000_000
Answer = TypeVar("Answer")


def config(**changes: Any) -> GatewayConfig:
    limits: dict[str, Any] = {
        "instance": "gw", "shards": 1, "rate_limit": 0, "window_seconds": 60, "retention_days": 90,
        "max_body_bytes": 5 << 20, "max_payload_bytes": 1 << 18, "max_batch_events": 1000, "body_timeout_seconds": 10,
        "max_concurrency": 100, "backlog_limit_events": 10**9, "duplicate_max_ids": 10**6,
        "duplicate_window_seconds": 600,
    }  # fmt: skip
    return GatewayConfig(**{**limits, **changes})


def event(event_id: str, payload: bytes = b"{}", *, type_: str = "t", occurred_us: int | None = None) -> EventFrame:
    return EventFrame(event_id, type_, occurred_us, payload, crc32(payload))


def request(*events: EventFrame, client: str = "acme", key_id: str | None = "k", limit: int = 0) -> PublishRequest:
    """As the ingest endpoint makes one."""
    return PublishRequest(
        key_id=key_id,
        limit=limit,
        audit_head=encode_record_head(
            RECEIVED_US, "gateway", "gw", client, key_id, "POST", "/batch", "/batch", "", 9, "::1", "test", "r"
        ),
        status=202,
        ids=[f"{client}\0{one.event_id}" for one in events],
        crcs=b"".join(one.payload_crc.to_bytes(4, "big") for one in events),
        block_head=encode_head(client, RECEIVED_US, "gw", "::1", "test", "r", key_id or ""),
        block_events=encode_events(
            [(one.event_id, one.event_type, one.occurred_us, one.payload, one.payload_crc) for one in events]
        ),
        account=account_field(RECEIVED_US, client),
    )


def publishing(url: str, act: Callable[[Publisher], Awaitable[Answer]], shard: int = 0, **changes: Any) -> Answer:
    """Run `act` with a shard's publisher on a client as the gateway has it; `changes` are fields of GatewayConfig."""

    async def run() -> Answer:
        async with async_redis(url, 2) as client:
            return await act(Publisher(client, config(**changes), shard))

    return asyncio.run(run())


def publish(url: str, *requests: PublishRequest, **changes: Any) -> list[Published]:
    """One after the other, each in a call of its own."""

    async def act(publisher: Publisher) -> list[Published]:
        return [await publisher.publish(one) for one in requests]

    return publishing(url, act, **changes)


def publish_together(url: str, *requests: PublishRequest, **changes: Any) -> list[Published]:
    """All at once."""

    async def act(publisher: Publisher) -> list[Published]:
        return list(await asyncio.gather(*map(publisher.publish, requests)))

    return publishing(url, act, **changes)


def entries(client: Any) -> list[tuple[str, int, list[Block]]]:
    """Id, number of events and blocks of every entry with events."""
    return [
        (entry_id.decode(), int(fields[b"n"]), decode_blocks(fields[b"e"]))
        for entry_id, fields in client.xrange(KEYS.events.stream)
    ]


def kept_ids(client: "redis.Redis") -> list[str]:
    """The ids of all events in the stream, in order."""
    return [one.event_id for _, _, blocks in entries(client) for block in blocks for one in block.events]


def audit_entries(client: Any) -> list[list[AuditRecord]]:
    """The records of every entry of the audit stream."""
    return [decode_records(fields[b"e"]) for _, fields in client.xrange(KEYS.audit.stream)]


def audited(client: "redis.Redis") -> list[tuple[int, str]]:
    """Status and error of every audit record, in order."""
    return [(one.status, one.error) for records in audit_entries(client) for one in records]
