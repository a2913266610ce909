"""What a 202 waits for beyond Redis's own acknowledgement: nothing more, the disk, or a replica.

The command that waits follows the atomic function on the same connection, in one pipeline without MULTI, once for all
requests of a call. The reply of WAITAOF and WAIT is about everything the connection wrote before.
"""

from dataclasses import dataclass
from typing import Any, Final, Literal

import redis.asyncio
from redis.exceptions import ResponseError

from shared.errors import SettingsError

Level = Literal["server", "fsync", "replica"]
_OF_TIMEOUT: Final = 0.75
"""The part of Redis's time to answer that the wait may take: its reply comes before the client gives the call up."""


@dataclass(frozen=True, slots=True)
class FsyncPolicy:
    """How the server writes its append-only file; None where it does not tell, as managed ones may."""

    appendonly: str | None
    appendfsync: str | None
    has_waitaof: bool = True

    @property
    def waits_for_disk(self) -> bool:
        """Whether every acknowledgement of the server comes after the disk's."""
        return self.appendonly == "yes" and self.appendfsync == "always"


class UnconfirmedError(Exception):
    """The events are in Redis, but not in time where the durability level wants them."""


def confirmation(level: Level, timeout_ms: int) -> tuple[str | int, ...] | None:
    """The command that waits for the level, and blocks for three quarters of the time at most; None for none."""
    wait_ms = max(int(timeout_ms * _OF_TIMEOUT), 1)
    return {"server": None, "fsync": ("WAITAOF", 1, 0, wait_ms), "replica": ("WAIT", 1, wait_ms)}[level]


def check_confirmed(level: Level, reply: Any) -> None:
    """Raises UnconfirmedError unless the reply says that the level was reached."""
    reached = reply[0] if isinstance(reply, list) else reply
    if reached < 1:
        where = "on Redis's disk" if level == "fsync" else "on a replica"
        raise UnconfirmedError(f"the events were not {where} in time (WEIR_DURABILITY={level})")


async def read_fsync_policy(client: "redis.asyncio.Redis") -> FsyncPolicy:
    """Ask the server. Raises redis.RedisError but for what it refuses to tell."""
    told: dict[str, str] = {}
    for name in ("appendonly", "appendfsync"):
        try:
            found: dict[bytes | str, bytes | str] = await client.config_get(name)  # type: ignore[assignment]
        except ResponseError:
            continue
        told |= {_text(key): _text(value) for key, value in found.items()}
    return FsyncPolicy(told.get("appendonly"), told.get("appendfsync"), await _has_waitaof(client))


def level_in_force(level: Level, policy: FsyncPolicy) -> Level:
    """The level the publisher has to wait for: ``server`` where the server itself waits for the disk.

    Raises SettingsError for a level that this server can never reach.
    """
    if level != "fsync":
        return level
    if policy.appendonly == "no":
        raise SettingsError(
            "WEIR_DURABILITY is fsync, and Redis has no append-only file: set `appendonly yes` there",
            variable="WEIR_DURABILITY",
        )
    if policy.has_waitaof:
        return level
    if policy.waits_for_disk:
        return "server"
    raise SettingsError(
        "WEIR_DURABILITY is fsync, and this Redis can neither be asked to wait for its disk (WAITAOF, from 7.2 on) nor "
        f"does so by itself (appendfsync is {policy.appendfsync or 'unknown'}): set `appendfsync always` or upgrade it",
        variable="WEIR_DURABILITY",
    )


async def _has_waitaof(client: "redis.asyncio.Redis") -> bool:
    try:
        await client.waitaof(0, 0, 1)  # waits for nothing
    except ResponseError:
        return False
    return True


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
