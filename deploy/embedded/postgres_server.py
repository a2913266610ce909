"""A PostgreSQL server on loopback, as durable as a production one, sized for a small machine."""

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from signal import SIGINT, Signals
from typing import ClassVar, Final
from urllib.parse import quote

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

from deploy.embedded import binaries, postgres_cluster
from deploy.embedded.child_process import ChildProcess, Launch
from deploy.embedded.embedded_server import EmbeddedServer
from deploy.embedded.errors import RoleMissingError
from deploy.embedded.local_address import SocketDirectory
from deploy.embedded.postgres_cluster import SUPERUSER, Cluster
from deploy.embedded.secret_file import kept_secret
from deploy.embedded.server_user import ServerUser, reachable_programs

DATABASE = "weir"
SOCKET_NAME = ".s.PGSQL.65535.lock"  # the longest it makes

_NICENESS: Final = 5
"""It shares the machine with the gateway, for whose answers producers wait."""

SETTINGS: Mapping[str, str] = {
    "fsync": "on",
    "synchronous_commit": "on",
    "wal_level": "replica",
    "shared_buffers": "256MB",
    "wal_buffers": "64MB",
    "max_wal_size": "4GB",  # bulk loads would otherwise force a checkpoint every few seconds
    "min_wal_size": "512MB",
    "checkpoint_timeout": "15min",
    "max_connections": "100",
    "jit": "off",
    "timezone": "UTC",
    "unix_socket_permissions": "0700",
    # One file a weekday, overwritten a week later. Terse and without statements: those hold users' data.
    "logging_collector": "on",
    "log_directory": "log",
    "log_filename": "postgresql-%a.log",
    "log_rotation_age": "1d",
    "log_rotation_size": "0",
    "log_truncate_on_rotation": "on",
    "log_timezone": "UTC",
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
}


class EmbeddedPostgres(EmbeddedServer):
    """PostgreSQL from its wheel, or from the given folder of programs; its cluster lies in `directory`.

    The first start makes the cluster and the database `weir` (about 1 s). As root it runs as `nobody`, or as the
    owner of a cluster that is there already; `server_user` tells how that user reaches it below a closed folder.
    """

    name: ClassVar[str] = "PostgreSQL"
    stop_signal: ClassVar[Signals] = SIGINT  # "fast": sessions are ended, a checkpoint is written

    def __init__(
        self,
        directory: Path,
        *,
        bin_dir: Path | None = None,
        port: int = 0,
        extra_config: Mapping[str, str] | None = None,
        user: str = "nobody",
    ) -> None:
        """Nothing starts yet. Port 0 takes a free one; `extra_config` are settings as in postgresql.conf."""
        super().__init__(directory, port)
        self._bin_dir = bin_dir
        self._extra_config = dict(extra_config or {})
        self._user_name = user
        self.copied_programs: Path | None = None
        self._cluster: Cluster | None = None
        self._folder = self.directory / postgres_cluster.FOLDER
        self._sockets = SocketDirectory(self._folder, SOCKET_NAME, self.directory / "socket_directory")
        self._socket_folder = self._folder

    @property
    def url(self) -> str:
        """postgresql://postgres:password@127.0.0.1:port/weir: the superuser, who owns the database."""
        return self._url_of(SUPERUSER)

    @property
    def unix_url(self) -> str:
        """The same through the Unix socket; only while it runs."""
        folder = quote(str(self._socket_folder), safe="")
        return f"postgresql://{SUPERUSER}:{self._password(SUPERUSER)}@/{DATABASE}?host={folder}&port={self.port}"

    @property
    def version(self) -> str:
        """`PostgreSQL 18.6`. Asks the running server."""
        with self._connect(DATABASE) as connection:
            number = connection.info.server_version
        return f"PostgreSQL {number // 10_000}.{number % 10_000}"

    def ensure_login(self, role: str) -> str:
        """Let `role`, made by the migrations, log in with a password of its own; returns its URL.

        The password is made once and kept, mode 0600, so the URL stays the same. The server is given only its
        SCRAM verifier. Raises RoleMissingError.
        """
        with self._connect(DATABASE) as connection:
            if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone():
                raise RoleMissingError(role)
            verifier = connection.pgconn.encrypt_password(
                self._password(role).encode(), role.encode(), b"scram-sha-256"
            ).decode()
            statement = sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}")
            connection.execute(statement.format(sql.Identifier(role), sql.Literal(verifier)))
        return self._url_of(role)

    def _password(self, role: str) -> str:
        return kept_secret(self.directory / f"password.{quote(role, safe='')}")

    def _url_of(self, role: str) -> str:
        login = f"{quote(role, safe='')}:{self._password(role)}"
        return f"postgresql://{login}@127.0.0.1:{self.port}/{DATABASE}"

    def _connect(self, database: str) -> psycopg.Connection[TupleRow]:
        return psycopg.connect(
            host=str(self._socket_folder),
            port=self.port,
            dbname=database,
            user=SUPERUSER,
            password=self._password(SUPERUSER),
            autocommit=True,
            connect_timeout=10,
        )

    def _prepare(self) -> None:
        user = ServerUser.for_postgres(self._user_name, owner_of=self._folder)
        programs = reachable_programs(binaries.postgres_bin_dir(self._bin_dir), user)
        self.copied_programs = programs.copied_to or self.copied_programs
        self._cluster = Cluster(self.directory, user, programs.bin_dir, self.log)
        self._cluster.ensure(self._password(SUPERUSER))
        self._cluster.clear_pid_file()
        self._socket_folder = self._sockets.prepare(user.uid, user.gid)

    def _spawn(self) -> ChildProcess:
        assert self._cluster is not None  # noqa: S101  (_prepare came before)
        with self._cluster.opened() as (fd, folder):
            sockets = folder if self._socket_folder == self._folder else self._socket_folder
            settings = {**SETTINGS, **self._extra_config}
            arguments: list[str | Path] = [
                *(self._cluster.programs / "postgres", "-D", folder / postgres_cluster.DATA),
                *("-h", "127.0.0.1", "-p", str(self.port), "-k", sockets),
                *(part for name, value in settings.items() for part in ("-c", f"{name}={value}")),
            ]
            inherited = (fd, self._lock.inherited_fd)
            child = ChildProcess(Launch(arguments, self._cluster.user, self.log, SIGINT, inherited))
            with suppress(ProcessLookupError):  # it may have failed already, as _wait_until_ready tells
                os.setpriority(os.PRIO_PROCESS, child.pid, _NICENESS)
            return child

    def _is_ready(self) -> bool:
        return self._cluster is not None and self._cluster.is_ready(self.pid)

    def _on_ready(self) -> None:
        with self._connect("postgres") as connection:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))

    def _clear(self) -> None:
        self._sockets.clear()

    def _last_words(self) -> str:
        return self._cluster.last_words() if self._cluster else super()._last_words()
