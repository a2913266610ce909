"""``GET /api/v1/analytics/queue-status``."""

from typing import Annotated, Any

import redis.asyncio
from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel
from redis.exceptions import RedisError

from analytics_api.answer_models import QueueStatus
from analytics_api.json_answer import json_answer
from analytics_api.parameters import ClientId, only_known
from analytics_api.reader import Reader, unavailable
from analytics_api.replica import replica_of
from analytics_api.tenancy import Reading, visible_client
from shared.problems import Problem
from shared.stream_status import ConsumerStatus, StreamStatus, read_stream_status_async


class QueueParameters(BaseModel):
    """Whose failed events are counted."""

    client_id: ClientId | None = None


def queue_routes(reader: Reader, client: "redis.asyncio.Redis", shards: int) -> APIRouter:
    """The call that tells what waits."""
    router = APIRouter(prefix="/api/v1/analytics", tags=["analytics"])

    @router.get("/queue-status", response_model=QueueStatus, dependencies=[Depends(only_known(QueueParameters))])
    async def queue_status(api_key: Reading, parameters: Annotated[QueueParameters, Query()]) -> Response:
        """What waits in the streams, in events, and who works on it, in entries; each entry holds many events.

        The streams are everybody's; `failed` counts the client's failed events, and is null while PostgreSQL is away.
        `replica` is null when PostgreSQL is away or a primary; of a streaming replica it tells how old what is read is.
        """
        client_id = visible_client(api_key, parameters.client_id)
        try:
            streams = await read_stream_status_async(client, shards)
        except (RedisError, OSError) as error:
            raise unavailable("Redis") from error
        consumers = [_describe_consumer(consumer) for stream in streams for consumer in stream.consumers]
        return json_answer(
            {
                "streams": [_describe_stream(stream) for stream in streams],
                "consumers": consumers,
                **await _store_facts(reader, client_id),
            }
        )

    return router


def _describe_stream(stream: StreamStatus) -> dict[str, Any]:
    return {
        "name": stream.name,
        "shard": stream.shard,
        "length": stream.length,
        "lag": stream.lag,
        "pending": stream.pending,
        "oldest_age_seconds": stream.oldest_age_seconds,
    }


def _describe_consumer(consumer: ConsumerStatus) -> dict[str, Any]:
    return {
        "name": consumer.name,
        "stream": consumer.stream,
        "shard": consumer.shard,
        "pending": consumer.pending,
        "idle_seconds": consumer.idle_seconds,
    }


async def _store_facts(reader: Reader, client_id: str | None) -> dict[str, Any]:
    try:
        rows = await reader.rows("count_failed", {"client_id": client_id})
        replica = replica_of(await reader.first("replica", {}))
    except Problem:
        return {"failed": None, "replica": None}  # the streams are asked for most when PostgreSQL is away
    return {"failed": int(rows[0]["failed"]), "replica": None if replica is None else replica.described()}
