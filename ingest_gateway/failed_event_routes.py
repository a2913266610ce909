"""Replay of failed events over HTTP. Scope admin; which events failed, and why, the analytics API tells."""

from datetime import UTC, datetime
from typing import Annotated, Any, Final

import psycopg
import redis.asyncio
from fastapi import APIRouter, Depends
from psycopg_pool import AsyncConnectionPool, PoolTimeout
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StringConstraints, model_validator
from redis.exceptions import RedisError

from shared.access import require_scope
from shared.api_keys import Scope
from shared.failed_events import Selection, refusal
from shared.problems import Problem
from shared.replay import PAGE, Replayer, find_failed
from shared.rfc_3339 import Time

_MAX_REFUSED: Final = 1000

Text = Annotated[str, StringConstraints(min_length=1, max_length=256, pattern=r"^[^\x00]*$")]
Id = Annotated[StrictInt, Field(ge=1, lt=2**63)]


class ReplayRequest(BaseModel):
    """Which failed events, and how; a filter that is absent or null lets all through."""

    model_config = ConfigDict(extra="forbid")

    client_id: Text | None = None
    event_type: Text | None = None
    reason: Text | None = None
    from_: Annotated[Time | None, Field(alias="from", description="First moment of the last failure")] = None
    to: Annotated[Time | None, Field(description="First moment after")] = None
    ids: Annotated[list[Id] | None, Field(min_length=1, max_length=1000)] = None
    limit: Annotated[StrictInt, Field(ge=1, le=_MAX_REFUSED, description="The latest failures come first")] = (
        _MAX_REFUSED
    )
    dry_run: Annotated[StrictBool, Field(description="Say what would be done, and do nothing")] = False
    force: Annotated[StrictBool, Field(description="Also those that keep failing in the same way")] = False

    @model_validator(mode="after")
    def _must_be_a_range(self) -> "ReplayRequest":
        if self.from_ is not None and self.to is not None and self.from_ >= self.to:
            raise ValueError("from must lie before to")
        return self

    def selection(self) -> Selection:
        """As the store takes it."""
        ids = None if self.ids is None else tuple(self.ids)
        return Selection(self.client_id, self.event_type, self.reason, self.from_, self.to, ids, self.limit)


class Refused(BaseModel):
    """A failed event that is not replayed, and why."""

    id: int
    detail: str


class ReplayAnswer(BaseModel):
    """What was found and what was, or with dry_run would be, put back on the stream."""

    matched: int
    replayed: int
    refused: list[Refused]


def failed_event_routes(pool: AsyncConnectionPool[Any], client: "redis.asyncio.Redis", shards: int) -> APIRouter:
    """The route under ``/api/v1/failed-events``."""
    router = APIRouter(prefix="/api/v1/failed-events", tags=["failed events"])

    @router.post("/replay", status_code=202, dependencies=[Depends(require_scope(Scope.ADMIN))])
    async def replay(wanted: ReplayRequest) -> ReplayAnswer:
        """Put failed events back on their stream, as they were sent; each stays failed until it is stored."""
        try:
            async with pool.connection(timeout=3) as connection:
                return await _replay(connection, client, shards, wanted)
        except (psycopg.OperationalError, PoolTimeout) as error:
            raise _unavailable("PostgreSQL") from error
        except (RedisError, OSError) as error:
            raise _unavailable("Redis") from error

    return router


async def _replay(
    connection: psycopg.AsyncConnection[Any], client: "redis.asyncio.Redis", shards: int, wanted: ReplayRequest
) -> ReplayAnswer:
    now = datetime.now(UTC)
    found = await find_failed(connection, wanted.selection())
    refusals = {event.id: refusal(event, now, force=wanted.force) for event in found}
    refused = [Refused(id=id_, detail=detail) for id_, detail in refusals.items() if detail is not None]
    ids = [id_ for id_, detail in refusals.items() if detail is None]
    if wanted.dry_run:
        return ReplayAnswer(matched=len(found), replayed=len(ids), refused=refused)
    replayer, replayed = Replayer(connection, client, shards), 0
    for start in range(0, len(ids), PAGE):
        replayed += len(await replayer.put_back(ids[start : start + PAGE], now))
    return ReplayAnswer(matched=len(found), replayed=replayed, refused=refused)


def _unavailable(server: str) -> Problem:
    detail = f"{server} does not answer; nothing is lost: what was not replayed is found by the same call again"
    return Problem("unavailable", detail, retry_after=2)
