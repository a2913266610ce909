"""One service process of the fleet: started, started again when it crashes, stopped within a deadline."""

import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from deploy.embedded.child_process import ChildProcess, Launch, last_lines
from deploy.embedded.server_user import ServerUser
from deploy.fleet.crashes import Crashes


class ServiceProcess:
    """A ``weir … run`` of this data directory, which imports from where we do.

    Dies with us by SIGKILL: every service is built to survive that.
    """

    def __init__(self, name: str, arguments: list[str], environment: Mapping[str, str], log_folder: Path) -> None:
        self.name = name
        self.log = log_folder / f"{name}.log"
        self._launch = Launch(
            # -P: its working directory is /, and whatever lies there is not ours to import.
            arguments=[sys.executable, "-P", "-m", "deploy", *arguments],
            user=ServerUser.ourselves(),
            log=self.log,
            death_signal=signal.SIGKILL,
            environment={**environment, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        self._child: ChildProcess | None = None
        self._crashes = Crashes(name)
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

        Raises HaltError when it crashed too often.
        """
        if self._child is None:
            if time.monotonic() < self._start_at:
                return None
            self.start()
            return f"{self.name} is started again"
        code = self._child.exit_code
        if code is None:
            return None
        self._child = None
        pause_seconds = self._crashes.add(f"with code {code}; its log is {self.log} and ends: {last_lines(self.log)}")
        self._start_at = time.monotonic() + pause_seconds
        words = last_lines(self.log, 1)
        quoted = f": {words}" if words and code > 0 else ""
        return f"{self.name} ended with code {code}; again in {pause_seconds:.1f} s (log: {self.log}){quoted}"

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
