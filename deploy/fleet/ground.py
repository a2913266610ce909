"""What a fleet stands on before anything starts: a data directory of its own, and free ports."""

import errno
import os
import pwd
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from deploy.embedded.directory_lock import DirectoryLock
from deploy.embedded.errors import DirectoryInUseError
from deploy.servers_file import read_servers_file
from shared.errors import SettingsError
from shared.settings import Settings, environment_name

_PORT_SECONDS: Final = 2.0
"""Time the services of a `weir up` that was killed just now may take to be gone."""


@contextmanager
def owned_data_dir(data_dir: Path) -> Iterator[None]:
    """Make the data directory, closed to others, and hold it: one `weir up` each, also on servers given by URL.

    Raises DirectoryInUseError, SettingsError when this user cannot write there.
    """
    lock = DirectoryLock(data_dir)
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock.acquire(wait_seconds=0)
    except OSError as error:
        raise SettingsError(
            f"{data_dir} cannot be written by {_user_name()} ({error.strerror}): choose another with --data-dir",
            variable=environment_name("data_dir"),
        ) from error
    try:
        yield
    finally:
        lock.release()


def refuse_running_one(data_dir: Path) -> None:
    """Raises DirectoryInUseError when a `weir up` runs there: its ports are taken too, but that says less."""
    running = read_servers_file(data_dir)
    if running is not None:
        raise DirectoryInUseError(data_dir, running.pid)


def _user_name() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return f"user {os.geteuid()}"


def refuse_taken_ports(settings: Settings) -> None:
    """Raises SettingsError for a port that another program has: its answers would pass for ours."""
    deadline = time.monotonic() + _PORT_SECONDS
    if settings.gateway_port == settings.analytics_port:
        raise SettingsError(f"the gateway and the analytics API cannot both have port {settings.gateway_port}")
    for service in ("gateway", "analytics"):
        refuse_taken_port(settings, service, f"--{service}-port or ", deadline)


def refuse_taken_port(settings: Settings, service: str, option: str = "", deadline: float = 0) -> None:
    """Raises SettingsError when ``service`` cannot listen on its port by ``deadline``, of ``time.monotonic``."""
    host, port = getattr(settings, f"{service}_host"), getattr(settings, f"{service}_port")
    while (obstacle := _obstacle(host, port)) is not None:
        if obstacle.errno != errno.EADDRINUSE or time.monotonic() > deadline:
            variable = environment_name(f"{service}_port")
            raise SettingsError(
                f"the {service} cannot listen on {host}:{port} ({obstacle.strerror}): "
                f"choose another port with {option}{variable}",
                variable=variable,
            )
        time.sleep(0.05)


def _obstacle(host: str, port: int) -> OSError | None:
    try:
        family, *_, address = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[
            0
        ]
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as uvicorn: old connections may linger
            probe.bind(address)
    except OSError as error:
        return error
    return None
