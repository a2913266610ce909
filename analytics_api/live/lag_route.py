"""``GET /api/v1/live/lag``."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, Field

from analytics_api.answer_models import LagAnswer
from analytics_api.json_answer import json_answer
from analytics_api.live.lag_history import STEP_SECONDS, LagHistory
from analytics_api.parameters import only_known
from analytics_api.tenancy import Reading
from shared.rfc_3339 import Time


class LagParameters(BaseModel):
    """From when on."""

    from_: Annotated[Time | None, Field(alias="from", description="First moment. Default: all that is known.")] = None


def lag_route(history: LagHistory) -> APIRouter:
    """The call that tells what waited of late."""
    router = APIRouter(prefix="/api/v1/live", tags=["live"])

    @router.get("/lag", response_model=LagAnswer, dependencies=[Depends(only_known(LagParameters))])
    async def lag(_: Reading, parameters: Annotated[LagParameters, Query()]) -> Response:
        """How many events of all clients waited to be stored, every ten seconds of the last day.

        It is the memory of the process that answers: `since` is its first look, null before that. Of a long time
        several looks are one point, the highest. A hole is a time in which Redis was away.
        """
        start = 0.0 if parameters.from_ is None else parameters.from_.timestamp()
        samples = history.since(start)
        answer = {
            "interval_seconds": STEP_SECONDS,
            "since": None if history.began_at is None else datetime.fromtimestamp(history.began_at, UTC),
            "samples": [
                {
                    "at": datetime.fromtimestamp(sample.at, UTC),
                    "lag": sample.lag,
                    "oldest_age_seconds": sample.oldest_age_seconds,
                }
                for sample in samples
            ],
        }
        return json_answer(answer)

    return router
