"""A server's process: started so that it never outlives us, stopped within a deadline."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from deploy.embedded import death_signal
from deploy.embedded.death_signal import die_with_parent
from deploy.embedded.lasting_thread import LastingThread
from deploy.embedded.server_user import ServerUser

__all__ = ["ChildProcess", "Launch", "die_with_parent", "last_lines", "run_to_end"]

LOG_LIMIT_BYTES = 10_000_000

_children = LastingThread()  # the one place that forks


@dataclass(frozen=True)
class Launch:
    """What to run, as whom, and how it is told to stop.

    `death_signal` is what the kernel sends it when we are gone, however we went. `inherited_fds` stay open in
    it. `stdin` is written to its standard input, where `ps` does not show it.
    """

    arguments: Sequence[str | Path]
    user: ServerUser
    log: Path
    death_signal: signal.Signals
    inherited_fds: tuple[int, ...] = ()
    stdin: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)


class ChildProcess:
    """One running server process, in a session of its own: a terminal's Ctrl-C reaches us alone, and we decide
    in which order things stop. It sees none of our environment, which holds secrets.
    """

    def __init__(self, launch: Launch) -> None:
        """Start it. Returns once the process exists, which is before it is the server."""
        self._process = _children.run(lambda: _popen(launch))

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; -N after signal N."""
        return self._process.poll()

    def send(self, sig: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(sig)

    def wait(self, seconds: float) -> bool:
        """Wait for its end; whether it came in time."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def stop(self, sig: signal.Signals, deadline_seconds: float) -> None:
        """Ask with `sig`, wait, and kill what is still there at the deadline."""
        self.send(sig)
        if not self.wait(deadline_seconds):
            self.kill()

    def kill(self) -> None:
        """SIGKILL the process and those of its group, and reap it."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def run_to_end(launch: Launch, deadline_seconds: float) -> int:
    """Run a program that ends by itself and return its exit code; one that takes too long is killed."""
    process = _children.run(lambda: _popen(launch))
    try:
        return process.wait(deadline_seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return process.wait()


def last_lines(log: Path, count: int = 3) -> str:
    """The end of a server's log, in one line, for an error message."""
    if not log.exists():
        return ""
    return " | ".join(log.read_text("utf-8", "replace").splitlines()[-count:])


def _popen(launch: Launch) -> subprocess.Popen[str]:
    first_program = [sys.executable, "-I", "-S", death_signal.__file__]
    identity = map(str, (os.getpid(), int(launch.death_signal), launch.user.uid, launch.user.gid))
    if launch.log.exists() and launch.log.stat().st_size > LOG_LIMIT_BYTES:
        launch.log.replace(launch.log.with_name(f"{launch.log.name}.1"))
    with launch.log.open("ab") as log:
        process = subprocess.Popen(
            [*first_program, *identity, *map(str, launch.arguments)],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd="/",
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C", **launch.environment},
            encoding="utf-8",
            pass_fds=launch.inherited_fds,
            start_new_session=True,
        )
    assert process.stdin is not None  # noqa: S101  (for the type checker; we asked for a pipe)
    # A program that has ended already breaks the pipe; whoever waits for it to be ready reports that.
    with contextlib.suppress(BrokenPipeError), process.stdin:
        process.stdin.write(launch.stdin)
    return process
