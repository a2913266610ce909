"""A run's summary as lines for a person."""

from __future__ import annotations

from collections.abc import Mapping

from deploy.load.summary import Summary

Row = tuple[str, str, str]

_UNSEEN = "not seen"
_NOTHING = "none"


def summary_rows(summary: Summary) -> list[Row]:
    """Name, figure, and what to know about it. Lines of what did not happen are left out."""
    return [*_event_rows(summary), *_request_rows(summary), *_time_rows(summary)]


def _event_rows(summary: Summary) -> list[Row]:
    cut = f"{summary.own_duplicates:,} of them of requests that had been cut" if summary.own_duplicates else ""
    return [
        ("accepted", f"{summary.accepted:,}", "interrupted: this is the run so far" if summary.interrupted else ""),
        ("duplicates", f"{summary.duplicates:,}", cut),
        ("stored", _number(summary.stored), "rows with this run's ids" if summary.stored is not None else _why_not()),
        ("failed", _number(summary.failed), "see failed_events" if summary.failed else ""),
        *_happened("refused", summary.refused, summary.refusal),
        *_happened("unknown", summary.unknown, f"never acknowledged: {summary.last_failure or 'the run was ended'}"),
        *_happened("in flight", summary.in_flight, "acknowledged, not stored yet"),
        ("lost", _number(summary.lost), ""),
    ]


def _request_rows(summary: Summary) -> list[Row]:
    busy = "" if summary.generator_cpu_share < 0.9 else "the generator is the bottleneck: start several"
    return [
        ("requests/s", f"{summary.requests_per_second:,.0f}", f"{summary.requests:,} in {summary.seconds:.1f} s"),
        *_happened("429 and 503", summary.throttled_requests, "sent again when told"),
        *_happened("failed requests", summary.failed_requests, f"sent again; last: {summary.last_failure}"),
        ("events/s", f"{summary.events_per_second:,.0f}", "acknowledged"),
        ("stored/s", _stored_rate(summary), "from the first request to the last row"),
        ("generator CPU", f"{summary.generator_cpu_share:.0%}", busy),
    ]


def _time_rows(summary: Summary) -> list[Row]:
    return [
        ("gateway response", _times(summary.response_ms), "p50 · p95 · p99"),
        ("acceptance to stored", _times(summary.storage_ms), "p50 · p95 · p99, from received_at and stored_at"),
    ]


def _stored_rate(summary: Summary) -> str:
    nothing_new = summary.stored is not None and summary.stored_per_second is None
    return _NOTHING if nothing_new else _number(summary.stored_per_second)


def _happened(name: str, count: int | None, about: str) -> list[Row]:
    return [(name, f"{count:,}", about)] if count else []


def _number(value: float | None) -> str:
    return _UNSEEN if value is None else f"{value:,.0f}"


def _why_not() -> str:
    return "the database of this gateway is not known here"


def _times(times: Mapping[str, float | None] | None) -> str:
    if not times:
        return _UNSEEN if times is None else _NOTHING
    return " · ".join("-" if value is None else f"{value:,.1f}" for value in times.values()) + " ms"
