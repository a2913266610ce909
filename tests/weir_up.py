"""`weir up` as a process of its own, seen as its users see it: what it prints, its ports, its processes."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx2

from deploy.embedded.local_address import free_port
from shared.settings import Settings, environment_name
from tests import processes
from tests.waiting import eventually

PROJECT = Path(__file__).parents[1]
WEIR = (sys.executable, "-m", "deploy")
READY_SECONDS = 30.0  # what a busy machine may take; a test of its own holds the promise of 15
STOP_SECONDS = 10.0
DEATH_SECONDS = 2.0


def plain_environment(**more: str) -> dict[str, str]:
    """The environment without Weir's settings and without make: a test that runs under either sees neither."""
    known = {environment_name(name) for name in Settings.model_fields}
    kept = {name: value for name, value in os.environ.items() if name not in known and not name.startswith("WEIR_")}
    return {name: value for name, value in kept.items() if not name.startswith(("MAKE", "MFLAGS"))} | more


class WeirUp:
    """Started as often as a test likes, always on the same data directory and ports."""

    def __init__(
        self,
        data_dir: Path,
        *,
        settings: Mapping[str, str] | None = None,
        command: Sequence[str] = WEIR,
        user: str | None = None,
        working_dir: Path = PROJECT,
    ) -> None:
        self.data_dir = data_dir
        self.gateway_port, self.analytics_port = free_port(), free_port()
        self.gateway = f"http://127.0.0.1:{self.gateway_port}"
        self.analytics = f"http://127.0.0.1:{self.analytics_port}"
        self.environment = plain_environment(
            WEIR_DATA_DIR=str(data_dir),
            WEIR_GATEWAY_PORT=str(self.gateway_port),
            WEIR_ANALYTICS_PORT=str(self.analytics_port),
            **(settings or {}),
        )
        self.key = ""
        self.process: subprocess.Popen[bytes] | None = None
        self._command = command
        self._user = user
        self._working_dir = working_dir
        self._out = data_dir.with_name(f"{data_dir.name}.out")
        self._errors = data_dir.with_name(f"{data_dir.name}.err")

    def launch(self, *command: str) -> None:
        """Start it, or `command` in its place, and return at once."""
        with self._out.open("wb") as out, self._errors.open("wb") as errors:
            self.process = subprocess.Popen(
                command or (*self._command, "up"),
                stdout=out, stderr=errors, env=self.environment, cwd=self._working_dir, start_new_session=True,
                user=self._user, group="nogroup" if self._user else None, extra_groups=[] if self._user else None,
            )  # fmt: skip

    def start(self, *command: str) -> float:
        """Start it and wait until it is up; the seconds that took."""
        began = time.monotonic()
        self.launch(*command)
        self.wait_until_up()
        return time.monotonic() - began

    def wait_until_up(self) -> None:
        """Up is what the contract calls up, and greeted."""
        try:
            eventually(self._is_up, within_seconds=READY_SECONDS)
        except AssertionError as error:
            raise AssertionError(f"it is not up: {self.output} {self.errors} {self._logs()}") from error
        found = re.search(r"first key  (weir_\S+)", self.output)
        self.key = found[1] if found else self.key

    def ensure_up(self) -> None:
        """Start it if an earlier test left it down."""
        if self.process is None or self.process.poll() is not None:
            self.start()

    def _is_up(self) -> bool:
        assert self.pid, "it ended"
        return "weir keys create" in self.output and self.is_ready(self.gateway) and self.is_ready(self.analytics)

    def is_ready(self, address: str) -> bool:
        try:
            return httpx2.get(f"{address}/readyz", timeout=2).status_code == 200
        except httpx2.HTTPError:
            return False

    @property
    def pid(self) -> int:
        """Of the process we started; 0 when it has ended."""
        return self.process.pid if self.process is not None and self.process.poll() is None else 0

    @property
    def output(self) -> str:
        return self._out.read_text() if self._out.exists() else ""

    @property
    def errors(self) -> str:
        return self._errors.read_text()

    def _logs(self) -> dict[str, str]:
        return {log.name: log.read_text()[-1000:] for log in self.data_dir.glob("logs/*.log")}

    @property
    def servers(self) -> dict[str, Any]:
        """What other commands find."""
        found: dict[str, Any] = json.loads((self.data_dir / "servers.json").read_bytes())
        return found

    def processes(self) -> list[int]:
        """Everything alive that works on the data directory, whoever its parent is."""
        return [pid for pid in processes.of_folder(self.data_dir) if pid != os.getpid()]

    def find(self, words: str) -> int:
        """The one process whose command line holds `words`."""
        found = [pid for pid in self.processes() if words in processes.command_line(pid)]
        assert len(found) == 1, (words, found)
        return found[0]

    def interrupt(self) -> None:
        """As Ctrl-C in a terminal does: SIGINT to the whole group."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGINT)

    def wait(self, within_seconds: float) -> int:
        """Its exit code."""
        assert self.process is not None
        return self.process.wait(within_seconds)

    def kill(self) -> None:
        """kill -9 of what we started, and of nothing else."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def all_gone(self, within_seconds: float) -> None:
        eventually(lambda: not self.processes(), within_seconds=within_seconds, what="no process is left")

    def stop(self) -> None:
        """Ctrl-C, and what is promised of it."""
        self.interrupt()
        assert self.wait(STOP_SECONDS) == 0, self.errors
        assert not self.processes()

    def close(self) -> None:
        """However the test ended, nothing stays."""
        if self.process is not None:
            self.kill()
            self.all_gone(30)

    def weir(self, *arguments: str) -> Any:
        """What another command with the same WEIR_DATA_DIR prints as JSON."""
        done = subprocess.run(
            [*self._command, *arguments, "--json"],
            capture_output=True, text=True, env=self.environment, cwd=self._working_dir, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def post(self, *events: dict[str, Any], wait_seconds: int = 0) -> httpx2.Response:
        headers = {"X-API-Key": self.key} | ({"Prefer": f"wait={wait_seconds}"} if wait_seconds else {})
        return httpx2.post(f"{self.gateway}/api/v1/events/batch", json={"events": events}, headers=headers, timeout=40)

    def get(self, path: str, key: str = "", **parameters: str) -> Any:
        headers = {"X-API-Key": key or self.key}
        answer = httpx2.get(f"{self.analytics}/api/v1/{path}", params=parameters, headers=headers, timeout=10)
        assert answer.status_code == 200, answer.text
        return answer.json()
