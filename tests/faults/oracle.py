"""Whether every promise held: what the producers know, against what is stored."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import orjson
from psycopg import Connection
from psycopg.rows import TupleRow

from tests.faults import poison, recounts
from tests.faults.attempts import digest
from tests.faults.scene import Scene
from tests.faults.secret_search import find_secrets

_SHOWN = 5


@dataclass
class Verdict:
    """The figures of a run, and one sentence for each promise that was broken."""

    figures: dict[str, int] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)

    def expect_none(self, what: str, found: list[str]) -> None:
        """`found` are examples of a broken promise."""
        if found:
            shown = ", ".join(name.replace("\0", "/") for name in found[:_SHOWN])
            self.violations.append(f"{what}: {len(found)} ({shown}{', …' if len(found) > _SHOWN else ''})")

    def expect(self, holds: bool, sentence: str) -> None:
        if not holds:
            self.violations.append(sentence)


def judge(scene: Scene) -> Verdict:
    """The producers have ended, and the system has had its time to drain."""
    verdict = Verdict()
    with scene.database() as connection:
        connection.execute("SET default_transaction_isolation = 'repeatable read'")
        with connection.transaction():
            stored, twice, wrong, unknown = _compare_rows(scene, connection)
            failed = _failed(connection)
            dropped = {f"{row.client_id}\0{row.event_id}" for row in scene.losses.rows}
            verdict.expect_none("stored twice", twice)
            verdict.expect_none("stored with a payload that was not the first accepted one", wrong)
            verdict.expect_none("stored, though nobody sent it, or it was refused", unknown)
            verdict.expect_none("stored and failed", sorted(stored & failed))
            verdict.expect_none("acknowledged and lost", list(_lost(scene, stored | failed | dropped)))
            verdict.expect_none("not stored, though 200 said so", sorted(scene.log.said_stored - stored - dropped))
            verdict.expect_none("failed, though nothing is wrong with it", [n for n in failed if not _is_poison(n)])
            verdict.expect_none("stored, though it is poison", [name for name in stored if _is_poison(name)])
            for sentence in recounts.differences(connection, scene.losses):
                verdict.violations.append(sentence)
            for sentence in recounts.imbalance(connection, scene):
                verdict.violations.append(sentence)
            _check_audit(scene, connection, verdict)
    for stream, (entries, added, settled) in scene.backlog().items():
        verdict.expect(
            not entries and added == settled,
            f"stream {stream} is not empty: {entries} entries, {added} added, {settled} settled",
        )
    verdict.expect_none("a secret stands in the open", find_secrets(scene))
    verdict.figures |= {
        "attempts": scene.log.attempts,
        "requests": len(scene.log.requests),
        "acknowledged": scene.log.acknowledged,
        "of these known to be stored by a 200": len(scene.log.said_stored),
        "stored": len(stored) + len(dropped),
        "failed": len(failed),
        "lost with Redis's data": len(scene.losses.events - stored - failed),
    }
    return verdict


def _is_poison(name: str) -> bool:
    return name.startswith(f"{poison.CLIENT}\0{poison.FAILS}")


def _compare_rows(scene: Scene, connection: Connection[TupleRow]) -> tuple[set[str], list[str], list[str], list[str]]:
    """All that is stored; and of these what is there twice, has the wrong payload, and may not be there at all."""
    stored: set[str] = set()
    twice, wrong, unknown = [], [], []
    for client_id, event_id, payload in _rows(connection):
        name = f"{client_id}\0{event_id}"
        if name in stored:
            twice.append(name)
        stored.add(name)
        history = scene.log.history(name)
        if history is None or not history.sent:
            unknown.append(name)
        elif digest(orjson.loads(payload)) not in (
            history.sent if name in scene.losses.events else history.may_be_stored
        ):
            wrong.append(name)
    return stored, twice, wrong, unknown


def _rows(connection: Connection[TupleRow]) -> Iterator[TupleRow]:
    with connection.cursor(name="oracle") as cursor:
        cursor.itersize = 20_000
        cursor.execute("SELECT client_id, event_id, payload::text FROM events")
        yield from cursor


def _failed(connection: Connection[TupleRow]) -> set[str]:
    return {
        f"{client}\0{event}" for client, event in connection.execute("SELECT client_id, event_id FROM failed_events")
    }


def _lost(scene: Scene, found: set[str]) -> Iterator[str]:
    for name, history in scene.log.histories():
        if history.acknowledged and name not in found and name not in scene.losses.events:
            yield name


def _records(connection: Connection[TupleRow], request_id: str) -> str:
    rows = connection.execute(
        "SELECT concat_ws(' ', to_char(at, 'HH24:MI:SS.US'), instance, path, status, error, duration_us) "
        "FROM audit_logs WHERE request_id = %s ORDER BY id",
        [request_id],
    ).fetchall()
    return "; ".join(text for (text,) in rows)


def _check_audit(scene: Scene, connection: Connection[TupleRow], verdict: Verdict) -> None:
    """Every answered request once, with its status; one without an answer at most once.

    A 503 may be the answer of a gateway that cannot reach Redis: it has no record, or a later one; and the request
    itself may have been carried out and recorded as such. A 200 was recorded when the events were accepted: as 202.
    """
    recorded: dict[str, Counter[int]] = {}
    query = "SELECT request_id, status, count(*) FROM audit_logs WHERE request_id LIKE 'fault-%' GROUP BY 1, 2"
    for request_id, status, count in connection.execute(query.encode()):
        recorded.setdefault(request_id, Counter())[202 if status == 200 else status] += count
    missing, twice, other = [], [], []
    for request_id, status in scene.log.requests.items():
        counts = recorded.pop(request_id, Counter())
        answered = 202 if status == 200 else status
        if max(counts.values(), default=0) > 1:
            twice.append(f"{request_id} ({status}, recorded {_records(connection, request_id)})")
        if 0 < answered < 500 and not counts[answered] and request_id not in scene.losses.requests:
            missing.append(f"{request_id} ({status})")
        if 0 < answered < 500 and len(counts) > 1:
            other.append(f"{request_id} ({status}, recorded {sorted(counts)})")
    verdict.figures["audited"] = sum(1 for status in scene.log.requests.values() if 0 < status < 500)
    verdict.expect_none("answered, and not in the audit log", missing)
    verdict.expect_none("in the audit log twice", twice)
    verdict.expect_none("in the audit log with another status too", other)
    verdict.expect_none("in the audit log, though never sent", sorted(recorded))
