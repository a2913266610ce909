"""The judgement on each fact: fine, worth a warning, or a failure, and how to mend it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from deploy.doctor.facts import ClockOffset, Facts, MachineFacts, PostgresFacts, RedisFacts, Unreachable
from deploy.migrations import MigrationState, MigrationStatus
from shared.setting_checks import is_placeholder

OLDEST_PYTHON = (3, 11)
OLDEST_REDIS = {"Redis": (7, 0), "Valkey": (8, 0)}
OLDEST_POSTGRES = 15
GIB = 1024**3
FEW_BYTES_FREE, ENOUGH_BYTES_FREE = 1 * GIB, 5 * GIB
# Latencies are measured across machines, and the gateway refuses events of more than five minutes ahead.
WARN_CLOCK_SECONDS, FAIL_CLOCK_SECONDS = 1.0, 60.0
SHORT_SECRET = 32


class Level(StrEnum):
    """How bad it is; a failure loses data or keeps Weir from working."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """One line of `weir doctor`: what was looked at, the value seen, and the mend where one is needed."""

    name: str
    level: Level
    seen: str
    mend: str = ""


def judge(facts: Facts) -> list[Check]:
    """All checks, in a fixed order; those of a server that cannot be reached are left out but for that one."""
    return [*_machine(facts.machine), *_redis(facts.redis, facts.durability), *_postgres(facts.postgres)]


def _verdict(name: str, seen: object, good: bool, mend: str, otherwise: Level = Level.FAIL) -> Check:
    return Check(name, Level.OK, str(seen)) if good else Check(name, otherwise, str(seen), mend)


def _machine(machine: MachineFacts) -> Iterator[Check]:
    yield _verdict("python", _dotted(machine.python), machine.python >= OLDEST_PYTHON, "install Python 3.11 or later")
    yield _disk(machine)
    yield _secret_key(machine.secret_key, machine.secret_key_is_kept)


def _disk(machine: MachineFacts) -> Check:
    seen = f"{machine.disk_free_bytes / GIB:.1f} GiB free at {machine.disk_path}"
    level = Level.FAIL if machine.disk_free_bytes < FEW_BYTES_FREE else Level.WARN
    mend = "free some space, or set WEIR_DATA_DIR to a larger disk"
    return _verdict("disk", seen, machine.disk_free_bytes >= ENOUGH_BYTES_FREE, mend, level)


def _secret_key(secret: str | None, is_kept: bool) -> Check:
    if secret is None:
        seen = "kept in the data directory" if is_kept else "none yet; the first start makes one in the data directory"
        return Check("secret key", Level.OK, seen)
    seen = "a placeholder" if is_placeholder(secret) else f"set, {len(secret)} characters"
    good = len(secret) >= SHORT_SECRET and not is_placeholder(secret)
    return _verdict("secret key", seen, good, "set SECRET_KEY to the output of `openssl rand -hex 32`", Level.WARN)


def _redis(redis: RedisFacts | Unreachable, durability: str) -> Iterator[Check]:
    if isinstance(redis, Unreachable):
        yield Check("redis", Level.FAIL, redis.reason, "start `weir up`, or set REDIS_URL to a server that answers")
        return
    oldest = OLDEST_REDIS[redis.product]
    yield _verdict(
        "redis",
        f"{redis.product} {_dotted(redis.version)}",
        redis.version >= oldest,
        f"install {redis.product} {_dotted(oldest)} or later",
    )
    yield _verdict(
        "redis append-only file",
        "on" if redis.aof_enabled else "off",
        redis.aof_enabled,
        "set `appendonly yes`: without it a restart loses accepted events",
    )
    yield _appendfsync(redis)
    yield _durability(redis, durability)
    yield _eviction(redis.maxmemory_policy)
    yield _clock("redis clock", redis.clock)


def _appendfsync(redis: RedisFacts) -> Check:
    mend = "set `appendfsync everysec` or `always`: else a power loss takes half a minute of accepted events"
    seen = redis.appendfsync or "the server does not tell"
    return _verdict("redis appendfsync", seen, redis.appendfsync in {"always", "everysec"}, mend, Level.WARN)


def _durability(redis: RedisFacts, level: str) -> Check:
    name, seen = "durability of a 202", f"WEIR_DURABILITY={level}, appendfsync {redis.appendfsync or 'unknown'}"
    if level == "replica":
        mend = "start a replica, or set WEIR_DURABILITY to another level: without one nothing is accepted"
        return _verdict(name, f"{seen}, {redis.replicas} replica(s)", redis.replicas > 0, mend)
    if level == "fsync" and not (redis.aof_enabled and (redis.has_waitaof or redis.appendfsync == "always")):
        return Check(name, Level.FAIL, seen, "set `appendonly yes`, and `appendfsync always` where there is no WAITAOF")
    mend = "set `appendfsync always` in Redis: else a request waits for the next fsync, up to a second"
    return _verdict(name, seen, level == "server" or redis.appendfsync == "always", mend, Level.WARN)


def _eviction(policy: str | None) -> Check:
    mend = "set `maxmemory-policy noeviction`: others throw accepted events away when memory is full"
    level = Level.WARN if policy is None else Level.FAIL
    return _verdict("redis maxmemory-policy", policy or "the server does not tell", policy == "noeviction", mend, level)


def _postgres(postgres: PostgresFacts | Unreachable) -> Iterator[Check]:
    if isinstance(postgres, Unreachable):
        mend = "start `weir up`, or set DATABASE_URL to a server that answers"
        yield Check("postgresql", Level.FAIL, postgres.reason, mend)
        return
    yield _verdict(
        "postgresql",
        f"PostgreSQL {postgres.version // 10_000}.{postgres.version % 10_000}",
        postgres.version // 10_000 >= OLDEST_POSTGRES,
        f"install PostgreSQL {OLDEST_POSTGRES} or later",
    )
    for name in ("fsync", "full_page_writes"):
        value = getattr(postgres, name)
        mend = f"set `{name} = on`: without it a crash of the machine can destroy the database"
        yield _verdict(f"postgresql {name}", value, value == "on", mend)
    yield _verdict(
        "postgresql synchronous_commit",
        postgres.synchronous_commit,
        postgres.synchronous_commit != "off",
        "set `synchronous_commit = on`: entries leave Redis once PostgreSQL says they are stored",
    )
    yield _migrations(postgres.migrations)
    yield _clock("postgresql clock", postgres.clock)


def _migrations(migrations: list[MigrationStatus] | str) -> Check:
    if isinstance(migrations, str):
        return Check("migrations", Level.FAIL, migrations, "see `weir db status`")
    wrong = [one for one in migrations if one.state is not MigrationState.APPLIED]
    if not wrong:
        return Check("migrations", Level.OK, f"all {len(migrations)} applied")
    pending = all(one.state is MigrationState.PENDING for one in wrong)
    seen = ", ".join(f"{one.name} {one.state}" for one in wrong)
    return Check("migrations", Level.FAIL, seen, f"run `weir db {'migrate' if pending else 'status'}`")


def _clock(name: str, offset: ClockOffset) -> Check:
    # What the round trip can explain is not held against the clock.
    sure_seconds = max(0.0, abs(offset.seconds) - offset.uncertainty_seconds)
    seen = f"{offset.seconds:+.3f} s from this machine"
    level = Level.FAIL if sure_seconds > FAIL_CLOCK_SECONDS else Level.WARN
    return _verdict(name, seen, sure_seconds <= WARN_CLOCK_SECONDS, "run an NTP client on both machines", level)


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
