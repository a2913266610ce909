"""A stream entry: how accepted events travel through Redis.

One publisher call writes one entry. It holds a block a request, and a block holds what its events have in common once,
then the events, each with its payload's bytes as the producer sent them. All of it is MessagePack, decoded in one go.

Fields of the Redis entry: ``n``, the number of events, and ``e``, the blocks. The entry's id is ``<ms>-<added>``: see
``shared/lua/append.lua``.
"""

from typing import Final

import msgspec

from shared.errors import DataError, HaltError

VERSION: Final = 1
_LEAST_FIELDS: Final = 9
_SANE_VERSION: Final = 1000
"""Beyond this it is no version but somebody's number."""


class EventFrame(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One event inside a block."""

    event_id: str
    event_type: str
    occurred_us: int | None
    """Microseconds since 1970 in UTC; None when the producer gave none: the time of receipt counts then."""
    payload: bytes
    """JSON, byte for byte as sent."""
    payload_crc: int
    """CRC-32 of ``payload``: tells a repeat with another payload."""


class Block(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The events of one request."""

    version: int
    client_id: str
    received_us: int
    gateway: str
    address: str
    user_agent: str
    request_id: str
    key_id: str
    events: list[EventFrame]
    replayed: bool = False
    """Put back from the failed events: accepted, and counted, before."""

    def with_events(self, events: list[EventFrame]) -> "Block":
        """The same block with other events."""
        return msgspec.structs.replace(self, events=events)


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[Block])
_HEAD_WITH_EVENTS = b"\x99"  # an array of 9: the eight of the head, and the list of events that follows


def encode_head(
    client_id: str,
    received_us: int,
    gateway: str,
    address: str,
    user_agent: str,
    request_id: str,
    key_id: str,
) -> bytes:
    """A block up to, not including, its events. ``encode_events`` follows it directly."""
    head = (VERSION, client_id, received_us, gateway, address, user_agent, request_id, key_id)
    return _HEAD_WITH_EVENTS + _encoder.encode(head)[1:]


def encode_events(events: list[tuple[str, str, int | None, bytes, int]]) -> bytes:
    """The events of a block; each tuple has the fields of ``EventFrame`` in order."""
    return _encoder.encode(events)


def encode_blocks(blocks: list[Block]) -> bytes:
    """Whole blocks as an entry holds them, for those who have no bytes of a request at hand."""
    return _encoder.encode(blocks)


def decode_blocks(blob: bytes) -> list[Block]:
    """The blocks of an entry.

    Raises DataError when the bytes are not blocks; HaltError when they are of a later release, whose events are sound
    and must wait, pending, for a processor that can read them.
    """
    try:
        blocks = _decoder.decode(blob)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        _refuse_newer(_versions(blob))
        raise DataError("unreadable_entry", f"the entry is not a list of blocks: {error}") from error
    if max([block.version for block in blocks], default=VERSION) > VERSION:
        _refuse_newer([block.version for block in blocks])
        raise DataError("unreadable_entry", "the entry is not a list of blocks: no version has such a number")
    return blocks


def _refuse_newer(versions: list[int]) -> None:
    newer = [version for version in versions if VERSION < version <= _SANE_VERSION]
    if newer:
        raise HaltError(
            f"an entry holds blocks of version {max(newer)}, this processor reads up to {VERSION}: "
            "nothing is lost, the entry stays pending; upgrade the processors"
        )


def _versions(blob: bytes) -> list[int]:
    """The versions of whatever has the outline of blocks, a list of lists that begin with a number; else none."""
    try:
        found = msgspec.msgpack.decode(blob)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return []
    blocks = found if isinstance(found, list) else []
    outlined = [block for block in blocks if isinstance(block, list) and len(block) >= _LEAST_FIELDS]
    return [block[0] for block in outlined if type(block[0]) is int]
