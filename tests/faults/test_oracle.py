"""The oracle is worth something only if it notices: each promise is broken by hand, and it must say so."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.faults.attempts import Outcome, digest
from tests.faults.oracle import judge
from tests.faults.producers import MARK
from tests.faults.run import await_flow, drain
from tests.faults.scene import Scene, scene

TABLES = ("events", "rollup_events_minute", "audit_logs")
ONE = "(client_id, event_id) = (SELECT client_id, event_id FROM kept.events LIMIT 1)"
CALL = "request_id = (SELECT min(request_id) FROM kept.audit_logs WHERE request_id LIKE 'fault-%' AND status < 500)"


@pytest.fixture(scope="module")
def at_rest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """Some events are stored, and nothing is wrong."""
    with scene(tmp_path_factory.mktemp("oracle"), on_small_disks=False) as target:
        producers = target.start_producers("oracle", 500)
        await_flow(target, 500)
        producers.stop()
        broken: list[str] = []
        drain(target, broken)
        assert broken + judge(target).violations == []
        with target.database() as connection:
            connection.execute("CREATE SCHEMA kept")
            for table in TABLES:
                connection.execute(f"CREATE TABLE kept.{table} AS TABLE {table}".encode())
        yield target


@contextmanager
def damaged(target: Scene, statement: str) -> Iterator[None]:
    with target.database() as connection:
        connection.execute(statement.encode())
        try:
            yield
        finally:
            for table in TABLES:
                connection.execute(f"TRUNCATE {table}".encode())
                connection.execute(f"INSERT INTO {table} OVERRIDING SYSTEM VALUE TABLE kept.{table}".encode())


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        (f"DELETE FROM events WHERE {ONE}", "acknowledged and lost: 1"),
        (f"INSERT INTO events SELECT * FROM kept.events WHERE {ONE}", "stored twice: 1"),
        (f"UPDATE events SET payload = '{{}}' WHERE {ONE}", "not the first accepted one: 1"),
        (f"UPDATE events SET event_id = 'another' WHERE {ONE}", "though nobody sent it, or it was refused: 1"),
        ("UPDATE rollup_events_minute SET events = events + 1", "rollup_events_minute is not the recount"),
        (f"DELETE FROM audit_logs WHERE {CALL}", "not in the audit log"),
        ("INSERT INTO audit_logs OVERRIDING USER VALUE SELECT * FROM kept.audit_logs", "in the audit log twice"),
        (f"UPDATE audit_logs SET user_agent = 'it is {MARK}yes' WHERE {CALL}", "a secret stands in"),
    ],
)
def test_the_oracle_notices_a_broken_promise(at_rest: Scene, statement: str, says: str) -> None:
    with damaged(at_rest, statement):
        assert says in " ".join(judge(at_rest).violations)
    assert judge(at_rest).violations == []


def test_the_oracle_notices_that_an_acknowledged_event_is_nowhere(at_rest: Scene) -> None:
    at_rest.log.note("acme", [("never stored", digest({}))], Outcome.OK)
    assert "acknowledged and lost: 1 (acme/never stored)" in " ".join(judge(at_rest).violations)
