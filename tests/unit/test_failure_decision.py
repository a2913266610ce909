"""What a failed write means: the table of FIELD_NOTES, state by state."""

import psycopg
import pytest
from psycopg import errors

from shared.errors import DataError
from stream_processor.failure_decision import Decision, decide

RETRY, ISOLATE, HALT = Decision.RETRY, Decision.ISOLATE, Decision.HALT

STATES = {
    "08000": RETRY, "08001": RETRY, "08003": RETRY, "08006": RETRY, "08P01": RETRY,
    "53000": RETRY, "53100": RETRY, "53200": RETRY, "53300": RETRY,
    "57014": RETRY, "57P01": RETRY, "57P02": RETRY, "57P03": RETRY, "57P05": RETRY,
    "40001": RETRY, "40P01": RETRY, "55P03": RETRY, "25006": RETRY, "25P03": RETRY, "58030": RETRY,
    "22001": ISOLATE, "22003": ISOLATE, "22008": ISOLATE, "22021": ISOLATE, "22P02": ISOLATE, "22P05": ISOLATE,
    "23502": ISOLATE, "23505": ISOLATE, "54000": ISOLATE, "54001": ISOLATE,
    "28000": HALT, "28P01": HALT, "3D000": HALT, "42501": HALT, "42601": HALT, "42703": HALT, "42P01": HALT,
    "42804": HALT, "42883": HALT, "0A000": HALT, "23503": HALT, "XX000": HALT, "XX001": HALT,
}  # fmt: skip


def error_of(sqlstate: str) -> psycopg.Error:
    return errors.lookup(sqlstate)(f"as {sqlstate}")


@pytest.mark.parametrize(("sqlstate", "decision"), STATES.items())
def test_a_state_decides(sqlstate: str, decision: Decision) -> None:
    assert decide(error_of(sqlstate)) is decision


def test_a_row_without_a_partition_asks_for_one() -> None:
    # a CHECK constraint has the same state and a name: tests/integration/test_isolation.py
    assert decide(error_of("23514")) is Decision.MAKE_PARTITION


@pytest.mark.parametrize(
    "error",
    [
        psycopg.OperationalError("server closed the connection unexpectedly"),
        psycopg.errors.ConnectionTimeout("connection timeout expired"),
    ],
)
def test_a_connection_that_breaks_or_times_out_is_an_outage(error: Exception) -> None:
    assert decide(error) is RETRY


@pytest.mark.parametrize(
    "error",
    [
        psycopg.DataError("PostgreSQL text fields cannot contain NUL (0x00) bytes"),
        UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed"),
        OverflowError("date value out of range"),
    ],
)
def test_what_the_client_cannot_encode_is_the_events_fault(error: Exception) -> None:
    assert decide(error) is ISOLATE


@pytest.mark.parametrize(
    "error",
    [
        TypeError("an error of our own"),
        KeyError("another"),
        DataError("invalid_data", "raised too late"),
        psycopg.ProgrammingError("the query has 2 placeholders but 1 parameters were passed"),
        psycopg.InterfaceError("misuse"),
    ],
)
def test_an_error_of_our_own_halts(error: Exception) -> None:
    assert decide(error) is HALT


def test_an_unknown_state_halts() -> None:
    class UnknownState(psycopg.DatabaseError):
        sqlstate = "ZZ999"

    assert decide(UnknownState()) is HALT
