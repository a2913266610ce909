"""The life of a server in a directory: start, stop, kill, start again. What it is, its subclasses say."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from signal import Signals
from typing import ClassVar, Self

from deploy.embedded.child_process import ChildProcess, last_lines
from deploy.embedded.directory_lock import DirectoryLock
from deploy.embedded.errors import EmbeddedServerError, ServerStartError
from deploy.embedded.local_address import free_port, port_is_free

# Redis loads its whole append-only file, and PostgreSQL replays up to max_wal_size, before they are ready.
READY_SECONDS = 300.0
# What a server left behind by a killed supervisor may take to stop.
LEFT_BEHIND_SECONDS = 30.0
POLL_SECONDS = 0.01
PORT_ATTEMPTS = 5


class EmbeddedServer(ABC):
    """One server, owned by this process. Blocking; not to be shared between threads."""

    name: ClassVar[str]
    stop_signal: ClassVar[Signals]

    def __init__(self, directory: Path, port: int) -> None:
        self.directory = directory.absolute()
        self.port = port
        self._port_is_ours_to_choose = port == 0
        self._lock = DirectoryLock(self.directory)
        self._child: ChildProcess | None = None

    def start(self, is_stopping: Callable[[], bool] = lambda: False) -> None:
        """Returns when the server answers. Does nothing if it runs already.

        Keeps the port of an earlier start of this object, so clients find it again. Raises DirectoryInUseError if
        another process runs a server here, ServerStartError if it ended, or was not ready in 300 s or before
        `is_stopping`, which is asked all the time.
        """
        if self.running:
            return
        self._forget()
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock.acquire(LEFT_BEHIND_SECONDS)
            self._prepare()
            self._start_on_a_port(is_stopping)
            self._port_is_ours_to_choose = False
        except OSError as error:
            self.kill()
            raise EmbeddedServerError(f"{self.name} in {self.directory}: {error}") from error
        except BaseException:
            self.kill()
            raise

    def stop(self, deadline_seconds: float = 5.0) -> None:
        """Stop cleanly; kill it at the deadline, which loses nothing either. Does nothing if it has stopped."""
        if self._child is not None and self.running:
            self._child.stop(self.stop_signal, deadline_seconds)
        self._forget()

    def kill(self) -> None:
        """SIGKILL, as a crash would. Does nothing if it has stopped."""
        if self._child is not None:
            self._child.kill()
        self._forget()

    def restart(self) -> None:
        """Stop, if it runs, and start with the same port, passwords and data."""
        self.stop()
        self.start()

    @property
    def running(self) -> bool:
        """Whether our process of it exists."""
        return self._child is not None and self._child.exit_code is None

    @property
    def pid(self) -> int:
        """Of the running server; raises RuntimeError if it does not run."""
        if self._child is None or not self.running:
            raise RuntimeError(f"{self.name} in {self.directory} is not running")
        return self._child.pid

    @property
    @abstractmethod
    def version(self) -> str:
        """Its name and version, as it tells them: `Valkey 9.1.2`."""

    @property
    @abstractmethod
    def url(self) -> str:
        """With the password, over TCP."""

    @property
    def log(self) -> Path:
        """What it wrote to its standard output and error."""
        return self.directory / f"{self.name.lower()}.log"

    @abstractmethod
    def _prepare(self) -> None:
        """Make what must be there before the process starts. The directory is locked."""

    @abstractmethod
    def _spawn(self) -> ChildProcess:
        """Start it on `self.port`."""

    @abstractmethod
    def _is_ready(self) -> bool:
        """Whether it answers now."""

    def _on_ready(self) -> None:  # noqa: B027  (most need nothing)
        """What to do once it answers, at every start."""

    def _clear(self) -> None:  # noqa: B027
        """Remove what must not outlive the process. Called while it does not run, also when it never did."""

    def _last_words(self) -> str:
        return last_lines(self.log)

    def _start_on_a_port(self, is_stopping: Callable[[], bool]) -> None:
        for attempt in range(1, PORT_ATTEMPTS + 1):
            self.port = self.port or free_port()
            self._child = self._spawn()
            try:
                self._wait_until_ready(is_stopping)
                return self._on_ready()
            except ServerStartError:
                taken = self._port_is_ours_to_choose and not port_is_free(self.port)
                if not taken or attempt == PORT_ATTEMPTS:
                    raise
                self.port = 0
        return None

    def _wait_until_ready(self, is_stopping: Callable[[], bool]) -> None:
        assert self._child is not None  # noqa: S101  (called after it was made)
        deadline = time.monotonic() + READY_SECONDS
        reason = ""
        while not reason:
            if self._child.exit_code is not None:
                reason = f"it ended with code {self._child.exit_code}"
            elif self._is_ready():
                return
            elif time.monotonic() > deadline:
                reason = f"not ready after {READY_SECONDS:.0f} s"
            elif is_stopping():
                reason = "it was told to stop before it was ready"
            time.sleep(POLL_SECONDS)
        raise ServerStartError(self.name, reason, self.log, self._last_words())

    def _forget(self) -> None:
        self._child = None
        if self._lock.held:
            self._clear()
            self._lock.release()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
