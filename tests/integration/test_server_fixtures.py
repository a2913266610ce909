"""The fixtures give every test servers of its own making: empty, migrated, and running whatever went before."""

import psycopg
import redis

from tests.servers import ExternalServer, RunningServer


def test_a_database_is_migrated_and_written_to_by_one_test_alone(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT count(*) FROM schema_migrations").fetchone() != (0,)
        connection.execute("CREATE TABLE only_mine ()")


def test_what_another_test_wrote_is_not_there(database_url: str, redis_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT to_regclass('only_mine')").fetchone() == (None,)
    with redis.Redis.from_url(redis_url) as client:
        assert client.dbsize() == 0
        client.set("kept", "1")


def test_a_server_left_dead_by_one_test_runs_for_the_next(
    redis_server: RunningServer, postgres_server: RunningServer
) -> None:
    for server in (redis_server, postgres_server):
        if not isinstance(server, ExternalServer):
            server.kill()
        server.ensure_running()
    assert redis_server.version.startswith(("Valkey", "Redis"))
    assert postgres_server.version.startswith("PostgreSQL")
