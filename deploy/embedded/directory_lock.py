"""One server a directory: two locks, one that dies with the supervisor and one that dies with the server."""

import fcntl
import os
import time
from pathlib import Path

from deploy.embedded.errors import DirectoryInUseError

POLL_SECONDS = 0.02


class DirectoryLock:
    """Two flocks in `directory`: the supervisor's, and one that the server's processes inherit.

    Whoever finds the first one taken meets a living supervisor and is refused at once. Whoever finds only the
    second one taken comes after a supervisor that was killed with -9 and whose server is still stopping; it
    waits until the last process of that server has gone. Neither depends on process ids, which lie after a
    reboot and in containers; the one that is written down serves the message only.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._supervisor_fd: int | None = None
        self._server_fd: int | None = None

    @property
    def held(self) -> bool:
        """Whether this process is the directory's supervisor."""
        return self._supervisor_fd is not None

    @property
    def inherited_fd(self) -> int:
        """The descriptor that every process of the server must keep open; only while `held`."""
        if self._server_fd is None:
            raise RuntimeError("the directory is not locked")
        return self._server_fd

    def acquire(self, wait_seconds: float) -> None:
        """Take both locks, waiting `wait_seconds` for a server left behind, or raise DirectoryInUseError."""
        supervisor_fd = self._open("supervisor.lock")
        try:
            if not _try_lock(supervisor_fd):
                raise DirectoryInUseError(self._directory, _noted_pid(supervisor_fd))
            self._server_fd = self._lock_server(time.monotonic() + wait_seconds)
        except BaseException:
            os.close(supervisor_fd)
            raise
        os.ftruncate(supervisor_fd, 0)
        os.pwrite(supervisor_fd, str(os.getpid()).encode(), 0)
        self._supervisor_fd = supervisor_fd

    def release(self) -> None:
        """Give up both. The server's stays taken until its processes are gone too."""
        for fd in (self._server_fd, self._supervisor_fd):
            if fd is not None:
                os.close(fd)
        self._server_fd = self._supervisor_fd = None

    def _lock_server(self, deadline: float) -> int:
        fd = self._open("server.lock")
        while not _try_lock(fd):
            if time.monotonic() > deadline:
                os.close(fd)
                raise DirectoryInUseError(self._directory, None)
            time.sleep(POLL_SECONDS)
        return fd

    def _open(self, name: str) -> int:
        return os.open(self._directory / name, os.O_RDWR | os.O_CREAT, 0o600)


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _noted_pid(fd: int) -> int | None:
    text = os.pread(fd, 32, 0).decode("ascii", "replace")
    return int(text) if text.isdigit() else None
