"""What the doctor says of each fact."""

from dataclasses import replace

import pytest

from deploy.doctor.checks import GIB, Level, judge
from deploy.doctor.facts import ClockOffset, Facts, MachineFacts, PostgresFacts, RedisFacts, Unreachable
from deploy.migrations import MigrationState, MigrationStatus

IN_STEP = ClockOffset(0.0, 0.001)
MACHINE = MachineFacts(python=(3, 11, 7), disk_path="/", disk_free_bytes=50 * GIB, secret_key=None)
REDIS = RedisFacts("Redis", (7, 0, 15), True, "everysec", "noeviction", IN_STEP)
POSTGRES = PostgresFacts(
    150_004, "on", "on", "on", [MigrationStatus(1, "0001_events", MigrationState.APPLIED, None)], IN_STEP
)
SOUND = Facts(MACHINE, REDIS, POSTGRES)


def levels(facts: Facts) -> dict[str, Level]:
    return {check.name: check.level for check in judge(facts)}


def test_a_sound_environment_has_nothing_to_mend() -> None:
    assert set(levels(SOUND).values()) == {Level.OK}
    assert not any(check.mend for check in judge(SOUND))


def test_whatever_is_not_fine_says_how_to_mend_it() -> None:
    broken = Facts(
        replace(MACHINE, python=(3, 10), disk_free_bytes=0, secret_key="short"),
        replace(REDIS, version=(6, 2), aof_enabled=False, appendfsync="no", maxmemory_policy="allkeys-lru"),
        replace(
            POSTGRES, version=140_000, fsync="off", full_page_writes="off", synchronous_commit="off", migrations="?"
        ),
    )
    assert all(check.mend for check in judge(broken) if check.level is not Level.OK)
    assert sum(check.level is not Level.OK for check in judge(broken)) == 12


@pytest.mark.parametrize(
    ("change", "check", "level"),
    [
        ({"python": (3, 10, 14)}, "python", Level.FAIL),
        ({"python": (3, 13, 0)}, "python", Level.OK),
        ({"disk_free_bytes": 3 * GIB}, "disk", Level.WARN),
        ({"disk_free_bytes": GIB // 2}, "disk", Level.FAIL),
        ({"secret_key": "change-me-" + "x" * 40}, "secret key", Level.WARN),
        ({"secret_key": "ab" * 8}, "secret key", Level.WARN),
        ({"secret_key": "ab" * 16}, "secret key", Level.OK),
    ],
)
def test_of_the_machine(change: dict[str, object], check: str, level: Level) -> None:
    assert levels(replace(SOUND, machine=replace(MACHINE, **change)))[check] is level


@pytest.mark.parametrize(
    ("change", "check", "level"),
    [
        ({"version": (6, 2, 14)}, "redis", Level.FAIL),
        ({"version": (7, 0, 0)}, "redis", Level.OK),
        ({"product": "Valkey", "version": (7, 2, 5)}, "redis", Level.FAIL),
        ({"product": "Valkey", "version": (8, 0, 0)}, "redis", Level.OK),
        ({"version": (10, 0, 0)}, "redis", Level.OK),
        ({"aof_enabled": False}, "redis append-only file", Level.FAIL),
        ({"appendfsync": "always"}, "redis appendfsync", Level.OK),
        ({"appendfsync": "no"}, "redis appendfsync", Level.WARN),
        ({"appendfsync": None}, "redis appendfsync", Level.WARN),
        ({"maxmemory_policy": "volatile-ttl"}, "redis maxmemory-policy", Level.FAIL),
        ({"maxmemory_policy": None}, "redis maxmemory-policy", Level.WARN),
        ({"clock": ClockOffset(-2.0, 0.1)}, "redis clock", Level.WARN),
        ({"clock": ClockOffset(2.0, 1.5)}, "redis clock", Level.OK),
        ({"clock": ClockOffset(90.0, 0.1)}, "redis clock", Level.FAIL),
    ],
)
def test_of_redis(change: dict[str, object], check: str, level: Level) -> None:
    assert levels(replace(SOUND, redis=replace(REDIS, **change)))[check] is level


@pytest.mark.parametrize(
    ("durability", "change", "level"),
    [
        ("server", {"aof_enabled": False}, Level.OK),
        ("fsync", {}, Level.WARN),
        ("fsync", {"appendfsync": "always"}, Level.OK),
        ("fsync", {"appendfsync": "always", "has_waitaof": False}, Level.OK),
        ("fsync", {"has_waitaof": False}, Level.FAIL),
        ("fsync", {"aof_enabled": False}, Level.FAIL),
        ("replica", {}, Level.FAIL),
        ("replica", {"replicas": 1}, Level.OK),
    ],
)
def test_of_the_durability_level(durability: str, change: dict[str, object], level: Level) -> None:
    facts = replace(SOUND, redis=replace(REDIS, **change), durability=durability)
    (check,) = [check for check in judge(facts) if check.name == "durability of a 202"]
    assert check.level is level
    assert f"WEIR_DURABILITY={durability}" in check.seen
    assert bool(check.mend) == (level is not Level.OK)


def test_a_kept_secret_key_is_told_from_one_that_is_yet_to_be_made() -> None:
    for is_kept, seen in ((True, "kept in the data directory"), (False, "the first start makes one")):
        machine = replace(MACHINE, secret_key_is_kept=is_kept)
        (check,) = [check for check in judge(replace(SOUND, machine=machine)) if check.name == "secret key"]
        assert check.level is Level.OK
        assert seen in check.seen


def migration(state: MigrationState) -> list[MigrationStatus]:
    return [MigrationStatus(1, "0001_events", state, None)]


@pytest.mark.parametrize(
    ("change", "check", "level"),
    [
        ({"version": 140_019}, "postgresql", Level.FAIL),
        ({"version": 180_006}, "postgresql", Level.OK),
        ({"fsync": "off"}, "postgresql fsync", Level.FAIL),
        ({"full_page_writes": "off"}, "postgresql full_page_writes", Level.FAIL),
        ({"synchronous_commit": "off"}, "postgresql synchronous_commit", Level.FAIL),
        ({"synchronous_commit": "remote_apply"}, "postgresql synchronous_commit", Level.OK),
        ({"migrations": migration(MigrationState.PENDING)}, "migrations", Level.FAIL),
        ({"migrations": migration(MigrationState.CHANGED)}, "migrations", Level.FAIL),
        ({"migrations": "a file is missing"}, "migrations", Level.FAIL),
        ({"clock": ClockOffset(-61.5, 0.1)}, "postgresql clock", Level.FAIL),
    ],
)
def test_of_postgresql(change: dict[str, object], check: str, level: Level) -> None:
    assert levels(replace(SOUND, postgres=replace(POSTGRES, **change)))[check] is level


def test_pending_migrations_are_mended_by_migrating() -> None:
    facts = replace(SOUND, postgres=replace(POSTGRES, migrations=migration(MigrationState.PENDING)))
    assert [check.mend for check in judge(facts) if check.name == "migrations"] == ["run `weir db migrate`"]


def test_of_a_server_that_does_not_answer_only_that_is_said() -> None:
    checks = judge(Facts(MACHINE, Unreachable("connection refused"), Unreachable("connection refused")))
    assert [(check.name, check.level, check.seen) for check in checks if check.level is Level.FAIL] == [
        ("redis", Level.FAIL, "connection refused"),
        ("postgresql", Level.FAIL, "connection refused"),
    ]
