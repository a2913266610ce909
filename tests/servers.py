"""What a test sees of a server, whichever way it was started."""

from typing import Protocol

import pytest

from deploy.embedded.embedded_server import EmbeddedServer


class RunningServer(Protocol):
    """A Redis or PostgreSQL server under test."""

    @property
    def url(self) -> str: ...

    @property
    def version(self) -> str: ...

    def kill(self) -> None:
        """End it as a crash would; it stays down until `restart`."""

    def restart(self) -> None:
        """Have it running, with the same URL and the same data. Returns when it answers."""

    def ensure_running(self) -> None:
        """Start it again if an earlier test left it down."""


class EmbeddedUnderTest:
    """Started from its program by our own code."""

    def __init__(self, server: EmbeddedServer) -> None:
        self.embedded = server

    @property
    def url(self) -> str:
        return self.embedded.url

    @property
    def version(self) -> str:
        return self.embedded.version

    def kill(self) -> None:
        self.embedded.kill()

    def restart(self) -> None:
        self.embedded.restart()

    def ensure_running(self) -> None:
        self.embedded.start()


class ExternalServer:
    """Given by URL. It is not ours to kill, so tests that would are skipped, with that reason."""

    def __init__(self, url: str, version: str) -> None:
        self.url = url
        self.version = version

    def kill(self) -> None:
        pytest.skip("the server was given by URL and is not ours to kill")

    restart = kill

    def ensure_running(self) -> None:
        """Its owner's affair."""
