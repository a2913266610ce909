"""``GET /api/v1/events/export``."""

from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Field

from analytics_api.answer_models import EventAnswer
from analytics_api.event_lookup import EventLookup
from analytics_api.json_answer import json_answer
from analytics_api.parameters import EventType, RangeParameters, only_known
from analytics_api.payload_filters import read_payload_filters
from analytics_api.queries.event_export import ExportQuestion, export_pages
from analytics_api.queries.export_formats import open_format
from analytics_api.queries.export_slots import ExportSlots
from analytics_api.queries.export_stream import ExportResponse, ExportStream, file_pieces
from analytics_api.queries.payload_path import PREFIX
from analytics_api.reader import Reader
from analytics_api.tenancy import Reading, visible_client
from analytics_api.time_range import resolve_range
from shared.openapi_access import problem_response
from shared.problems import Problem

_PATH: Final = "export"
_NEITHER: Final = (
    "no event of the id 'export' is known for this client; an export needs 'format': ndjson, csv or parquet"
)
_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "The events. A body that does not end properly is not whole: ask again.",
        "content": {
            "application/x-ndjson": {"schema": {"type": "string"}},
            "text/csv": {"schema": {"type": "string"}},
            "application/vnd.apache.parquet": {"schema": {"type": "string", "format": "binary"}},
        },
    },
    404: problem_response("not-found"),
}


class ExportParameters(RangeParameters):
    """Which events, and as what."""

    event_type: EventType | None = None
    format: Annotated[
        Literal["ndjson", "csv", "parquet"] | None,
        Field(description="Needed. Parquet asks for the server's extra `weir-events[parquet]`.", examples=["ndjson"]),
    ] = None


def export_routes(reader: Reader, lookup: EventLookup, slots: ExportSlots) -> APIRouter:
    """The call that answers any number of events in one stream."""
    router = APIRouter(prefix="/api/v1/events", tags=["events"])

    @router.get(
        f"/{_PATH}",
        dependencies=[Depends(only_known(ExportParameters, PREFIX))],
        response_model=EventAnswer,
        responses=_RESPONSES,
    )
    async def export(request: Request, api_key: Reading, parameters: Annotated[ExportParameters, Query()]) -> Response:
        """All stored events of a range, from one snapshot, as they are read; with the filters of the list.

        The order is client_id, `occurred_at`, `event_id`, ascending. In CSV, a text that a spreadsheet would take for a
        formula has an apostrophe before it. A key may have two exports at a time. Without `format` this is the call
        for the event whose id is "export".
        """
        client_id = visible_client(api_key, parameters.client_id)
        if parameters.format is None:
            found = await lookup.find(_PATH, client_id)
            if found is None:
                raise Problem("not-found", _NEITHER)
            return json_answer(found)
        question = ExportQuestion(
            asked=resolve_range(parameters.from_, parameters.to),
            client_id=client_id,
            event_type=parameters.event_type,
            condition=read_payload_filters(request.query_params.multi_items()),
        )
        format_ = open_format(parameters.format)
        release = slots.take(api_key.public_id)
        stream = ExportStream(file_pieces(export_pages(reader, question), format_), release)
        return ExportResponse(stream, await stream.first(), format_)

    return router
