"""Redis and PostgreSQL in containers, through testcontainers."""

import os
import time
from collections.abc import Callable, Mapping

import psycopg
import redis

from deploy.embedded.local_address import free_port

REDIS_IMAGE = "redis:8.2"
POSTGRES_IMAGE = "postgres:18"
PASSWORD = "only-for-tests"
READY_SECONDS = 60.0
PULL_SECONDS = 180

# The reaper is one more image to have; the fixtures stop what they start.
os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")


def docker_obstacle() -> str | None:
    """Why containers of both images cannot be started here; None if they really can.

    An engine without images and without a registry answers a ping too, so this starts both.
    """
    import docker

    try:
        client = docker.from_env(timeout=PULL_SECONDS)
        client.ping()
        for image, program in ((REDIS_IMAGE, "redis-server"), (POSTGRES_IMAGE, "postgres")):
            client.containers.run(image, [program, "--version"], remove=True)
    except Exception as error:  # noqa: BLE001  # whatever it is, it is the obstacle
        return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no reason given'}"
    return None


class ContainerServer:
    """A container with a host port chosen beforehand: Docker would choose another one at each restart."""

    def __init__(
        self, image: str, inner_port: int, *, command: str = "", environment: Mapping[str, str] | None = None
    ) -> None:
        from testcontainers.core.container import DockerContainer

        self.port = free_port()
        self._container = DockerContainer(image, env=dict(environment or {})).with_bind_ports(inner_port, self.port)
        if command:
            self._container.with_command(command)

    url = ""

    def _ping(self) -> None:
        raise NotImplementedError

    def start(self) -> None:
        self._container.start()
        wait_until_it_answers(self._ping)

    def stop(self) -> None:
        self._container.stop()

    def kill(self) -> None:
        self._container.get_wrapped_container().kill("SIGKILL")

    def restart(self) -> None:
        self._container.get_wrapped_container().restart()
        wait_until_it_answers(self._ping)

    def ensure_running(self) -> None:
        container = self._container.get_wrapped_container()
        container.reload()
        if container.status != "running":
            self.restart()


class RedisContainer(ContainerServer):
    def __init__(self) -> None:
        command = f"redis-server --appendonly yes --save '' --requirepass {PASSWORD}"
        super().__init__(REDIS_IMAGE, 6379, command=command)
        self.url = f"redis://:{PASSWORD}@127.0.0.1:{self.port}/0"

    @property
    def version(self) -> str:
        return redis_version(self.url)

    def _ping(self) -> None:
        with redis.Redis.from_url(self.url) as client:
            client.ping()


class PostgresContainer(ContainerServer):
    def __init__(self) -> None:
        environment = {"POSTGRES_PASSWORD": PASSWORD, "POSTGRES_DB": "weir"}
        super().__init__(POSTGRES_IMAGE, 5432, environment=environment)
        self.url = f"postgresql://postgres:{PASSWORD}@127.0.0.1:{self.port}/weir"

    @property
    def version(self) -> str:
        return postgres_version(self.url)

    def _ping(self) -> None:
        psycopg.connect(self.url, connect_timeout=2).close()


def redis_version(url: str) -> str:
    with redis.Redis.from_url(url) as client:
        told = client.info("server")
    return f"Valkey {told['valkey_version']}" if "valkey_version" in told else f"Redis {told['redis_version']}"


def postgres_version(url: str) -> str:
    with psycopg.connect(url, connect_timeout=5) as connection:
        number = connection.info.server_version
    return f"PostgreSQL {number // 10_000}.{number % 10_000}"


def wait_until_it_answers(ping: Callable[[], None]) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while True:
        try:
            return ping()
        except (redis.RedisError, psycopg.OperationalError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
