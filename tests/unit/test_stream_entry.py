"""What goes into the streams comes out of them as it was."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.audit_record import AuditRecord, decode_records, encode_record, encode_record_head
from shared.errors import DataError, HaltError
from shared.stream_entry import VERSION, Block, EventFrame, decode_blocks, encode_events, encode_head

TEXT = st.text(max_size=300)
ONE_BLOCK = b"\xdd\x00\x00\x00\x01"  # as the publisher's function counts them: an array of 32 bits

events = st.lists(
    st.tuples(
        TEXT, TEXT, st.none() | st.integers(-(2**63), 2**63 - 1), st.binary(max_size=300), st.integers(0, 2**32 - 1)
    ),
    max_size=40,
)


@given(client=TEXT, received_us=st.integers(0, 2**63 - 1), others=st.lists(TEXT, min_size=5, max_size=5), events=events)
def test_a_block_comes_back_as_it_was(
    client: str, received_us: int, others: list[str], events: list[tuple[str, str, int | None, bytes, int]]
) -> None:
    gateway, address, user_agent, request_id, key_id = others
    head = encode_head(client, received_us, gateway, address, user_agent, request_id, key_id)
    [block] = decode_blocks(ONE_BLOCK + head + encode_events(events))
    frames = [EventFrame(*event) for event in events]
    assert block == Block(VERSION, client, received_us, gateway, address, user_agent, request_id, key_id, frames)


@given(texts=st.lists(TEXT, min_size=11, max_size=11), status=st.integers(100, 599), bytes_in=st.integers(0, 2**53))
def test_an_audit_record_comes_back_as_it_was(texts: list[str], status: int, bytes_in: int) -> None:
    at_us = 2**52
    service, instance, client, key, method, endpoint, path, query, address, user_agent, error = texts
    head = encode_record_head(
        at_us, service, instance, client, key, method, endpoint, path, query, bytes_in, address, user_agent, "id"
    )
    [record] = decode_records(ONE_BLOCK + encode_record(head, status, error))
    assert record == AuditRecord(
        1, at_us, service, instance, client, key, method, endpoint, path, query, record.duration_us, bytes_in, address,
        user_agent, "id", status, error,
    )  # fmt: skip


@given(st.binary(max_size=200))
def test_bytes_that_are_no_entry_are_a_data_error_and_nothing_else(blob: bytes) -> None:
    for decode in (decode_blocks, decode_records):
        try:
            decode(blob)
        except DataError as error:
            assert error.reason == "unreadable_entry"


def test_a_block_of_a_later_version_halts_its_reader_whatever_its_layout() -> None:
    later = b"\x99" + bytes([VERSION + 1]) + encode_head("a", 1, "g", "::1", "u", "r", "k")[2:] + encode_events([])
    other_layout = msgspec.msgpack.encode([[VERSION + 1, {"client": "a"}, *range(7)]])
    for blob in (b"\x91" + later, other_layout):
        with pytest.raises(HaltError, match="upgrade"):
            decode_blocks(blob)
