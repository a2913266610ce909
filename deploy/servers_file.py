"""`servers.json` and `secret_key` of the data directory: how commands find a running `weir up`."""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import asdict, dataclass, field
from pathlib import Path

from shared.errors import SettingsError

SERVERS_FILE = "servers.json"
SECRET_KEY_FILE = "secret_key"  # noqa: S105  # the file's name


@dataclass(frozen=True, slots=True)
class RunningServers:
    """Addresses of a running `weir up`, whose process is `pid`; the repr hides the URLs for their passwords."""

    pid: int
    redis_url: str = field(repr=False)
    database_url: str = field(repr=False)
    gateway_database_url: str = field(repr=False)
    processor_database_url: str = field(repr=False)
    analytics_database_url: str = field(repr=False)
    gateway_url: str | None = None
    analytics_url: str | None = None


def write_servers_file(data_dir: Path, servers: RunningServers) -> None:
    """Makes `servers` known to other commands; atomic, mode 0600."""
    draft = _draft(data_dir / SERVERS_FILE, json.dumps(asdict(servers), indent=1))
    draft.replace(data_dir / SERVERS_FILE)


def remove_servers_file(data_dir: Path) -> None:
    """Forgets the servers; nothing happens where none are known."""
    (data_dir / SERVERS_FILE).unlink(missing_ok=True)


def read_servers_file(data_dir: Path) -> RunningServers | None:
    """The servers of a `weir up` that still runs; None when there is none.

    Raises SettingsError when the file cannot be read, as when another user started `weir up`.
    """
    path = data_dir / SERVERS_FILE
    try:
        servers = RunningServers(**json.loads(path.read_bytes()))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError:
        raise SettingsError(
            f"{path} belongs to another user: run as the user of `weir up`, or set WEIR_DATA_DIR",
            variable="WEIR_DATA_DIR",
        ) from None
    except (ValueError, TypeError):
        raise SettingsError(f"{path} is not of this version: restart `weir up`") from None
    return servers if _is_alive(servers.pid) else None


def ensure_secret_key(data_dir: Path) -> bytes:
    """The secret key kept in `data_dir`, made at the first call; the same for every process that asks."""
    path = data_dir / SECRET_KEY_FILE
    try:
        if not path.exists():
            _create(path, secrets.token_hex(32))
        return path.read_bytes().strip()
    except OSError as error:
        raise SettingsError(
            f"the secret key {path} cannot be read or made ({error.strerror}): set SECRET_KEY",
            variable="SECRET_KEY",
        ) from None


def _create(path: Path, content: str) -> None:
    draft = _draft(path, content)
    try:
        # A link fails where the name is taken; a rename would replace the key another process just made.
        path.hardlink_to(draft)
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def _draft(path: Path, content: str) -> Path:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(content)
    return draft


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return not _is_zombie(pid)


def _is_zombie(pid: int) -> bool:
    """Whether it has ended and waits to be reaped, which in a container may be never; known on Linux only."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[0] in {"Z", "X"}
    except OSError:
        return False
