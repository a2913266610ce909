"""Both services as processes of their own, over a database that holds the data of two clients."""

import hashlib
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
import redis
from psycopg import sql

from shared.api_keys import Scope
from tests.analytics_process import AnalyticsProcess, running_analytics
from tests.analytics_seed import SeedEvent, seed, seed_call, seed_failed
from tests.conftest import with_database
from tests.gateway_process import GatewayUnderTest, redis_database, running_gateway, store_key
from tests.servers import RunningServer

BODY_SECONDS = 1.0
KEPT_TABLES = ("events", "event_ids", "failed_events", "rollup_events_minute", "rollup_intake_minute", "stored_entries")


@dataclass(frozen=True)
class Site:
    """What is attacked, and the keys that an attacker may hold."""

    gateway: GatewayUnderTest
    analytics: AnalyticsProcess
    admin: str
    acme: str
    """Scopes ingest and read, of the client acme."""
    rival: str
    """The same, of the client rival."""

    @property
    def database_url(self) -> str:
        return self.gateway.database_url

    @property
    def redis_url(self) -> str:
        return self.gateway.redis_url

    @property
    def ports(self) -> dict[str, int]:
        return {"gateway": self.gateway.port, "analytics": self.analytics.port}

    def data(self) -> dict[str, str]:
        """A hash of each table that no hostile call may change."""
        with psycopg.connect(self.database_url) as connection:
            return {table: self._hash(connection, table) for table in KEPT_TABLES}

    @staticmethod
    def _hash(connection: psycopg.Connection[tuple[str]], table: str) -> str:
        query = sql.SQL("SELECT t::text FROM {} AS t ORDER BY 1").format(sql.Identifier(table))
        rows = connection.execute(query).fetchall()
        return f"{len(rows)} rows, {hashlib.sha256(repr(rows).encode()).hexdigest()}"

    def redis_keys(self) -> set[str]:
        with redis.Redis.from_url(self.redis_url) as client:
            return {key.decode() for key in client.scan_iter()}

    def failures(self) -> str:
        """What the services' logs say of errors of their own."""
        logs = self.gateway.service.logs() + self.analytics.service.logs()
        return "\n".join(line for line in logs.splitlines() if "request.failed" in line or "Traceback" in line)


@pytest.fixture(scope="package")
def hostile_database_url(postgres_server: RunningServer, _template_database: str) -> Iterator[str]:
    postgres_server.ensure_running()
    name = sql.Identifier(database := f"weir_hostile_{secrets.token_hex(4)}")
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        template = sql.Identifier(_template_database)
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(name, template))
    yield with_database(postgres_server.url, database)
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))


@pytest.fixture(scope="package")
def site(
    redis_server: RunningServer, hostile_database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """Without rate limits, with short deadlines for headers and bodies."""
    redis_server.ensure_running()
    folder, redis_url = tmp_path_factory.mktemp("hostile"), redis_database(redis_server.url, 2)
    seed_two_clients(hostile_database_url)
    short = {"WEIR_BODY_TIMEOUT_SECONDS": str(BODY_SECONDS)}
    with (
        running_gateway(folder, hostile_database_url, redis_url, **short) as gateway,
        running_analytics(folder, hostile_database_url, redis_url, **short) as analytics,
    ):
        acme, rival = (
            store_key(hostile_database_url, client, Scope.INGEST, Scope.READ) for client in ("acme", "rival")
        )
        yield Site(gateway, analytics, gateway.admin, acme, rival)


def seed_two_clients(database_url: str) -> None:
    moment = datetime.now(UTC) - timedelta(minutes=30)
    for client in ("acme", "rival"):
        seed(
            database_url,
            [
                SeedEvent(client_id=client, event_id=f"{client}-{number}", event_type="order.paid",
                          occurred_at=moment + timedelta(seconds=number), payload='{"user_id": 5, "secret": "s3cr3t"}')
                for number in range(20)
            ],
        )  # fmt: skip
        seed_failed(database_url, client_id=client, event_id=f"{client}-failed")
        seed_call(database_url, client_id=client, instance="seeded", request_id=f"{client}-call")
