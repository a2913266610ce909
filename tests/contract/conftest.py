"""One gateway for all these tests, and the ones that a few of them need for themselves."""

import secrets
from collections.abc import Iterator

import psycopg
import pytest

from tests.conftest import with_database
from tests.gateway_process import GatewayUnderTest, redis_database, running_gateway
from tests.servers import RunningServer

BODY_SECONDS = 1.0


@pytest.fixture(scope="package")
def gateway_database_url(postgres_server: RunningServer, _template_database: str) -> Iterator[str]:
    postgres_server.ensure_running()
    name = f"weir_contract_{secrets.token_hex(4)}"
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {_template_database}")  # type: ignore[arg-type]
    yield with_database(postgres_server.url, name)
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[arg-type]


@pytest.fixture(scope="package")
def gateway(
    redis_server: RunningServer, gateway_database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayUnderTest]:
    """Without limits, and with short deadlines for headers and bodies."""
    redis_server.ensure_running()
    folder, redis_url = tmp_path_factory.mktemp("gateway"), redis_database(redis_server.url, 1)
    with running_gateway(
        folder, gateway_database_url, redis_url, WEIR_BODY_TIMEOUT_SECONDS=str(BODY_SECONDS)
    ) as running:
        yield running
