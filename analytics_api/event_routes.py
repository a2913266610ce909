"""``GET /api/v1/events/{event_id}`` and ``GET /api/v1/events``."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from psycopg import sql
from pydantic import BaseModel

from analytics_api.answer_models import EventAnswer, EventPage
from analytics_api.cursor import filters_digest, next_cursor, open_page
from analytics_api.event_lookup import EventLookup, describe_stored
from analytics_api.json_answer import json_answer
from analytics_api.newest_first import parts_newest_first
from analytics_api.parameters import ClientId, EventId, EventType, PageParameters, only_known
from analytics_api.payload_filters import read_payload_filters
from analytics_api.queries.bindings import Bindings
from analytics_api.queries.conditions import condition_sql
from analytics_api.queries.payload_path import PREFIX
from analytics_api.reader import Reader, Row
from analytics_api.tenancy import Reading, visible_client
from shared.problems import Problem
from shared.sql_files import load_sql

_ROW_BYTES: Final = 300  # of an event's answer, beside its payload and context


class EventParameters(BaseModel):
    """Whose event."""

    client_id: ClientId | None = None


class EventListParameters(PageParameters):
    """Which events."""

    event_type: EventType | None = None


def event_routes(reader: Reader, lookup: EventLookup, max_page_bytes: int) -> APIRouter:
    """The calls that answer events."""
    router = APIRouter(prefix="/api/v1/events", tags=["events"])

    @router.get("", response_model=EventPage, dependencies=[Depends(only_known(EventListParameters, PREFIX))])
    async def list_events(
        request: Request, api_key: Reading, parameters: Annotated[EventListParameters, Query()]
    ) -> Response:
        """Stored events, newest first by `occurred_at`, then `event_id`.

        Beside the parameters below, any `payload.<name>.<name>=value` filters by what is in the payload. A page may
        hold fewer than `limit` events when they are large; `next_cursor` is null on the last one.
        """
        client_id = visible_client(api_key, parameters.client_id)
        payload_parameters = [pair for pair in request.query_params.multi_items() if pair[0].startswith(PREFIX)]
        filters = {**parameters.model_dump(), "client_id": client_id, "payload": sorted(payload_parameters)}
        digest = filters_digest("events", filters)
        page = open_page(parameters.cursor, digest, parameters.from_, parameters.to, (str, str))
        before_id, before_client = page.last_key or (None, None)
        bindings = Bindings()
        conditions = condition_sql(read_payload_filters(payload_parameters), bindings)
        values = {
            **bindings.values,
            "start": page.asked.start,
            "end": page.end,
            "client_id": client_id,
            "event_type": parameters.event_type,
            "before_at": page.last_at,
            "before_id": before_id,
            "before_client": before_client,
            "limit": parameters.limit,
        }
        of_all = "list_events_of_all" if parameters.event_type is None else "list_events_of_type"
        template = of_all if client_id is None else "list_events"
        query = sql.SQL(load_sql("analytics_api", template)).format(conditions=conditions)
        rows, is_cut = await _newest(reader, query, values, max_page_bytes)
        cursor = None
        if rows and (is_cut or len(rows) == parameters.limit):
            last = rows[-1]
            cursor = next_cursor(page, digest, last["occurred_at"], (last["event_id"], last["client_id"]))
        return json_answer({"events": [describe_stored(row) for row in rows], "next_cursor": cursor})

    @router.get("/{event_id:any}", response_model=EventAnswer, dependencies=[Depends(only_known(EventParameters))])
    async def find_event(
        event_id: Annotated[EventId, Path()], api_key: Reading, parameters: Annotated[EventParameters, Query()]
    ) -> Response:
        """One event and its state: `accepted`, `pending`, `stored` or `failed`.

        An accepted event is known for as long as the gateway's early filter remembers it: ten minutes by default.
        """
        found: dict[str, Any] | None = await lookup.find(event_id, visible_client(api_key, parameters.client_id))
        if found is None:
            raise Problem("not-found", "no event of this id is known for this client")
        return json_answer(found)

    return router


async def _newest(
    reader: Reader, query: sql.Composed, values: dict[str, Any], max_bytes: int
) -> tuple[list[Row], bool]:
    """As ``Reader.page``, from the last day on back."""
    rows: list[Row] = []
    for start, end in parts_newest_first(values["start"], values["end"]):
        part = values | {"start": start, "end": end, "limit": values["limit"] - len(rows)}
        found, is_cut = await reader.page(query, part, max_bytes - sum(map(_row_bytes, rows)), _row_bytes)
        rows += found
        if is_cut or len(rows) >= values["limit"]:
            return rows, is_cut
    return rows, False


def _row_bytes(row: Row) -> int:
    return len(row["payload"]) + len(row["context"]) + _ROW_BYTES
