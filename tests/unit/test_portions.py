"""How much is written at a time after PostgreSQL refused more."""

import psycopg
import pytest

from stream_processor.failure_decision import may_be_too_much
from stream_processor.portions import LARGEST, REFUSALS, PortionSize


def refuse(size: PortionSize, entries: int) -> list[bool]:
    return [size.refused(entries) for _ in range(REFUSALS)]


def test_nothing_is_cut_while_all_goes_well() -> None:
    size = PortionSize()
    size.written(1000)
    assert size.of(5000) == 5000


def test_what_is_refused_several_times_is_halved_down_to_one_entry_and_no_further() -> None:
    size = PortionSize()
    entries, tried = 5, []
    for _ in range(4):
        refuse(size, entries)
        entries = size.of(5)
        tried.append(entries)
    assert tried == [2, 1, 1, 1]


def test_only_refusals_in_a_row_count() -> None:
    size = PortionSize()
    assert not size.refused(8)
    size.written(8)
    assert [size.refused(8) for _ in range(REFUSALS)] == [False] * (REFUSALS - 1) + [True]


def test_it_grows_again_with_what_is_written() -> None:
    size = PortionSize()
    refuse(size, 8)
    assert size.of(8) == 4
    size.written(1)  # a remainder says nothing
    assert size.of(8) == 4
    size.written(4)
    assert size.of(8) == 8
    while size.of(LARGEST) < LARGEST:
        size.written(size.of(LARGEST))
    assert size.of(10 * LARGEST) == 10 * LARGEST


@pytest.mark.parametrize(
    ("error", "too_much"),
    [
        (psycopg.errors.QueryCanceled, True),
        (psycopg.errors.OutOfMemory, True),
        (psycopg.errors.DiskFull, True),
        (psycopg.errors.TooManyConnections, False),
        (psycopg.errors.DeadlockDetected, False),
        (psycopg.OperationalError, False),
    ],
)
def test_only_time_memory_and_room_are_a_matter_of_size(error: type[psycopg.Error], too_much: bool) -> None:
    assert may_be_too_much(error()) is too_much
