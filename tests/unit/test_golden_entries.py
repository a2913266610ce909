"""Entries that the first release left in Redis are read, and what is written today an older reader understands."""

from zlib import crc32

import msgspec

from shared.audit_record import AuditRecord, decode_records
from shared.stream_entry import Block, EventFrame, decode_blocks, encode_events, encode_head
from stream_processor.entries import Failure
from tests.golden_entries import BLOCKS, FAILURES, RECORDS

RECEIVED_US = 1_763_800_000_000_000
PAYLOAD = '{"amount": 1, "name": "Zoë"}'.encode()
FRAMES = [
    ("e-1", "order.paid", RECEIVED_US - 1_000_000, PAYLOAD, crc32(PAYLOAD)),
    ("e-2", "order.paid", None, b"{}", crc32(b"{}")),
]
HEAD = ("acme", RECEIVED_US, "gw-1", "192.0.2.1", "curl/8.5.0", "req-1", "3kTMd92Lmx0q")


def test_events_of_version_1_are_read() -> None:
    assert decode_blocks(BLOCKS) == [Block(1, *HEAD, [EventFrame(*frame) for frame in FRAMES])]


def test_audit_records_of_version_1_are_read() -> None:
    path = "/api/v1/events/batch"
    assert decode_records(RECORDS) == [
        AuditRecord(
            1, RECEIVED_US, "gateway", "gw-1", "acme", "3kTMd92Lmx0q", "POST", path, path, "", 1500, 120, "192.0.2.1",
            "curl/8.5.0", "req-1", 202, "", bytes_out=None, calls=1,
        )
    ]  # fmt: skip


def test_failed_events_of_version_1_are_read() -> None:
    failures = msgspec.msgpack.decode(FAILURES, type=list[Failure])
    assert failures == [
        Failure(
            "acme", "e-3", "order.paid", None, RECEIVED_US, b"{}", "enricher_failed", None, "ValueError: broken", 1,
            RECEIVED_US + 1_000_000,
        )
    ]  # fmt: skip


def test_events_are_written_as_they_were() -> None:
    """Else processors of the release before meet bytes that they do not know: raise VERSION, and read both."""
    assert b"\x91" + encode_head(*HEAD) + encode_events(FRAMES) == BLOCKS
