"""Producers that post batch after batch, each with the same ids until it is accepted."""

import itertools
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Final

import httpx2

from tests.gateway_process import GatewayUnderTest, new_event
from tests.waiting import eventually

BATCH_EVENTS: Final = 10
_SLOW_SECONDS: Final = 60.0


class SteadyProducer:
    """One client's. ``statuses`` are those of all answers; 0 for none."""

    def __init__(self, gateway: GatewayUnderTest, client_id: str, key: str) -> None:
        self.client_id = client_id
        self.accepted: list[str] = []
        self.statuses: list[int] = []
        self._gateway = gateway
        self._key = key
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def has_more(self, events: int = 10 * BATCH_EVENTS) -> None:
        """Returns when so many more are accepted."""
        wanted = len(self.accepted) + events
        eventually(
            lambda: len(self.accepted) >= wanted, within_seconds=_SLOW_SECONDS, what=f"{self.client_id} is served"
        )

    def is_answered(self, status: int) -> None:
        """Returns when one more request was answered so."""
        wanted = self.statuses.count(status) + 1
        eventually(
            lambda: self.statuses.count(status) >= wanted,
            within_seconds=_SLOW_SECONDS, what=f"{self.client_id} is answered {status}",
        )  # fmt: skip

    @contextmanager
    def running(self) -> Iterator[None]:
        self._thread.start()
        try:
            yield
        finally:
            self._stopping.set()
            self._thread.join(30)
            assert not self._thread.is_alive()

    def _run(self) -> None:
        for number in itertools.count():
            ids = [f"{self.client_id}-{number}-{place}" for place in range(BATCH_EVENTS)]
            while self._post(ids) != 202:
                if self._stopping.wait(0.1):
                    return
            self.accepted += ids
            if self._stopping.wait(0.01):
                return

    def _post(self, ids: list[str]) -> int:
        try:
            status = self._gateway.batch([new_event(event_id=one) for one in ids], key=self._key).status_code
        except httpx2.HTTPError:
            status = 0
        self.statuses.append(status)
        return status


@contextmanager
def producing(gateway: GatewayUnderTest, keys: Mapping[str, str]) -> Iterator[dict[str, SteadyProducer]]:
    """One producer for each client and its key, that post meanwhile."""
    producers = {client_id: SteadyProducer(gateway, client_id, key) for client_id, key in keys.items()}
    with ExitStack() as stack:
        for producer in producers.values():
            stack.enter_context(producer.running())
        yield producers
