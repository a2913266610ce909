"""``GET /api/v1/live/events``."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, Field

from analytics_api.live.event_tail import EventTail
from analytics_api.live.tail_answer import TailAnswer
from analytics_api.live.tail_viewer import TailFilter, TailViewer
from analytics_api.live.watchers import CrowdedError
from analytics_api.parameters import ClientId, EventType, only_known
from analytics_api.tenancy import Reading, visible_client
from shared.key_ring import KeyRing
from shared.problems import Problem

_RETRY_SECONDS = 5


class TailParameters(BaseModel):
    """Which events."""

    client_id: ClientId | None = None
    event_type: Annotated[list[EventType], Field(max_length=50, description="May be given several times.")] = []
    sample: Annotated[float, Field(gt=0, le=1, description="The share of the events that is shown.")] = 1.0


def tail_route(tail: EventTail, key_ring: KeyRing, stopping: asyncio.Event) -> APIRouter:
    """The tail of the events as server-sent events."""
    router = APIRouter(prefix="/api/v1/live", tags=["live"])

    @router.get(
        "/events",
        dependencies=[Depends(only_known(TailParameters, several=("event_type",)))],
        response_class=Response,
        responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}},
    )
    async def tail_events(
        request: Request, api_key: Reading, parameters: Annotated[TailParameters, Query()]
    ) -> Response:
        """Events as they are accepted, as `text/event-stream`: the events `event`, `skipped`, `unavailable`,
        `available` and `closed`, each with JSON as its data; see deploy/docs/live.md.

        What is shown was acknowledged, and is not stored yet: it may prove a duplicate, or fail.
        """
        wanted = TailFilter(
            visible_client(api_key, parameters.client_id), frozenset(parameters.event_type), parameters.sample
        )
        viewer = TailViewer(api_key.public_id, wanted)
        try:
            tail.join(viewer)
        except CrowdedError as error:
            raise Problem("rate-limited", str(error), retry_after=_RETRY_SECONDS) from error
        token = request.state.facts.token

        async def check_key() -> Any:
            return await key_ring.authenticate(token)

        return TailAnswer(tail, viewer, check_key, stopping)

    return router
