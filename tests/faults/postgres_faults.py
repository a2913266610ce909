"""PostgreSQL that refuses, restarts, deadlocks, has no room, or has lost a table."""

import contextlib
from datetime import UTC, datetime, timedelta
from random import Random

import psycopg

from tests.faults.fault import fault, last
from tests.faults.producers import CLIENTS
from tests.faults.scene import Scene
from tests.faults.sent_events import EventMaker
from tests.waiting import eventually


@fault("PostgreSQL is restarted")
def postgres_restarted(scene: Scene, chance: Random) -> None:
    del chance
    scene.postgres.restart()


@fault("PostgreSQL is read-only for a while, as after a failover")
def postgres_read_only(scene: Scene, chance: Random) -> None:
    with scene.database() as connection:
        connection.execute("ALTER SYSTEM SET default_transaction_read_only = on")
        connection.execute("SELECT pg_reload_conf()")
        try:
            last(chance.uniform(1, 5))
        finally:
            connection.execute("ALTER SYSTEM RESET default_transaction_read_only")
            connection.execute("SELECT pg_reload_conf()")


@fault("the disk under PostgreSQL is full", small_disk=True)
def postgres_disk_full(scene: Scene, chance: Random) -> str | None:
    disk = scene.disks["postgres"]
    disk.fill()
    try:
        last(chance.uniform(2, 6))
    finally:
        disk.free()
    if scene.postgres.running:
        return None
    scene.postgres.start()  # without room for its log it gives up
    return "it had ended"


@fault("a processor is the victim of a deadlock")
def postgres_deadlock(scene: Scene, chance: Random) -> str:
    del chance
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'rollup_intake_minute'::regclass"
    with scene.database() as connection, scene.database() as watch:
        connection.execute("SET deadlock_timeout = '20s'")
        connection.execute("SET lock_timeout = '15s'")
        with contextlib.suppress(psycopg.OperationalError), connection.transaction():
            connection.execute("LOCK TABLE rollup_intake_minute IN ACCESS EXCLUSIVE MODE")
            eventually(lambda: watch.execute(waiting).fetchone() != (0,), within_seconds=15, what="a processor waits")
            connection.execute("LOCK TABLE stored_entries IN ACCESS EXCLUSIVE MODE")
        row = watch.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()").fetchone()
        assert row is not None
        return f"{row[0]} deadlocks so far"


@fault("all of a processor's connections are ended by an administrator")
def postgres_connections_ended(scene: Scene, chance: Random) -> None:
    with scene.database() as connection:
        for _ in range(chance.randint(1, 5)):
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
            )
            last(0.2)


@fault("a partition that the processors know is dropped, and events for it follow")
def partition_dropped(scene: Scene, chance: Random) -> str:
    """A day of its own, so that few events go with it."""
    day = datetime.now(UTC) - timedelta(days=chance.randint(20, 75))
    maker = EventMaker(f"d{day:%m%d}-{chance.getrandbits(32)}", chance)
    child = f"events_{day:%Y%m%d}"
    with scene.database() as connection:
        for _ in scene.processors:
            scene.producers.post(CLIENTS[0], [maker.make(occurred_at=day) for _ in range(3)])
        eventually(lambda: _has_rows(connection, child), within_seconds=30, what=f"{child} has events")
        dropped = scene.losses.drop_partition(connection, child)
    for _ in scene.processors:
        scene.producers.post(CLIENTS[0], [maker.make(occurred_at=day) for _ in range(3)])
    return f"{child} with {dropped} events"


@fault("DDL under load: partitions of other days, and an index that stops all writing until it is built")
def ddl_under_load(scene: Scene, chance: Random) -> None:
    with scene.database() as connection:
        for _ in range(3):
            connection.execute("SELECT ensure_day_partition('events', current_date - %s)", [chance.randint(80, 88)])
        with connection.transaction():
            connection.execute("CREATE INDEX fault_index ON events (event_type)")
            last(chance.uniform(0.5, 3))
        connection.execute("DROP INDEX fault_index")


@fault("a long SELECT holds its locks while partitions are needed")
def long_select(scene: Scene, chance: Random) -> None:
    day = datetime.now(UTC) - timedelta(days=chance.randint(5, 19))
    maker = EventMaker(f"q{day:%m%d}-{chance.getrandbits(32)}", chance)
    with scene.database() as connection, connection.transaction():
        connection.execute("SELECT count(*) FROM events")
        scene.producers.post(CLIENTS[1], [maker.make(occurred_at=day)])
        last(chance.uniform(1, 4))
        connection.execute("SELECT count(*) FROM events")


def _has_rows(connection: "psycopg.Connection[tuple[object, ...]]", table: str) -> bool:
    try:
        return connection.execute(f"SELECT EXISTS (SELECT FROM {table})".encode()).fetchone() == (True,)
    except psycopg.errors.UndefinedTable:
        return False
