"""Whatever bytes stand on a stream: preparing them raises nothing, and what fails is such that PostgreSQL takes it."""

from contextlib import nullcontext
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import fields

from shared.audit_record import AuditRecord
from shared.errors import HaltError
from shared.stream_entry import Block, EventFrame
from stream_processor.audit_sink import AuditSink
from stream_processor.entries import Failure, Sink, StreamEntry
from stream_processor.event_sink import EventSink
from stream_processor.failed_event_sink import FailedEventSink
from stream_processor.failures import storable
from stream_processor.partitions import DayPartitions

PARTITIONS = DayPartitions(lambda: nullcontext(None))  # type: ignore[arg-type,return-value]  # preparing never asks it
SINKS: dict[str, Sink] = {
    "events": EventSink([], PARTITIONS),
    "events with an enricher": EventSink([lambda block, frame: {"n": len(frame.payload)}], PARTITIONS),
    "audit": AuditSink(PARTITIONS),
    "dead": FailedEventSink(),
}
TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
INTEGERS = st.integers(-(2**63), 2**64 - 1)
EVENTS = st.builds(EventFrame, TEXT, TEXT, st.none() | INTEGERS, st.binary(max_size=20), INTEGERS)
KINDS: dict[Any, st.SearchStrategy[Any]] = {
    int: INTEGERS, int | None: st.none() | INTEGERS, str: TEXT, str | None: st.none() | TEXT,
    dict[str, str]: st.dictionaries(TEXT, TEXT, max_size=3), bytes: st.binary(max_size=20), bool: st.booleans(),
    list[EventFrame]: st.lists(EVENTS, max_size=3),
}  # fmt: skip


def any_of(struct: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    """Structs with any value the wire can carry in each field."""
    return st.builds(struct, **{field.name: KINDS[field.type] for field in fields(struct)})


STRUCTS = {"events": Block, "events with an enricher": Block, "audit": AuditRecord, "dead": Failure}
few = settings(max_examples=40, deadline=None)


@pytest.mark.parametrize("name", SINKS)
@given(blob=st.none() | st.binary(max_size=200))
@few
def test_any_bytes_become_rows_or_a_failure(name: str, blob: bytes | None) -> None:
    prepared = SINKS[name].prepare([StreamEntry("1-1", 1, blob)])
    assert [entry.entry_id for entry in prepared.entries] == ["1-1"]


@pytest.mark.parametrize("name", SINKS)
@given(data=st.data())
@few
def test_any_values_of_the_right_types_become_rows_or_failures(name: str, data: st.DataObject) -> None:
    blob = msgspec.msgpack.encode(data.draw(st.lists(any_of(STRUCTS[name]), max_size=3)))
    try:
        prepared = SINKS[name].prepare([StreamEntry("1-1", 1, blob)])
    except HaltError:
        assert any(1 < block[0] <= 1000 for block in msgspec.msgpack.decode(blob)), "only a later version may halt"
        return
    for failures in prepared.failures.values():
        assert failures == [storable(failure) for failure in failures]
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(failures), type=list[Failure]) == failures


def test_each_event_becomes_a_row_or_a_failure() -> None:
    frames = [EventFrame(f"e{n}", "t", 2**64 - 1 if n % 3 == 0 else None, b"{}", 0) for n in range(9)]
    block = Block(1, "acme", 0, "gw", "::1", "", "r", "k", frames)
    blob = msgspec.msgpack.encode([block])
    prepared = SINKS["events"].prepare([StreamEntry("1-9", 9, blob)])
    assert [frame.event_id for _, _, frame in prepared.rows.events] == ["e1", "e2", "e4", "e5", "e7", "e8"]
    assert len(prepared.rows.rows) == len(prepared.rows.keys) == len(prepared.rows.key_values) == 6
    assert [failure.event_id for failure in prepared.failures["1-9"]] == ["e0", "e3", "e6"]
