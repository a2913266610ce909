"""The documents that say what became of a request's events."""

from ingest_gateway.envelope import DecodedEvents
from ingest_gateway.publisher import Published

Result = dict[str, object]
_CONFLICT = "its payload differs from the first one's, which is kept"


def single_answer(decoded: DecodedEvents, published: Published) -> Result:
    """``{"event_id", "status", "entry_id"}``; the entry id of a duplicate is the first one's."""
    event_id = decoded.event_ids[0]
    for duplicate in published.result.duplicates:
        result: Result = {
            "event_id": event_id,
            "status": "duplicate",
            "entry_id": f"{duplicate.ms}-{duplicate.seq}",
        }
        return result if duplicate.same_payload else {**result, "detail": _CONFLICT}
    return {"event_id": event_id, "status": "accepted", "entry_id": f"{published.ms}-{published.result.last}"}


def batch_answer(decoded: DecodedEvents, published: Published) -> Result:
    """``{"accepted", "duplicates", "rejected", "results"}``, the results in the order of the request."""
    good: list[Result] = [{"event_id": frame[0], "status": "accepted"} for frame in decoded.frames]
    for duplicate in published.result.duplicates:
        good[duplicate.place]["status"] = "duplicate"
        if not duplicate.same_payload:
            good[duplicate.place]["detail"] = _CONFLICT
    return {
        "accepted": published.result.kept,
        "duplicates": len(published.result.duplicates),
        "rejected": len(decoded.faults),
        "results": _with_rejected(good, decoded) if decoded.faults else good,
    }


def _with_rejected(good: list[Result], decoded: DecodedEvents) -> list[Result]:
    in_order = iter(good)
    results: list[Result] = []
    for place in range(decoded.total):
        errors = decoded.faults.get(place)
        if errors is None:
            results.append(next(in_order))
        else:
            detail = "; ".join(f"{error.pointer or 'it'} {error.detail}" for error in errors)
            results.append({"event_id": decoded.event_ids[place], "status": "rejected", "detail": detail})
    return results
