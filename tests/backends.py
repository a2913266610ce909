"""Three ways to the same servers: given by URL, in containers, or embedded. A way that was forced never gives in."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.embedded.postgres_server import EmbeddedPostgres
from deploy.embedded.redis_server import EmbeddedRedis
from tests.docker_servers import (
    PostgresContainer,
    RedisContainer,
    docker_obstacle,
    postgres_version,
    redis_version,
)
from tests.servers import EmbeddedUnderTest, ExternalServer, RunningServer

WAYS = ("auto", "docker", "embedded", "external")
REDIS_VARIABLE, POSTGRES_VARIABLE = "TEST_REDIS_URL", "TEST_DATABASE_URL"


@dataclass(frozen=True)
class Backend:
    """The way taken, and why."""

    way: str
    reason: str

    @contextmanager
    def redis(self, directory: Path) -> Iterator[RunningServer]:
        with ExitStack() as stack:
            if self.way == "external":
                url = os.environ[REDIS_VARIABLE]
                yield ExternalServer(url, redis_version(url))
            elif self.way == "docker":
                container = RedisContainer()
                stack.callback(container.stop)
                container.start()
                yield container
            else:
                yield EmbeddedUnderTest(stack.enter_context(EmbeddedRedis(directory)))

    @contextmanager
    def postgres(self, directory: Path) -> Iterator[RunningServer]:
        with ExitStack() as stack:
            if self.way == "external":
                url = os.environ[POSTGRES_VARIABLE]
                yield ExternalServer(url, postgres_version(url))
            elif self.way == "docker":
                container = PostgresContainer()
                stack.callback(container.stop)
                container.start()
                yield container
            else:
                yield EmbeddedUnderTest(stack.enter_context(EmbeddedPostgres(directory)))


def choose_backend(asked: str) -> Backend:
    """The way to take for `--backend=asked`. Raises LookupError if it was forced and cannot be had."""
    missing = [name for name in (REDIS_VARIABLE, POSTGRES_VARIABLE) if not os.environ.get(name)]
    if asked == "embedded":
        return Backend("embedded", "asked for")
    if asked == "external":
        if missing:
            raise LookupError(f"--backend=external needs {' and '.join(missing)}")
        return Backend("external", "asked for")
    if asked == "auto" and not missing:
        return Backend("external", f"{REDIS_VARIABLE} and {POSTGRES_VARIABLE} are set")
    obstacle = docker_obstacle()
    if obstacle is None:
        return Backend("docker", "asked for" if asked == "docker" else "Docker starts both images")
    if asked == "docker":
        raise LookupError(f"--backend=docker: Docker cannot start the images here ({obstacle})")
    return Backend("embedded", f"no Docker: {obstacle[:80]}")
