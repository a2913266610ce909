"""Audit records come to stand in the table as they were, from many callers and of every size."""

from collections.abc import Sequence
from typing import Any

import msgspec
import psycopg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.audit_record import AuditRecord
from stream_processor.audit_sink import AuditSink
from stream_processor.entries import StreamEntry
from stream_processor.partitions import DayPartitions
from tests.pipeline import now_us

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
LONG = st.integers(0, 3000).map("x".__mul__)
RECORDS = st.lists(
    st.builds(
        AuditRecord,
        version=st.just(1), at_us=st.integers(0, 3_600_000_000).map(lambda ago_us: now_us() - ago_us), service=TEXT,
        instance=TEXT, client_id=st.none() | TEXT, key_id=st.none() | TEXT, method=TEXT, endpoint=TEXT,
        path=TEXT | LONG, query=TEXT | LONG, duration_us=st.integers(0, 2**40), bytes_in=st.integers(0, 2**40),
        address=TEXT, user_agent=TEXT | LONG, request_id=TEXT, status=st.integers(100, 599), error=TEXT,
        bytes_out=st.none() | st.integers(0, 2**40), calls=st.integers(1, 2**31 - 1),
    ),
    min_size=1, max_size=6,
)  # fmt: skip
COLUMNS = (
    "service, instance, client_id, key_id, method, endpoint, path, query, duration_us, bytes_in, address, user_agent, "
    "request_id, status, coalesce(error, ''), bytes_out, calls"
)


def owner(database_url: str) -> psycopg.Connection[Any]:
    return psycopg.connect(database_url, autocommit=True)


def entry_of(entry_id: str, records: Sequence[AuditRecord]) -> StreamEntry:
    return StreamEntry(entry_id, len(records), msgspec.msgpack.encode(records))


def stored(connection: Any) -> list[tuple[Any, ...]]:
    microseconds = "(extract(epoch FROM at) * 1000000)::bigint"
    found: list[tuple[Any, ...]] = connection.execute(f"SELECT 1, {microseconds}, {COLUMNS} FROM audit_logs").fetchall()
    return found


@given(first=RECORDS, second=RECORDS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_column_holds_what_the_record_says(
    database_url: str, first: list[AuditRecord], second: list[AuditRecord]
) -> None:
    sink = AuditSink(DayPartitions(lambda: owner(database_url)))
    prepared = sink.prepare([entry_of("1-1", first), entry_of("1-2", second)])
    sink.make_room(prepared)
    with owner(database_url) as connection, connection.transaction(force_rollback=True):
        connection.execute("TRUNCATE audit_logs")
        assert sink.write(connection, prepared, frozenset(("1-1", "1-2")), isolate=False) == {}
        assert sorted(map(repr, stored(connection))) == sorted(
            repr(msgspec.structs.astuple(record)) for record in first + second
        )


def test_records_of_entries_that_were_stored_before_are_left_out(database_url: str) -> None:
    records = [
        AuditRecord(1, now_us(), "gateway", "g", None, None, "GET", "/", "/", "", 5, 0, "::1", "ua", name, 200, "")
        for name in ("a", "b", "c")
    ]
    sink = AuditSink(DayPartitions(lambda: owner(database_url)))
    prepared = sink.prepare([entry_of("1-1", records[:1]), entry_of("1-3", records[1:])])
    sink.make_room(prepared)
    with owner(database_url) as connection:
        assert sink.write(connection, prepared, frozenset(("1-3",)), isolate=False) == {}
        assert sorted(connection.execute("SELECT request_id FROM audit_logs").fetchall()) == [("b",), ("c",)]


def test_a_time_that_no_day_has_fails_its_record_alone(database_url: str) -> None:
    far_us = 2**62
    records = [
        AuditRecord(1, at_us, "gateway", "g", None, None, "GET", "/", "/", "", 5, 0, "::1", "ua", name, 200, "")
        for at_us, name in ((now_us(), "a"), (far_us, "b"), (now_us(), "c"))
    ]
    sink = AuditSink(DayPartitions(lambda: owner(database_url)))
    prepared = sink.prepare([entry_of("1-3", records)])
    with owner(database_url) as connection:
        failures = sink.write(connection, prepared, frozenset(("1-3",)), isolate=True)
        assert sorted(connection.execute("SELECT request_id FROM audit_logs").fetchall()) == [("a",), ("c",)]
    assert [msgspec.json.decode(failure.payload, type=AuditRecord).request_id for failure in failures["1-3"]] == ["b"]
