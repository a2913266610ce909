"""An embedded server under `weir up`: started again when it has ended, so that a crash is an outage of a second."""

import time
from collections.abc import Callable

from deploy.embedded.embedded_server import EmbeddedServer
from deploy.embedded.errors import ServerStartError
from deploy.fleet.crashes import Crashes


class KeptServer:
    """Comes back with its port, passwords and data, so the services find it again by themselves."""

    def __init__(self, server: EmbeddedServer) -> None:
        self._server = server
        self._crashes = Crashes(server.name)
        self._start_at = 0.0

    def keep_up(self, is_stopping: Callable[[], bool]) -> str | None:
        """Call often; what happened, in words, or None. Blocks while the server recovers, unless `is_stopping`.

        Raises HaltError when it crashed too often.
        """
        if self._server.running or time.monotonic() < self._start_at:
            return None
        began = time.monotonic()
        try:
            pause_seconds = self._crashes.add(f"without a word; its log is {self._server.log}")
            self._server.start(is_stopping)
        except ServerStartError as error:
            self._start_at = time.monotonic() + pause_seconds
            return str(error)
        return f"{self._server.name} had ended and is started again, in {time.monotonic() - began:.1f} s"
