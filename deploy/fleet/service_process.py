"""One service process of the fleet: started, started again when it crashes, stopped within a deadline."""

import signal
import sys
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from deploy.embedded.child_process import ChildProcess, Launch, last_lines
from deploy.embedded.server_user import ServerUser
from shared.errors import HaltError

_FIRST_PAUSE_SECONDS: Final = 0.2
_LONGEST_PAUSE_SECONDS: Final = 10.0
MAX_CRASHES: Final = 6
CRASH_WINDOW_SECONDS: Final = 60.0


class ServiceProcess:
    """A ``weir … run`` of this data directory. Dies with us by SIGKILL: every service is built to survive that."""

    def __init__(self, name: str, arguments: list[str], environment: Mapping[str, str], log_folder: Path) -> None:
        self.name = name
        self.log = log_folder / f"{name}.log"
        self._launch = Launch(
            arguments=[sys.executable, "-m", "deploy", *arguments],
            user=ServerUser.ourselves(),
            log=self.log,
            death_signal=signal.SIGKILL,
            environment=environment,
        )
        self._child: ChildProcess | None = None
        self._crashes: deque[float] = deque(maxlen=MAX_CRASHES)
        self._start_at = 0.0

    def start(self) -> None:
        """Start it now."""
        self._child = ChildProcess(self._launch)

    @property
    def pid(self) -> int | None:
        """Of the running process."""
        return self._child.pid if self._child is not None and self._child.exit_code is None else None

    def keep_up(self) -> str | None:
        """Call often: starts a crashed process again, later each time; what happened, in words, or None.

        Raises HaltError when it crashed MAX_CRASHES times within CRASH_WINDOW_SECONDS.
        """
        now = time.monotonic()
        if self._child is None:
            if now < self._start_at:
                return None
            self.start()
            return f"{self.name} is started again"
        code = self._child.exit_code
        if code is None:
            return None
        self._child = None
        self._crashes.append(now)
        if len(self._crashes) == MAX_CRASHES and now - self._crashes[0] < CRASH_WINDOW_SECONDS:
            raise HaltError(
                f"{self.name} crashed {MAX_CRASHES} times within {CRASH_WINDOW_SECONDS:.0f} s, the last time with code "
                f"{code}; its log is {self.log} and ends: {last_lines(self.log)}"
            )
        pause = min(_FIRST_PAUSE_SECONDS * 2 ** (len(self._crashes) - 1), _LONGEST_PAUSE_SECONDS)
        self._start_at = now + pause
        return f"{self.name} ended with code {code}; again in {pause:.1f} s (log: {self.log})"

    def ask_to_stop(self) -> None:
        """SIGTERM: it drains."""
        if self._child is not None and self._child.exit_code is None:
            self._child.send(signal.SIGTERM)

    def wait(self, deadline: float) -> bool:
        """Wait for its end until ``deadline`` (monotonic), then kill it; whether it ended by itself."""
        if self._child is None:
            return True
        ended = self._child.wait(max(deadline - time.monotonic(), 0))
        if not ended:
            self._child.kill()
        self._child = None
        return ended
