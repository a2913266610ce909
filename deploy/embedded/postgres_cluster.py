"""The files of a PostgreSQL cluster: made once, owned by the user the server runs as."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from signal import SIGTERM

from deploy.embedded.child_process import Launch, last_lines, run_to_end
from deploy.embedded.errors import ServerStartError
from deploy.embedded.secret_file import write_private
from deploy.embedded.server_user import ServerUser

SUPERUSER = "postgres"
FOLDER = "server"  # the one folder that belongs to the server's user; the cluster is `data` in it
DATA = "data"
INITDB_SECONDS = 120.0


@dataclass(frozen=True)
class Cluster:
    """The cluster in `directory`, for a server run as `user` from the folder `programs`."""

    directory: Path
    user: ServerUser
    programs: Path
    log: Path

    @property
    def folder(self) -> Path:
        """What the server's user owns: the cluster, and the socket if its path is short enough."""
        return self.directory / FOLDER

    @contextmanager
    def opened(self) -> Iterator[tuple[int, Path]]:
        """A descriptor of the folder for a child to inherit, and the name by which the child reaches it."""
        fd = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            yield fd, self.user.reach(self.folder, fd)
        finally:
            os.close(fd)

    def ensure(self, password: str) -> None:
        """Make the cluster if there is none. It is made aside and then renamed, so it is whole or absent."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        self.user.own(self.folder)
        if (self.folder / DATA).exists():
            return
        draft, password_file = self.folder / "data.new", self.folder / "password"
        shutil.rmtree(draft, ignore_errors=True)
        write_private(password_file, password)
        self.user.own(password_file)
        try:
            self._initdb(draft.name, password_file.name)
        finally:
            password_file.unlink()
        draft.rename(self.folder / DATA)

    def _initdb(self, draft: str, password_file: str) -> None:
        with self.opened() as (fd, folder):
            arguments: list[str | Path] = [
                *(self.programs / "initdb", "-D", folder / draft, "-U", SUPERUSER, "-E", "UTF8"),
                *("--no-instructions", "-A", "scram-sha-256", f"--pwfile={folder / password_file}", "--locale=C"),
                *self._locale_provider(),
            ]
            launch = Launch(arguments, self.user, self.log, death_signal=SIGTERM, inherited_fds=(fd,))
            code = run_to_end(launch, INITDB_SECONDS)
        if code != 0:
            raise ServerStartError("PostgreSQL", f"initdb ended with code {code}", self.log, last_lines(self.log))

    def _locale_provider(self) -> tuple[str, ...]:
        """Full Unicode without the system's locales, where PostgreSQL brings it (17 and later); else plain C."""
        told = subprocess.run([self.programs / "postgres", "--version"], capture_output=True, text=True, check=True)
        major = re.search(r"\d+", told.stdout)
        if major is None or int(major[0]) < 17:
            return ()
        return ("--locale-provider=builtin", "--builtin-locale=C.UTF-8")

    def clear_pid_file(self) -> None:
        """Remove what a killed server left. The caller holds the directory's lock, so no server of ours lives.

        PostgreSQL checks the process id in the file, and refuses to start when any process of its user has that
        id by now, as happens in every restarted container. Against a server that someone started by hand, its
        shared memory, which is found by the cluster's inode, still protects it.
        """
        (self.folder / DATA / "postmaster.pid").unlink(missing_ok=True)

    def is_ready(self, pid: int) -> bool:
        """Whether the server `pid` has written that it takes connections (as pg_ctl asks)."""
        try:
            lines = os.fsdecode((self.folder / DATA / "postmaster.pid").read_bytes()).split("\n")
        except FileNotFoundError:
            return False
        return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"

    def last_words(self) -> str:
        """The end of what the server logged, wherever it had come to."""
        logs = sorted((self.folder / DATA / "log").glob("*.log"), key=lambda log: log.stat().st_mtime)
        return " | ".join(filter(None, (last_lines(self.log), *map(last_lines, logs[-1:]))))
