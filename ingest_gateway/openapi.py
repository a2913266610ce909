"""The two ingest calls as OpenAPI knows them; they are served outside FastAPI, so their paths are written here."""

from typing import Any

from shared.openapi_access import SECURITY, problem_response
from shared.problems import TITLES

_EVENT: dict[str, Any] = {
    "type": "object",
    "required": ["event_id", "event_type", "payload"],
    "additionalProperties": False,
    "properties": {
        "event_id": {"type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[^\\u0000]*$"},
        "event_type": {"type": "string", "pattern": "^[A-Za-z0-9._:/-]{1,128}$"},
        "payload": {"type": "object", "description": "At most 32 deep and 256 KiB; kept as it is sent"},
        "occurred_at": {
            "type": ["string", "null"],
            "format": "date-time",
            "description": "RFC 3339 with an offset, inside the retention, at most 5 minutes ahead; default: now",
        },
    },
    "example": {
        "event_id": "order-1001-paid",
        "event_type": "order.paid",
        "payload": {"order": 1001, "amount": 49.9, "currency": "EUR"},
        "occurred_at": "2026-01-31T12:00:00Z",
    },
}
_RESULT: dict[str, Any] = {
    "type": "object",
    "properties": {
        "event_id": {"type": ["string", "null"]},
        "status": {"enum": ["accepted", "duplicate", "rejected"]},
        "detail": {"type": "string"},
    },
}
_SINGLE_ANSWER: dict[str, Any] = {
    "type": "object",
    "properties": {
        "event_id": {"type": "string"},
        "status": {"enum": ["accepted", "duplicate"]},
        "entry_id": {"type": "string", "example": "1732300000000-42"},
        "detail": {"type": "string"},
    },
}
_BATCH: dict[str, Any] = {
    "type": "object",
    "required": ["events"],
    "additionalProperties": False,
    "properties": {"events": {"type": "array", "minItems": 1, "maxItems": 1000, "items": _EVENT}},
}
_BATCH_ANSWER: dict[str, Any] = {
    "type": "object",
    "properties": {
        "accepted": {"type": "integer"},
        "duplicates": {"type": "integer"},
        "rejected": {"type": "integer"},
        "results": {"type": "array", "items": _RESULT},
    },
}
_PREFER = {
    "name": "Prefer",
    "in": "header",
    "schema": {"type": "string"},
    "description": "`wait=N` (1 to 30 s): 200 once all events are stored, else 202. `handling=lenient` (batches): the "
    "good events are accepted, the bad ones come back as rejected.",
}
_REFUSALS = (
    "malformed-json", "unauthenticated", "forbidden", "body-timeout", "too-large", "unsupported-media-type",
    "invalid-event", "rate-limited", "unavailable",
)  # fmt: skip


def ingest_paths() -> dict[str, Any]:
    """The ``paths`` of the ingest calls."""
    lines = {"schema": {"type": "string", "description": "One event a line"}}
    return {
        "/api/v1/events/ingest": {
            "post": _operation(
                "Take one event", "ingest_event", {"application/json": {"schema": _EVENT}}, _SINGLE_ANSWER
            )
        },
        "/api/v1/events/batch": {
            "post": _operation(
                "Take 1 to 1000 events, all or nothing",
                "ingest_batch",
                {"application/json": {"schema": _BATCH}, "application/x-ndjson": lines},
                _BATCH_ANSWER,
            )
        },
    }


def _operation(summary: str, operation_id: str, content: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    answered = {"application/json": {"schema": answer}}
    responses: dict[str, Any] = {
        "200": {"description": "Stored (asked for by Prefer: wait=N)", "content": answered},
        "202": {"description": "Redis has acknowledged every event; each will be stored once", "content": answered},
    }
    for problem in _REFUSALS:
        responses[str(TITLES[problem][0])] = problem_response(problem)
    return {
        "summary": summary,
        "operationId": operation_id,
        "tags": ["ingest"],
        "parameters": [_PREFER],
        "security": SECURITY,
        "requestBody": {"required": True, "content": content},
        "responses": responses,
    }
