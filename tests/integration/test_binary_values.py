"""Values that are encoded by hand come back from a real PostgreSQL as they were."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stream_processor import copy_binary as binary
from stream_processor.binary_array import int2_array, int4_array, int8_array, text_array, timestamptz_array

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
COLUMNS = "t text, n text, j jsonb, at timestamptz, i2 smallint, i4 int, i8 bigint"
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60)
# what JSON can say and both sides understand alike: no NUL, no surrogates, numbers that a float holds
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
)
TIMES = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001
few = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def microseconds(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)


@given(
    st.lists(
        st.tuples(
            TEXT, st.none() | TEXT, JSON, TIMES,
            st.integers(-(2**15), 2**15 - 1), st.integers(0, 2**32 - 1), st.integers(-(2**63), 2**63 - 1),
        ),
        min_size=1, max_size=8,
    )
)  # fmt: skip
@few
def test_copied_rows_come_back_equal(database_url: str, sent: list[tuple[Any, ...]]) -> None:
    encoded = [
        b"".join(
            (
                binary.column_count(7), binary.text(text), binary.text_or_null(optional),
                binary.jsonb(json.dumps(document, ensure_ascii=False).encode()), binary.timestamptz(microseconds(at)),
                binary.int2(small), binary.int4(crc), binary.int8(large),
            )
        )
        for text, optional, document, at, small, crc, large in sent
    ]  # fmt: skip
    with psycopg.connect(database_url) as connection:
        connection.execute(f"CREATE TEMP TABLE copied ({COLUMNS}) ON COMMIT DROP".encode())
        with connection.cursor().copy("COPY copied FROM STDIN (FORMAT BINARY)") as copy:
            copy.write(b"".join((binary.HEADER, *encoded, binary.TRAILER)))
        connection.execute("SET TIME ZONE 'UTC'")
        found = connection.execute("SELECT * FROM copied").fetchall()
    assert found == [(*row[:5], binary.signed(row[5]), row[6]) for row in sent]


@given(st.lists(st.tuples(TEXT, TIMES, st.integers(0, 2**32 - 1)), max_size=10))
@few
def test_arrays_come_back_equal(database_url: str, sent: list[tuple[str, datetime, int]]) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("SET TIME ZONE 'UTC'")
        (found,) = connection.execute(
            "SELECT %b::text[], %b::timestamptz[], %b::int4[]",
            (
                text_array([binary.text(text) for text, _, _ in sent]),
                timestamptz_array(microseconds(at) for _, at, _ in sent),
                int4_array(crc for _, _, crc in sent),
            ),
        ).fetchall()
    assert found == ([text for text, _, _ in sent], [at for _, at, _ in sent], [binary.signed(crc) for *_, crc in sent])


@given(st.lists(st.tuples(st.integers(-(2**15), 2**15 - 1), st.integers(-(2**63), 2**63 - 1)), max_size=10))
@few
def test_arrays_of_numbers_come_back_equal(database_url: str, sent: list[tuple[int, int]]) -> None:
    small, large = [number for number, _ in sent], [number for _, number in sent]
    with psycopg.connect(database_url) as connection:
        asked = "SELECT %b::int2[], %b::int8[]"
        (found,) = connection.execute(asked, (int2_array(small), int8_array(large))).fetchall()
    assert found == (small, large)


@pytest.mark.parametrize("crc", [0, 1, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF])
def test_an_unsigned_checksum_wraps_and_back(crc: int) -> None:
    assert binary.signed(crc) % 2**32 == crc
