"""A producer that does what the design asks of one: it sends the same ids again until it gets an answer."""

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2
import psycopg

from tests.waiting import eventually
from tests.weir_up import WeirUp

BATCH = 20
PAUSE_SECONDS = 0.02


class Producer:
    """Sends batches one after the other, from a thread of its own."""

    def __init__(self, up: WeirUp, prefix: str) -> None:
        self.sent: set[str] = set()
        self.accepted: set[str] = set()
        self.prefix = prefix
        self._up = up
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(15)
        assert not self._thread.is_alive()

    def has_more(self, count: int = 5 * BATCH) -> None:
        """Returns when so many more were accepted."""
        wanted = len(self.accepted) + count
        eventually(lambda: len(self.accepted) >= wanted, within_seconds=20, what="events flow")

    def _run(self) -> None:
        for number in itertools.count():
            ids = [f"{self.prefix}-{number}-{place}" for place in range(BATCH)]
            self.sent.update(ids)
            while not self._send(ids):
                if self._stopping.wait(PAUSE_SECONDS):
                    return
            self.accepted.update(ids)
            if self._stopping.wait(PAUSE_SECONDS):
                return

    def _send(self, ids: list[str]) -> bool:
        try:
            return self._up.post(*({"event_id": name, "event_type": "n", "payload": {}} for name in ids)).is_success
        except httpx2.HTTPError:
            return False


@contextmanager
def producing(up: WeirUp, prefix: str) -> Iterator[Producer]:
    """Events flow until the block ends."""
    producer = Producer(up, prefix)
    producer.start()
    try:
        producer.has_more()
        yield producer
    finally:
        producer.stop()


def assert_nothing_lost_or_twice(up: WeirUp, producer: Producer) -> None:
    """Every accepted event is stored, none twice, none failed, and the rollups count what is there."""
    with psycopg.connect(up.servers["database_url"], autocommit=True) as connection:

        def stored() -> list[str]:
            rows = connection.execute("SELECT event_id FROM events WHERE event_id LIKE %s", [f"{producer.prefix}-%"])
            return [row[0] for row in rows]

        eventually(lambda: producer.accepted <= set(stored()), within_seconds=20, what="all accepted are stored")
        found = stored()
        assert len(found) == len(set(found))
        assert set(found) <= producer.sent
        assert connection.execute("SELECT count(*) FROM failed_events").fetchone() == (0,)
        counts = "SELECT (SELECT count(*) FROM events), (SELECT sum(events) FROM rollup_events_minute)"
        row = connection.execute(counts).fetchone()
        assert row is not None
        assert row[0] == row[1]
