"""The servers under a fleet: embedded ones, or those that DATABASE_URL and REDIS_URL name; migrated and ready."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deploy.embedded.postgres_server import EmbeddedPostgres
from deploy.embedded.redis_server import EmbeddedRedis
from deploy.endpoints import ROLES, Endpoints, resolve_endpoints
from deploy.migrations import migrate
from deploy.servers_file import RunningServers, remove_servers_file, write_servers_file
from shared.settings import Settings

_REDIS_STOP_SECONDS: Final = 2.0
_POSTGRES_STOP_SECONDS: Final = 3.0


@dataclass(frozen=True)
class ServersUp:
    """Where everything is, and what was started here, in words."""

    endpoints: Endpoints
    started: tuple[str, ...]


@contextmanager
def servers_up(settings: Settings) -> Iterator[ServersUp]:
    """Start what is not given, apply the migrations, and make it known to other commands for as long as this lasts.

    Raises EmbeddedServerError, Outage, SchemaError.
    """
    data_dir = settings.data_dir.absolute()
    with ExitStack() as stack:
        started: list[str] = []
        redis_url = settings.redis_url or _start_redis(settings, data_dir, stack, started)
        role_urls: dict[str, str] = {}
        if settings.database_url is None:
            postgres = _start_postgres(settings, data_dir, stack, started)
            database_url = postgres.url
            migrate(database_url)
            role_urls = {name: postgres.ensure_login(role) for name, role in ROLES.items()}
        else:
            database_url = settings.database_url
            migrate(database_url)
            given = Endpoints(settings, None)
            role_urls = {name: str(getattr(given, name)) for name in ROLES}
        write_servers_file(data_dir, RunningServers(os.getpid(), redis_url, database_url, **role_urls))
        stack.callback(remove_servers_file, data_dir)
        yield ServersUp(resolve_endpoints(settings), tuple(started))


def _start_redis(settings: Settings, data_dir: Path, stack: ExitStack, started: list[str]) -> str:
    server = EmbeddedRedis(data_dir / "redis", binary=settings.redis_binary)
    server.start()
    stack.callback(server.stop, _REDIS_STOP_SECONDS)
    started.append(server.version)
    return server.url


def _start_postgres(settings: Settings, data_dir: Path, stack: ExitStack, started: list[str]) -> EmbeddedPostgres:
    server = EmbeddedPostgres(data_dir / "postgres", bin_dir=settings.postgres_bin_dir)
    server.start()
    stack.callback(server.stop, _POSTGRES_STOP_SECONDS)
    started.append(server.version)
    return server
