"""A gateway or a processor as a real process, to be killed, stopped in its tracks, and started again."""

import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from deploy.embedded.child_process import ChildProcess, Launch, last_lines
from deploy.embedded.server_user import ServerUser

_DRAIN_SECONDS = 20.0


class Service:
    """``weir ARGUMENTS``. It is expected to run from ``start`` until ``stop`` or ``kill``."""

    def __init__(self, name: str, arguments: list[str], environment: Mapping[str, str], folder: Path) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self._arguments = arguments
        self._environment = environment
        self._child: ChildProcess | None = None

    def start(self, **more: str) -> None:
        """Start it, with more settings than it has; does nothing while it runs."""
        if self.running:
            return
        path = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        self._child = ChildProcess(
            Launch(
                [sys.executable, "-P", "-m", "deploy", *self._arguments],
                user=ServerUser.ourselves(),
                log=self.log,
                death_signal=signal.SIGKILL,
                environment={**path, **self._environment, **more},
            )
        )

    @property
    def running(self) -> bool:
        return self._child is not None and self._child.exit_code is None

    @property
    def exit_code(self) -> int | None:
        """Of the last process; None while it runs, and before there was one."""
        return None if self._child is None else self._child.exit_code

    @property
    def ended_by_itself(self) -> str | None:
        """What a process that should run said last; None when all is well."""
        if self._child is None or self._child.exit_code is None:
            return None
        return f"{self.name} ended with code {self._child.exit_code}: {last_lines(self.log)}"

    def signal(self, number: signal.Signals) -> None:
        assert self._child is not None
        self._child.send(number)

    def wait(self, seconds: float) -> bool:
        assert self._child is not None
        return self._child.wait(seconds)

    def kill(self) -> None:
        """As a crash."""
        if self._child is not None:
            self._child.kill()
        self._child = None

    def stop(self) -> bool:
        """Ask it to end; whether it drained in time."""
        if self._child is None:
            return True
        self._child.send(signal.SIGTERM)
        drained = self._child.wait(_DRAIN_SECONDS)
        self.kill()
        return drained
