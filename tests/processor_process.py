"""`weir processor run` as a process of its own, to be signalled and killed."""

import os
import signal
import subprocess
import sys
import tempfile
from types import TracebackType
from typing import Self


class ProcessorProcess:
    """Ended, if need be by SIGKILL, when the block ends."""

    def __init__(self, redis_url: str, database_url: str, **settings: object) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  open for as long as the process may write
        kept = {name: value for name, value in os.environ.items() if not name.startswith("WEIR_")}
        given = {name: str(value) for name, value in settings.items()}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "deploy", "processor", "run"],
            env={**kept, "REDIS_URL": redis_url, "DATABASE_URL": database_url, **given},
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        self.kill()

    @property
    def log(self) -> str:
        """What it has said so far."""
        self._log.flush()
        return os.pread(self._log.fileno(), 10**7, 0).decode()

    @property
    def exit_code(self) -> int | None:
        return self._process.poll()

    @property
    def ready(self) -> bool:
        """Whether it has begun to serve."""
        return "processor.started" in self.log

    def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()
        self._process.wait()

    def terminate(self) -> None:
        self._process.send_signal(signal.SIGTERM)

    def wait(self, seconds: float) -> int:
        """Its exit code; raises subprocess.TimeoutExpired if it goes on for longer."""
        return self._process.wait(seconds)
