"""The slow path of decoding: takes a refused body apart and says, event by event, what is wrong and where.

Messages name the field and the limit, never the input.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
import orjson

from ingest_gateway.payload_check import MAX_DEPTH, payload_fault
from shared.problems import FieldError, Problem

_FIELDS: Final = ("event_id", "event_type", "payload", "occurred_at")
EVENT_TYPE: Final = re.compile(r"[A-Za-z0-9._:/-]{1,128}", re.ASCII)


_raw_batch = msgspec.json.Decoder(dict[str, msgspec.Raw])
_raw_list = msgspec.json.Decoder(list[msgspec.Raw])
_raw_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_raw = msgspec.json.Decoder(msgspec.Raw)
_moment = msgspec.json.Decoder(datetime)


def split_batch(body: bytes) -> list[bytes]:
    """The events of a batch as bytes. Raises Problem: malformed-json, or invalid-event when it is no batch."""
    require_utf8(body)
    try:
        batch = _raw_batch.decode(body)
    except msgspec.ValidationError:
        _require_json(body)
        raise _no_batch('the body must be an object {"events": [...]}', "") from None
    except RecursionError:
        raise _no_batch(f"an event is nested more than {MAX_DEPTH} deep", "/events") from None
    except msgspec.DecodeError as error:
        raise malformed(error) from None
    unknown = sum(name != "events" for name in batch)
    if "events" not in batch or unknown:
        raise _no_batch('the body must be an object with the one field "events"', "")
    try:
        return [bytes(raw) for raw in _raw_list.decode(batch["events"])]
    except msgspec.ValidationError:
        raise _no_batch("must be a list of events", "/events") from None


def split_lines(body: bytes) -> list[bytes]:
    """The lines of a body of one event a line, without the empty ones; each has still to be seen to be UTF-8.

    Raises Problem malformed-json for a byte-order mark, which is the whole body's.
    """
    _refuse_mark(body)
    return [line for line in body.split(b"\n") if line and not line.isspace()]


def require_utf8(body: bytes) -> None:
    """Raises Problem malformed-json, with the place, unless the body is UTF-8 without a byte-order mark."""
    _refuse_mark(body)
    if body.isascii():
        return
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise Problem("malformed-json", f"the body is not UTF-8 at byte {error.start}") from None


def _refuse_mark(body: bytes) -> None:
    if body.startswith(b"\xef\xbb\xbf"):
        raise Problem("malformed-json", "the body begins with a byte-order mark; send plain UTF-8")


def _require_json(value: bytes) -> None:
    """For a value of the wrong kind, which the typed decoders do not read to its end. Raises Problem malformed-json."""
    try:
        _raw.decode(value)
    except RecursionError:
        return
    except msgspec.DecodeError as error:
        raise malformed(error) from None


def malformed(error: Exception) -> Problem:
    """The 400 of a body that is not JSON; says the place, as the decoder gives it."""
    place = re.search(r"\(byte (\d+)\)", str(error))
    return Problem("malformed-json", f"the body is not valid JSON{f' at byte {place.group(1)}' if place else ''}")


def explain_event(
    raw: bytes, max_payload_bytes: int, retention: timedelta, max_ahead: timedelta
) -> tuple[str | None, list[FieldError]]:
    """The id of an event that was refused, if it has one, and its faults: at least one.

    Raises Problem malformed-json when the bytes are not JSON at all.
    """
    require_utf8(raw)
    try:
        fields = _raw_object.decode(raw)
    except msgspec.ValidationError:
        _require_json(raw)
        return None, [FieldError("", "must be a JSON object")]
    except RecursionError:
        return None, [FieldError("/payload", f"is nested more than {MAX_DEPTH} deep")]
    except msgspec.DecodeError as error:
        raise malformed(error) from None
    event_id = _text(fields.get("event_id"))
    errors = (
        [FieldError("", f"has a field that is not one of {', '.join(_FIELDS)}")] if set(fields) - set(_FIELDS) else []
    )
    errors += _id_faults(event_id)
    errors += _type_faults(_text(fields.get("event_type")))
    errors += _payload_faults(fields.get("payload"), max_payload_bytes)
    errors += _time_faults(fields.get("occurred_at"), retention, max_ahead)
    return event_id if not _id_faults(event_id) else None, errors or [
        FieldError("", "names a field twice, first with a bad value")
    ]


def _text(raw: msgspec.Raw | None) -> str | None:
    try:
        value = None if raw is None else orjson.loads(bytes(raw))
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, str) else None


def _id_faults(event_id: str | None) -> list[FieldError]:
    if event_id is None or not 1 <= len(event_id) <= 128:
        return [FieldError("/event_id", "must be a string of 1 to 128 characters")]
    if "\x00" in event_id:
        return [FieldError("/event_id", "holds the character NUL, which cannot be stored")]
    return []


def _type_faults(event_type: str | None) -> list[FieldError]:
    if event_type is None or not EVENT_TYPE.fullmatch(event_type):
        return [FieldError("/event_type", "must be 1 to 128 of letters, digits and . _ : / -")]
    return []


def _payload_faults(raw: msgspec.Raw | None, max_payload_bytes: int) -> list[FieldError]:
    payload = b"" if raw is None else bytes(raw)
    if payload[:1] != b"{":
        return [FieldError("/payload", "must be a JSON object")]
    if len(payload) > max_payload_bytes:
        return [FieldError("/payload", f"has {len(payload)} bytes; at most {max_payload_bytes} are taken")]
    try:
        value = orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        return [FieldError("/payload", f"cannot be read: {str(error).partition(':')[0]}")]
    fault = payload_fault(payload, value, closer=True)
    return [FieldError("/payload", fault)] if fault else []


def _time_faults(raw: msgspec.Raw | None, retention: timedelta, max_ahead: timedelta) -> list[FieldError]:
    if raw is None or bytes(raw) == b"null":
        return []
    pointer = "/occurred_at"
    try:
        moment = _moment.decode(raw)
    except msgspec.DecodeError:
        return [FieldError(pointer, "must be an RFC 3339 time with an offset, such as 2026-01-31T12:00:00Z")]
    if moment.tzinfo is None:
        return [FieldError(pointer, "has no offset; add Z or +hh:mm")]
    now = datetime.now(UTC)
    if moment < now - retention:
        return [FieldError(pointer, f"is older than the retention of {retention.days} days")]
    if moment > now + max_ahead:
        return [FieldError(pointer, f"is more than {int(max_ahead.total_seconds() // 60)} minutes ahead of now")]
    return []


def _no_batch(detail: str, pointer: str) -> Problem:
    return Problem("invalid-event", f"this is not a batch: {detail}", errors=[FieldError(pointer, detail)])
