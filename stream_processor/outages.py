"""Which servers the loops of a processor wait for, and the last error: for the metrics and for who asks by status."""

import threading
from typing import Final

from prometheus_client import Counter, Gauge

from shared.masking import mask_secrets
from shared.processor_status import ProcessorState
from shared.redis_keys import StreamKeys

_STATES: Final = {
    "redis": ProcessorState.WAITING_FOR_REDIS,
    "postgresql": ProcessorState.WAITING_FOR_POSTGRESQL,
}
_MAX_ERROR: Final = 600
_MAX_HELD: Final = 2000


class Outages:
    """Told by every loop; safe for several threads."""

    def __init__(self, gauge: Gauge, standing_gauge: Gauge | None = None, *, retries: Counter | None = None) -> None:
        self._gauge = gauge
        self._standing_gauge = standing_gauge
        self._retries = retries
        self._lock = threading.Lock()
        self._waiting: set[tuple[str, str]] = set()
        self.last_error = ""
        self._standing: dict[StreamKeys, tuple[ProcessorState, str]] = {}

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

    def stand(self, keys: StreamKeys, state: ProcessorState, sentence: str) -> None:
        """A loop stands still, halted or paused; may be told again and again."""
        with self._lock:
            self._standing[keys] = (state, _one_line(sentence))
            self._show_standing(keys)

    def go_on(self, keys: StreamKeys) -> None:
        """That loop goes on."""
        with self._lock:
            self._standing.pop(keys, None)
            self._show_standing(keys)

    def _show_standing(self, keys: StreamKeys) -> None:
        if self._standing_gauge is not None:
            of_stream = [state for other, (state, _) in self._standing.items() if other.name == keys.name]
            for state in (ProcessorState.HALTED, ProcessorState.PAUSED):
                self._standing_gauge.labels(keys.name, state.value).set(of_stream.count(state))

    def note(self, error: Exception) -> None:
        """Keep it as the last error."""
        self.last_error = _one_line(f"{type(error).__name__}: {error}")

    @property
    def state(self) -> ProcessorState:
        """What the processor is at, as far as the loops know."""
        with self._lock:
            standing = {state for state, _ in self._standing.values()}
            servers = {server for _, server in self._waiting}
        waiting = [state for server, state in _STATES.items() if server in servers]
        by_weight = [ProcessorState.HALTED, *waiting, ProcessorState.PAUSED]
        return next((state for state in by_weight if state in standing or state in waiting), ProcessorState.RUNNING)

    @property
    def held(self) -> str:
        """Why loops stand still, those that halted first; empty when none does."""
        with self._lock:
            sentences = [sentence for _, sentence in sorted(self._standing.values())]
        return "; ".join(sentences)[:_MAX_HELD]


def _one_line(text: str) -> str:
    return mask_secrets(" ".join(text.split()))[:_MAX_ERROR]
