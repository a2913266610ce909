"""The servers under a fleet: embedded ones, or those that DATABASE_URL and REDIS_URL name; migrated and ready."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deploy.connections import sync_redis
from deploy.embedded.embedded_server import EmbeddedServer
from deploy.embedded.postgres_server import EmbeddedPostgres
from deploy.embedded.redis_server import EmbeddedRedis
from deploy.endpoints import ROLES, Endpoints, analytics_url, gateway_url, resolve_endpoints
from deploy.fleet.kept_server import KeptServer
from deploy.fleet.left_entries import release_left_entries
from deploy.migrations import migrate
from deploy.servers_file import RunningServers, remove_servers_file, write_servers_file
from shared.settings import Settings

IsStopping = Callable[[], bool]

_REDIS_ANSWER_SECONDS: Final = 5.0
_REDIS_STOP_SECONDS: Final = 1.0
_POSTGRES_STOP_SECONDS: Final = 2.0


@dataclass(frozen=True)
class ServersUp:
    """Where everything is; and what was started here, which has to be kept up."""

    endpoints: Endpoints
    versions: tuple[str, ...]
    kept: tuple[KeptServer, ...]
    copied_programs: Path | None
    """Where this start put a copy of PostgreSQL's programs: the one thing outside of the data directory."""

    def keep_up(self, is_stopping: IsStopping) -> list[str]:
        """Start again what has ended; what happened, in words. Raises HaltError when one crashes again and again."""
        return [news for server in self.kept if (news := server.keep_up(is_stopping)) is not None]


@contextmanager
def servers_up(settings: Settings, is_stopping: IsStopping) -> Iterator[ServersUp]:
    """Start what is not given, apply the migrations, and make it known to other commands for as long as this lasts.

    A start that lasts ends early, with ServerStartError, when `is_stopping`.
    Raises EmbeddedServerError, Outage, SchemaError.
    """
    data_dir = settings.data_dir.absolute()
    with ExitStack() as stack:
        started: list[EmbeddedServer] = []

        def start(server: EmbeddedServer, stop_seconds: float) -> None:
            server.start(is_stopping)
            stack.callback(server.stop, stop_seconds)
            started.append(server)

        redis_url, copied_programs = settings.redis_url, None
        if redis_url is None:
            redis = EmbeddedRedis(
                data_dir / "redis", binary=settings.redis_binary, extra_config=_redis_config(settings)
            )
            start(redis, _REDIS_STOP_SECONDS)
            redis_url = redis.url
            # nobody but this fleet uses this server, and no processor of it runs yet
            with sync_redis(redis_url, _REDIS_ANSWER_SECONDS) as client:
                release_left_entries(client, settings.stream_shards, settings.claim_idle_seconds)
        if settings.database_url is None:
            postgres = EmbeddedPostgres(data_dir / "postgres", bin_dir=settings.postgres_bin_dir)
            start(postgres, _POSTGRES_STOP_SECONDS)
            database_url, copied_programs = postgres.url, postgres.copied_programs
            migrate(database_url)
            role_urls = {name: postgres.ensure_login(role) for name, role in ROLES.items()}
        else:
            database_url = settings.database_url
            migrate(database_url)
            given = Endpoints(settings, None)
            role_urls = {name: str(getattr(given, name)) for name in ROLES}
        fronts = {"gateway_url": gateway_url(settings), "analytics_url": analytics_url(settings)}
        running = RunningServers(os.getpid(), redis_url, database_url, **role_urls, **fronts)
        write_servers_file(data_dir, running)
        stack.callback(remove_servers_file, data_dir)
        versions = tuple(server.version for server in started)
        yield ServersUp(resolve_endpoints(settings), versions, tuple(map(KeptServer, started)), copied_programs)


def _redis_config(settings: Settings) -> dict[str, str]:
    # a backlog that nobody stores must end in refusals, not in the kernel's killing of Redis
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    config = {"maxmemory": str(memory_bytes // 2)}
    if settings.durability == "fsync":
        config["appendfsync"] = "always"  # who waits for the disk would else wait for the fsync of the next second
    return config
