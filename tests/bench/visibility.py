"""An independent witness: sends an event now and then, and asks PostgreSQL for it until it is there."""

import secrets
import threading
import time

import httpx2
import psycopg

from tests.bench.stack import Stack

_EVERY_SECONDS = 0.1
_ASK_SECONDS = 0.002
_LIMIT_SECONDS = 30.0


class VisibilityProbe:
    """Measures from the gateway's answer to the first query that finds the row: no clock of Weir's is trusted."""

    def __init__(self, stack: Stack) -> None:
        self._client = httpx2.Client(base_url=stack.gateway_url, headers={"X-API-Key": stack.key})
        self._connection = psycopg.connect(stack.postgres.url, autocommit=True)
        self._found_ms: list[float] = []

    def run(self, stop: threading.Event) -> None:
        """One event after the other until `stop`. An event that does not come within 30 s counts as 30 s."""
        while not stop.wait(_EVERY_SECONDS):
            self._found_ms.append(self._one() * 1000)

    def taken(self) -> list[float]:
        """The times since the last call, in ms."""
        taken, self._found_ms = self._found_ms, []
        return taken

    def _one(self) -> float:
        event_id = f"probe-{secrets.token_hex(8)}"
        event = {"event_id": event_id, "event_type": "bench.probe", "payload": {"probe": True}}
        answer = self._client.post("/api/v1/events/ingest", json=event)
        answered = time.perf_counter()
        assert answer.status_code == 202, f"the gateway answered {answer.status_code} to a probe"
        while not self._is_there(event_id) and time.perf_counter() - answered < _LIMIT_SECONDS:
            time.sleep(_ASK_SECONDS)
        return time.perf_counter() - answered

    def _is_there(self, event_id: str) -> bool:
        query = (
            "SELECT 1 FROM event_ids JOIN events USING (client_id, event_id, occurred_at) "
            "WHERE event_ids.client_id = 'bench' AND event_ids.event_id = %s"
        )
        return self._connection.execute(query, [event_id]).fetchone() is not None
