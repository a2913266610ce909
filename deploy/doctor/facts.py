"""What `weir doctor` looks at, as plain values: gathered by `examination`, judged by `checks`."""

from __future__ import annotations

from dataclasses import dataclass, field

from deploy.migrations import MigrationStatus


@dataclass(frozen=True, slots=True)
class Unreachable:
    """A server that could not be asked, and why."""

    reason: str


@dataclass(frozen=True, slots=True)
class ClockOffset:
    """How far a server's clock is ahead of this machine's, give or take half the round trip."""

    seconds: float
    uncertainty_seconds: float


@dataclass(frozen=True, slots=True)
class RedisFacts:
    """Redis or Valkey; None where the server does not tell, as managed ones may refuse CONFIG GET."""

    product: str
    version: tuple[int, ...]
    aof_enabled: bool
    appendfsync: str | None
    maxmemory_policy: str | None
    clock: ClockOffset
    has_waitaof: bool = True
    replicas: int = 0


@dataclass(frozen=True, slots=True)
class PostgresFacts:
    """PostgreSQL as the owner sees it; `migrations` is a text where they cannot be compared."""

    version: int
    fsync: str
    full_page_writes: str
    synchronous_commit: str
    migrations: list[MigrationStatus] | str
    clock: ClockOffset


@dataclass(frozen=True, slots=True)
class MachineFacts:
    """This machine, as far as Weir depends on it."""

    python: tuple[int, ...]
    disk_path: str
    disk_free_bytes: int
    secret_key: str | None = field(repr=False)
    secret_key_is_kept: bool = True
    """Whether the data directory holds one; asked where none is set."""


@dataclass(frozen=True, slots=True)
class Facts:
    """All of it."""

    machine: MachineFacts
    redis: RedisFacts | Unreachable
    postgres: PostgresFacts | Unreachable
    durability: str = "server"
    """The level that is set: what a 202 waits for."""
