"""One event and its state, wherever it is: in PostgreSQL, among the failed ones, or still in Redis."""

from base64 import b64encode
from typing import Any

from analytics_api.event_trace import EventTrace, EventTraces, TraceState
from analytics_api.json_answer import embed, embed_bytes
from analytics_api.reader import Reader, Row
from analytics_api.replica import replica_of
from shared.problems import FieldError, Problem

_CONTRACT = ("event_id", "client_id", "event_type", "payload", "occurred_at", "received_at", "stored_at", "state")


class EventLookup:
    """Finds events by id. Raises Problem: unavailable, query-timeout."""

    def __init__(self, reader: Reader, traces: EventTraces) -> None:
        self._reader = reader
        self._traces = traces

    async def find(self, event_id: str, client_id: str | None) -> dict[str, Any] | None:
        """The event as the call answers it, or None. Without ``client_id`` all clients are searched.

        Raises Problem invalid-query when several clients have this id.
        """
        if client_id is None:
            client_id = await self._client_of(event_id)
        if client_id is not None:
            return await self._find_of(client_id, event_id)
        traces = await self._traces_of_all(event_id)
        return await self._find_of(_only([trace.client_id for trace in traces]), event_id) if traces else None

    async def _find_of(self, client_id: str, event_id: str) -> dict[str, Any] | None:
        settled = await self._settled(client_id, event_id)
        if settled is not None:
            return settled
        trace = await self._traces.find(client_id, event_id)
        if trace is None:
            return None
        # It may have been settled between the two looks; a processor commits before it acknowledges.
        settled = await self._settled(client_id, event_id)
        if settled is not None:
            return settled
        if trace.state is TraceState.SETTLED and not trace.is_dying and not await self._reads_a_replica():
            return None  # stored once, and gone since: retention, or discarded by a person
        # A replica cannot tell what is gone from what it does not have yet: of the latter "not known" would be wrong.
        return _describe_trace(trace, event_id)

    async def _reads_a_replica(self) -> bool:
        return replica_of(await self._reader.first("replica", {})) is not None

    async def _settled(self, client_id: str, event_id: str) -> dict[str, Any] | None:
        parameters = {"client_id": client_id, "event_id": event_id}
        stored = await self._reader.first("find_event", parameters)
        if stored is not None:
            return describe_stored(stored)
        failed = await self._reader.first("find_failed_event", parameters)
        return None if failed is None else _describe_failed(failed)

    async def _client_of(self, event_id: str) -> str | None:
        rows = await self._reader.rows("find_clients_of_event", {"event_id": event_id})
        return _only([row["client_id"] for row in rows]) if rows else None

    async def _traces_of_all(self, event_id: str) -> list[EventTrace]:
        clients = await self._reader.rows("list_key_clients", {})
        found = [await self._traces.find(row["client_id"], event_id) for row in clients]
        return [trace for trace in found if trace is not None]


def describe_stored(row: Row) -> dict[str, Any]:
    """A row of ``list_events.sql`` or ``find_event.sql`` as the calls answer it."""
    return {**row, "payload": embed(row["payload"]), "context": embed(row["context"]), "state": "stored"}


def _describe_failed(row: Row) -> dict[str, Any]:
    payload = bytes(row["payload"])
    embedded = embed_bytes(payload)
    described = {**row, "payload": embedded, "stored_at": None, "state": "failed"}
    if embedded is None:
        described["payload_base64"] = b64encode(payload).decode()
    return described


def _describe_trace(trace: EventTrace, event_id: str) -> dict[str, Any]:
    described: dict[str, Any] = dict.fromkeys(_CONTRACT)
    described |= {"event_id": event_id, "client_id": trace.client_id}
    described["state"] = "accepted" if trace.state is TraceState.ACCEPTED else "pending"
    described["entry_id"] = "-".join(map(str, trace.entry_id))
    if trace.state is not TraceState.ACCEPTED:
        described["attempts"] = trace.attempts
    return described


def _only(clients: list[str]) -> str:
    if len(clients) == 1:
        return clients[0]
    detail = "is needed: more than one client has an event with this id"
    raise Problem("invalid-query", f"'client_id' {detail}", errors=[FieldError("/query/client_id", detail)])
