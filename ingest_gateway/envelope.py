"""From a body's bytes to events: decode, check, and keep each payload as the bytes that were sent.

The common case, all events good, costs two C decodes of the body and a short loop (about 1.5 microseconds an event of
250 bytes). Only when something is wrong does ``envelope_faults`` look at one event after another to say what.
"""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Final
from zlib import crc32

import msgspec
import orjson

from ingest_gateway.config import GatewayConfig
from ingest_gateway.envelope_faults import EVENT_TYPE, explain_event, split_batch, split_lines
from ingest_gateway.payload_check import look_closer, payload_fault
from shared.problems import FieldError, Problem

MAX_AHEAD: Final = timedelta(minutes=5)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_MAX_KNOWN_TYPES: Final = 10_000

Frame = tuple[str, str, int | None, bytes, int]
"""An event as ``shared.stream_entry.encode_events`` takes it."""


class _Fault(Exception):  # noqa: N818
    """Something is wrong with one event; the slow path says what."""


_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, orjson.JSONDecodeError, RecursionError, _Fault)


class EventEnvelope(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """An event as a producer sends it."""

    event_id: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
    event_type: str
    payload: msgspec.Raw
    occurred_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


class _Batch(msgspec.Struct, forbid_unknown_fields=True):
    events: list[EventEnvelope]


class DecodedEvents(msgspec.Struct):
    """The good events of a request, and the faults of the others by their place."""

    frames: list[Frame] = []
    total: int = 0
    faults: dict[int, list[FieldError]] = {}
    event_ids: list[str | None] = []
    """The id of each event in order, good or bad; None where a bad one has none that can be read."""
    malformed: Problem | None = None
    """The 400 of the first that is not JSON; only a line can be that while others are good."""

    def refuse_faults(self, *, single: bool = False) -> None:
        """Raises Problem, malformed-json or invalid-event, if any event is bad."""
        if self.malformed is not None:
            raise self.malformed
        if self.faults:
            raise invalid_events(self.faults, single=single)


class EventDecoder:
    """Decodes and checks requests under one gateway's limits. Used from one event loop; holds no request's data."""

    def __init__(self, config: GatewayConfig) -> None:
        self._max_payload_bytes = config.max_payload_bytes
        self._max_batch_events = config.max_batch_events
        self._retention = timedelta(days=config.retention_days)
        self._one = msgspec.json.Decoder(EventEnvelope)
        self._batch = msgspec.json.Decoder(_Batch)
        self._known_types: set[str] = set()

    def decode_one(self, body: bytes) -> DecodedEvents:
        """One event. Raises Problem: malformed-json, or invalid-event with a pointer for each fault."""
        try:
            envelope, value = self._one.decode(body), orjson.loads(body)
            return self._good([envelope], [value], look_closer(body))
        except _UNREADABLE:
            decoded = self._one_by_one([body])
        decoded.refuse_faults(single=True)
        return decoded

    def decode_batch(self, body: bytes) -> DecodedEvents:
        """``{"events": [...]}``. Bad events are in ``faults``. Raises Problem for a body that is not such a batch."""
        try:
            envelopes, value = self._batch.decode(body).events, orjson.loads(body)
            self._check_count(len(envelopes))
            return self._good(envelopes, value["events"], look_closer(body))
        except _UNREADABLE:
            raws = split_batch(body)
        self._check_count(len(raws))
        return self._one_by_one(raws)

    def decode_lines(self, body: bytes) -> DecodedEvents:
        """One event a line; empty lines do not count. Otherwise as ``decode_batch``."""
        lines = split_lines(body)
        self._check_count(len(lines))
        try:
            envelopes, values = [self._one.decode(line) for line in lines], [orjson.loads(line) for line in lines]
            return self._good(envelopes, values, look_closer(body))
        except _UNREADABLE:
            return self._one_by_one(lines, in_lines=True)

    def _check_count(self, count: int) -> None:
        if not 1 <= count <= self._max_batch_events:
            detail = f"a batch holds 1 to {self._max_batch_events} events, this one {count}"
            raise Problem("invalid-event", detail, errors=[FieldError("/events", detail)])

    def _good(self, envelopes: list[EventEnvelope], values: list[dict[str, object]], closer: bool) -> DecodedEvents:
        """All events, or _Fault at the first bad one."""
        decoded = DecodedEvents(total=len(envelopes))
        frames, event_ids, known_types = decoded.frames, decoded.event_ids, self._known_types
        for envelope, value in zip(envelopes, values, strict=True):
            payload = bytes(envelope.payload)
            if envelope.event_type not in known_types:
                self._learn_type(envelope.event_type)
            if len(payload) > self._max_payload_bytes or (
                payload_fault(payload, value["payload"], closer=closer) is not None
            ):
                raise _Fault
            if closer and "\x00" in envelope.event_id:
                raise _Fault
            occurred_us = None if envelope.occurred_at is None else self._microseconds(envelope.occurred_at)
            frames.append((envelope.event_id, envelope.event_type, occurred_us, payload, crc32(payload)))
            event_ids.append(envelope.event_id)
        return decoded

    def _learn_type(self, event_type: str) -> None:
        if not EVENT_TYPE.fullmatch(event_type):
            raise _Fault
        if len(self._known_types) < _MAX_KNOWN_TYPES:
            self._known_types.add(event_type)

    def _microseconds(self, occurred_at: datetime) -> int:
        now = datetime.now(UTC)
        if not now - self._retention <= occurred_at <= now + MAX_AHEAD:
            raise _Fault
        return (occurred_at - _EPOCH) // _MICROSECOND

    def _one_by_one(self, raws: list[bytes], *, in_lines: bool = False) -> DecodedEvents:
        decoded = DecodedEvents(total=len(raws))
        for place, raw in enumerate(raws):
            try:
                good = self._good([self._one.decode(raw)], [orjson.loads(raw)], True)
            except _UNREADABLE:
                try:
                    event_id, errors = explain_event(raw, self._max_payload_bytes, self._retention, MAX_AHEAD)
                except Problem as malformed:
                    decoded.malformed = decoded.malformed or (_at_event(place, malformed) if in_lines else malformed)
                    event_id, errors = None, [FieldError("", malformed.detail.removeprefix("the body "))]
                decoded.event_ids.append(event_id)
                decoded.faults[place] = errors
                continue
            decoded.frames += good.frames
            decoded.event_ids += good.event_ids
        return decoded


def _at_event(place: int, malformed: Problem) -> Problem:
    """The 400 of a body of lines, saying in which one."""
    fault = malformed.detail.removeprefix("the body ")
    detail = f"event {place}, counted from 0, {fault}"
    return Problem("malformed-json", detail, errors=[FieldError(f"/events/{place}", fault)])


def invalid_events(faults: dict[int, list[FieldError]], *, single: bool = False) -> Problem:
    """The 422 that names the bad events by their places."""
    errors = [
        error if single else FieldError(f"/events/{place}{error.pointer}", error.detail)
        for place, found in faults.items()
        for error in found
    ]
    if single:
        detail = f"the event is invalid: {errors[0].pointer or 'it'} {errors[0].detail}"
    else:
        places = ", ".join(str(place) for place in list(faults)[:1000])
        detail = f"{len(faults)} event(s) are invalid, nothing was accepted; their places in the batch: {places}"
    return Problem("invalid-event", detail, errors=errors)
