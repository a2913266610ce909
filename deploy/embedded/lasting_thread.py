"""A thread that lives as long as the process, to start children from."""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

Result = TypeVar("Result")


class LastingThread:
    """Runs calls one after the other in one daemon thread, and waits for each.

    The kernel's "parent" of a death signal is the thread that forked: a server started from a passing thread
    (an executor's, an event loop's) would be killed when that thread ends, its process alive and well. The
    thread is made at the first call, and again in a process that was forked from ours.
    """

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    def run(self, call: Callable[[], Result]) -> Result:
        """Blocks until `call` has run; returns what it returns and raises what it raises."""
        outcome: Future[Result] = Future()

        def settle() -> None:
            try:
                outcome.set_result(call())
            except BaseException as error:  # noqa: BLE001  (it is raised again, in the thread that asked)
                outcome.set_exception(error)

        self._ensure_thread()
        self._calls.put(settle)
        return outcome.result()

    def _ensure_thread(self) -> None:
        with self._starting:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._serve, name="child-processes", daemon=True)
                self._thread.start()

    def _serve(self) -> None:
        while True:
            self._calls.get()()
