"""Real servers for every test that asks for one, started once a session and cleaned between tests."""

import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis
from psycopg import sql

from deploy.embedded import binaries
from deploy.embedded.errors import BinaryNotFoundError
from deploy.embedded.redis_server import EmbeddedRedis
from tests.backends import WAYS, Backend, choose_backend
from tests.servers import EmbeddedUnderTest, RunningServer

BACKEND = pytest.StashKey[Backend]()

STREAM_SERVERS = {
    "valkey-9.1": binaries.valkey_server,
    "redis-8.2": binaries.falkordb_redis_server,
    "redis-7.0": binaries.system_redis_server,
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--backend",
        choices=WAYS,
        default="auto",
        help="where Redis and PostgreSQL come from; a way that is forced fails where it cannot be had",
    )


def pytest_configure(config: pytest.Config) -> None:
    try:
        config.stash[BACKEND] = choose_backend(config.getoption("--backend"))
    except LookupError as error:
        raise pytest.UsageError(str(error)) from None


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """For `-n auto`: three, as most tests wait most of their time; none on given servers, which they would share."""
    try:
        return 0 if choose_backend(config.getoption("--backend")).way == "external" else 3
    except LookupError:
        return 0  # pytest_configure says why


def pytest_report_header(config: pytest.Config) -> str:
    backend = config.stash[BACKEND]
    return f"backend: {backend.way} ({backend.reason})"


@pytest.fixture(scope="session")
def redis_server(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with pytestconfig.stash[BACKEND].redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="session")
def postgres_server(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with pytestconfig.stash[BACKEND].postgres(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture
def redis_url(redis_server: RunningServer) -> str:
    """An empty Redis: no keys, no functions."""
    redis_server.ensure_running()
    empty(redis_server.url)
    return redis_server.url


@pytest.fixture(scope="session")
def _template_database(postgres_server: RunningServer) -> Iterator[str]:
    """A database with the schema of this version, to copy from: quicker than migrating for each test."""
    from deploy.migrations import migrate

    name = f"weir_template_{secrets.token_hex(4)}"
    _execute(postgres_server.url, sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    migrate(with_database(postgres_server.url, name))
    yield name
    postgres_server.ensure_running()
    _drop(postgres_server.url, name)


@pytest.fixture
def database_url(postgres_server: RunningServer, _template_database: str) -> Iterator[str]:
    """A database of the test's own, migrated and empty; the URL is its owner's."""
    postgres_server.ensure_running()
    name = f"weir_test_{secrets.token_hex(4)}"
    copy = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
    _execute(postgres_server.url, copy.format(sql.Identifier(name), sql.Identifier(_template_database)))
    yield with_database(postgres_server.url, name)
    postgres_server.ensure_running()
    _drop(postgres_server.url, name)


@pytest.fixture(scope="session", params=STREAM_SERVERS)
def _stream_server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EmbeddedUnderTest]:
    try:
        binary: Path = STREAM_SERVERS[request.param]()
    except BinaryNotFoundError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(f"{request.param} must be there in CI: {error}")
        pytest.skip(str(error))
    with EmbeddedRedis(tmp_path_factory.mktemp(request.param), binary=binary) as server:
        yield EmbeddedUnderTest(server)


@pytest.fixture
def any_redis(_stream_server: EmbeddedUnderTest) -> EmbeddedUnderTest:
    """Each supported kind of Redis in turn, empty. For the tests of everything that speaks to streams."""
    _stream_server.ensure_running()
    empty(_stream_server.url)
    return _stream_server


def empty(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
        client.function_flush()


def with_database(url: str, name: str) -> str:
    """`url`, leading to another database of the same server."""
    return re.sub(r"^(\w+://[^/?]*)(/[^?]*)?", rf"\g<1>/{name}", url)


def _execute(url: str, statement: sql.Composable) -> None:
    with psycopg.connect(url, autocommit=True, connect_timeout=10) as connection:
        connection.execute(statement)


def _drop(url: str, name: str) -> None:
    _execute(url, sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
