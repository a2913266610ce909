"""Requests of a run, made ahead of sending, so that sending costs little more than the socket."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from deploy.load.event_source import EventSource
from deploy.load.gateway_address import GatewayAddress

# Below the gateway's default of 5 MiB: a request ends here however many events it was meant to hold.
MAX_BODY_BYTES = 4 * 1024 * 1024
AHEAD_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class LoadRequest:
    """The events from place `first` on, as the bytes of one HTTP request."""

    first: int
    events: int
    wire: bytes

    @property
    def places(self) -> range:
        return range(self.first, self.first + self.events)


def load_requests(source: EventSource, batch: int, address: GatewayAddress, key: str) -> Iterator[LoadRequest]:
    """The source's events in requests of at most `batch` events and 4 MiB; a batch of 1 uses the call for one."""
    first = 0
    while source.count is None or first < source.count:
        left = batch if source.count is None else min(batch, source.count - first)
        events = _events(source, first, left)
        body = events[0] if batch == 1 else b'{"events":[%b]}' % b",".join(events)
        path = "/api/v1/events/ingest" if batch == 1 else "/api/v1/events/batch"
        yield LoadRequest(first, len(events), address.head("POST", path, key, len(body)) + body)
        first += len(events)


def made_ahead(requests: Iterator[LoadRequest], ahead_bytes: int = AHEAD_BYTES) -> Iterator[LoadRequest]:
    """The same requests, the first `ahead_bytes` of them made now; the others are made as they are taken."""
    ready: deque[LoadRequest] = deque()
    held_bytes = 0
    for request in requests:
        ready.append(request)
        held_bytes += len(request.wire)
        if held_bytes >= ahead_bytes:
            break
    return _drained(ready, requests)


def _drained(ready: deque[LoadRequest], rest: Iterator[LoadRequest]) -> Iterator[LoadRequest]:
    while ready:
        yield ready.popleft()
    yield from rest


def _events(source: EventSource, first: int, most: int) -> list[bytes]:
    events: list[bytes] = []
    size = 0
    for place in range(first, first + most):
        event = source.event(place)
        size += len(event) + 1
        if events and size > MAX_BODY_BYTES:
            break
        events.append(event)
    return events
