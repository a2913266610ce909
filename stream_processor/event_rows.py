"""Events as PostgreSQL takes them: COPY rows, key arrays in key order, and the rollups they add to.

The shape is columns of bytes, not objects: this runs once an event and is most of what a processor's CPU does.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from struct import Struct

from shared.stream_entry import Block, EventFrame
from stream_processor import copy_binary as binary
from stream_processor.binary_array import repeated_text
from stream_processor.enrich import Enricher, block_context, context_json, event_context

COLUMNS = "client_id, event_id, event_type, occurred_at, received_at, payload, context"
_COLUMN_COUNT = binary.column_count(7)
_crc = Struct(">iI").pack
_times_and_payload_head = Struct(">iqiqib").pack
"""occurred_at, received_at, and what stands before a payload's text: one call in place of three."""
MINUTE_US = 60_000_000
DAY_US = 86_400_000_000


@dataclass(slots=True)
class EventRows:
    """Rows of a list of events, all at the same places."""

    events: list[tuple[str, Block, EventFrame]] = field(default_factory=list)
    """Entry id, block, event."""
    rows: list[bytes] = field(default_factory=list)
    keys: list[tuple[str, str]] = field(default_factory=list)
    key_values: list[tuple[bytes, bytes, int, bytes]] = field(default_factory=list)
    """client_id and event_id, encoded, microseconds of occurred_at, and the payload's CRC, encoded."""
    days: set[int] = field(default_factory=set)
    """Days of occurred_at, counted from 1970, whose partitions are needed."""
    replayed: bool = False
    """Whether events among them may be replayed ones."""

    def without(self, places: Iterable[int]) -> "EventRows":
        """The rows but for those at the given places."""
        dropped = set(places)
        kept = [place for place in range(len(self.rows)) if place not in dropped]
        return self.only(kept)

    def only(self, places: Sequence[int]) -> "EventRows":
        """The rows at the given places."""
        return EventRows(
            [self.events[place] for place in places],
            [self.rows[place] for place in places],
            [self.keys[place] for place in places],
            [self.key_values[place] for place in places],
            {_day(block, frame) for _, block, frame in map(self.events.__getitem__, places)},
            self.replayed,
        )

    def cut(self, length: int) -> None:
        """Keep the first ``length`` rows, and the days: one too many does no harm but where it cannot be made."""
        for column in (self.events, self.rows, self.keys, self.key_values):
            del column[length:]

    def key_order(self) -> list[int]:
        """The places in the order of their keys: the order in which every processor locks them."""
        return sorted(range(len(self.keys)), key=self.keys.__getitem__)


def add_block(rows: EventRows, entry_id: str, block: Block, enrichers: Sequence[Enricher]) -> None:
    """Append the rows of a block's events. Raises DataError when an enricher fails, UnicodeError for bad text."""
    client_id, received_us = block.client_id, block.received_us
    client = repeated_text(client_id)
    head = _COLUMN_COUNT + client
    received = received_us - binary.PG_EPOCH_US
    context = block_context(block) if enrichers else {}
    tail = binary.jsonb(context_json(block))
    days = rows.days
    days.add(received_us // DAY_US)
    rows.replayed |= block.replayed
    add_event, add_row = rows.events.append, rows.rows.append
    add_key, add_values = rows.keys.append, rows.key_values.append
    length, times_and_payload_head, join = binary.LENGTH, _times_and_payload_head, b"".join
    for frame in block.events:
        name, payload, occurred_us = frame.event_id, frame.payload, frame.occurred_us
        event_id = name.encode()
        event_id = length(len(event_id)) + event_id
        if occurred_us is None:
            occurred_us = received_us
        else:
            days.add(occurred_us // DAY_US)
        if enrichers:
            tail = binary.jsonb(event_context(context, enrichers, block, frame))
        times = times_and_payload_head(8, occurred_us - binary.PG_EPOCH_US, 8, received, len(payload) + 1, 1)
        add_row(join((head, event_id, repeated_text(frame.event_type), times, payload, tail)))
        add_event((entry_id, block, frame))
        add_key((client_id, name))
        add_values((client, event_id, occurred_us, _crc(4, frame.payload_crc)))


def _day(block: Block, frame: EventFrame) -> int:
    return (block.received_us if frame.occurred_us is None else frame.occurred_us) // DAY_US


def repeated_places(rows: EventRows) -> list[int]:
    """The places whose key stands earlier in the same rows: the first one wins."""
    if len(set(rows.keys)) == len(rows.keys):
        return []
    seen: set[tuple[str, str]] = set()
    repeated = []
    for place, key in enumerate(rows.keys):
        if key in seen:
            repeated.append(place)
        seen.add(key)
    return repeated
