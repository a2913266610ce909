"""A Redis or Valkey server on loopback, with every write in an append-only file."""

from collections.abc import Mapping
from pathlib import Path
from signal import SIGTERM, Signals
from typing import ClassVar

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from deploy.embedded import binaries
from deploy.embedded.child_process import ChildProcess, Launch
from deploy.embedded.embedded_server import EmbeddedServer
from deploy.embedded.local_address import SocketDirectory
from deploy.embedded.secret_file import kept_secret
from deploy.embedded.server_user import ServerUser

SOCKET_NAME = "redis.sock"
PROBE_SECONDS = 2.0

# Understood alike by Redis 7.0 and later and by Valkey. Without the preamble the append-only file is plain
# commands, so each of them loads what another has written.
SETTINGS: Mapping[str, str] = {
    "bind": "127.0.0.1",
    "protected-mode": "yes",
    "unixsocketperm": "700",
    "daemonize": "no",
    "appendonly": "yes",
    "appendfsync": "everysec",
    "aof-use-rdb-preamble": "no",
    "save": "",
    "maxmemory-policy": "noeviction",
    # What it rewrites is gone soon after it came, so a rewrite spares the next start some replay, at a core's second.
    "auto-aof-rewrite-min-size": "256mb",
}
# The wheel's Valkey uses the C library's allocator. What UNLINK frees in the background (a generation of the early
# filter: hundreds of thousands of small pieces) goes to its fast bins, which the main thread then merges at one
# stroke: a call that takes 50 to 115 ms. Without fast bins, the thread that frees a piece merges it.
_ENVIRONMENT: Mapping[str, str] = {"GLIBC_TUNABLES": "glibc.malloc.mxfast=0"}


class EmbeddedRedis(EmbeddedServer):
    """Valkey from its wheel, or the server whose program is given; its data lies in `directory`.

    What it acknowledged survives its own death at any moment, and all but the last second survives the
    machine's. Its settings, password included, go in through standard input: neither `ps` nor a file shows them.
    """

    name: ClassVar[str] = "Redis"
    stop_signal: ClassVar[Signals] = SIGTERM

    def __init__(
        self,
        directory: Path,
        *,
        binary: Path | None = None,
        port: int = 0,
        extra_config: Mapping[str, str] | None = None,
    ) -> None:
        """Nothing starts yet. Port 0 takes a free one; `extra_config` are settings as in redis.conf."""
        super().__init__(directory, port)
        self._binary = binary
        self._extra_config = dict(extra_config or {})
        self._sockets = SocketDirectory(self.directory, SOCKET_NAME, self.directory / "socket_directory")
        self._socket: Path | None = None

    @property
    def url(self) -> str:
        """redis://:password@127.0.0.1:port/0"""
        return f"redis://:{self._password}@127.0.0.1:{self.port}/0"

    @property
    def unix_url(self) -> str:
        """unix://:password@/path?db=0; only while it runs."""
        return f"unix://:{self._password}@{self._socket}?db=0"

    @property
    def version(self) -> str:
        """`Valkey 9.1.2` or `Redis 8.2.3`. Asks the running server."""
        with self._client() as client:
            told = client.info("server")
        if "valkey_version" in told:
            return f"Valkey {told['valkey_version']}"
        return f"Redis {told['redis_version']}"

    @property
    def _password(self) -> str:
        return kept_secret(self.directory / "password")

    def _prepare(self) -> None:
        user = ServerUser.ourselves()
        self._socket = self._sockets.prepare(user.uid, user.gid) / SOCKET_NAME

    def _spawn(self) -> ChildProcess:
        return ChildProcess(
            Launch(
                [binaries.redis_server(self._binary), "-"],
                user=ServerUser.ourselves(),
                log=self.log,
                death_signal=SIGTERM,
                inherited_fds=(self._lock.inherited_fd,),
                stdin=self._config(),
                environment=_ENVIRONMENT,
            )
        )

    def _config(self) -> str:
        place = {
            "dir": str(self.directory),
            "port": str(self.port),
            "unixsocket": str(self._socket),
            "requirepass": self._password,
        }
        settings = {**SETTINGS, **place, **self._extra_config}
        return "".join(f"{name} {_quoted(value)}\n" for name, value in settings.items())

    def _is_ready(self) -> bool:
        try:
            with self._client() as client:
                return bool(client.ping())
        except (redis.ConnectionError, redis.TimeoutError):  # the former also says that it is still loading
            return False

    def _client(self) -> redis.Redis:
        # Through the socket, which is ours for certain; a TCP port might answer for somebody else.
        return redis.Redis(
            unix_socket_path=str(self._socket),
            password=self._password,
            socket_timeout=PROBE_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )

    def _clear(self) -> None:
        self._sockets.clear()


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
