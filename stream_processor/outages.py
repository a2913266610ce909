"""Which servers the loops of a processor wait for, and the last error: for the metrics and for who asks by status."""

import threading
from typing import Final

from prometheus_client import Counter, Gauge

from shared.masking import mask_secrets
from shared.processor_status import ProcessorState

_STATES: Final = {
    "redis": ProcessorState.WAITING_FOR_REDIS,
    "postgresql": ProcessorState.WAITING_FOR_POSTGRESQL,
}
_MAX_ERROR: Final = 300


class Outages:
    """Told by every loop; safe for several threads."""

    def __init__(self, gauge: Gauge, *, retries: Counter | None = None) -> None:
        self._gauge = gauge
        self._retries = retries
        self._lock = threading.Lock()
        self._waiting: set[tuple[str, str]] = set()
        self.last_error = ""
        self._halted = False

    def begin(self, stream: str, server: str, error: Exception) -> None:
        """A loop waits for a server; may be told again and again."""
        with self._lock:
            self._waiting.add((stream, server))
        self._gauge.labels(stream, server).set(1)
        if self._retries is not None:
            self._retries.labels(stream, server).inc()
        self.note(error)

    def end(self, stream: str, server: str) -> None:
        """The server answered that loop."""
        with self._lock:
            self._waiting.discard((stream, server))
        self._gauge.labels(stream, server).set(0)

    def halt(self, error: Exception) -> None:
        """A loop ends for good."""
        self._halted = True
        self.note(error)

    def note(self, error: Exception) -> None:
        """Keep it as the last error."""
        self.last_error = mask_secrets(f"{type(error).__name__}: {' '.join(str(error).split())}")[:_MAX_ERROR]

    @property
    def state(self) -> ProcessorState:
        """What the processor is at, as far as the loops know."""
        if self._halted:
            return ProcessorState.HALTED
        with self._lock:
            servers = {server for _, server in self._waiting}
        return next((state for server, state in _STATES.items() if server in servers), ProcessorState.RUNNING)
