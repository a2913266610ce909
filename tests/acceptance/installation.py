"""What the tutorial is run on: a `weir up` of its own, or an installation that runs (deploy/docs/containers.md).

For one that runs, the environment names what the tutorial cannot make itself:

    ACCEPTANCE_GATEWAY, ACCEPTANCE_ANALYTICS   addresses, the same behind one front door
    ACCEPTANCE_KEY                             a key of scope admin
    ACCEPTANCE_CA                              a file of certificates to trust, if it is not one of the system's
    ACCEPTANCE_RESTART                         a command that stops and starts all of it; without one nothing is
"""

import os
import secrets
import ssl
import subprocess
from typing import Any, Protocol

import httpx2

from tests.waiting import eventually
from tests.weir_up import WeirUp

RESTART_SECONDS = 300.0


class Installation(Protocol):
    """Where to send and to ask, and how keys are made."""

    gateway: str
    analytics: str
    key: str
    http: httpx2.Client

    def make_key(self, client_id: str, name: str, rate_limit: int) -> dict[str, Any]:
        """The secret as `key`, and its `public_id`."""

    def restart(self) -> bool:
        """Stop and start it, and wait until it is up; False if nobody said how."""


class OwnInstallation:
    """`weir up` on embedded servers and a data directory of the test's own."""

    def __init__(self, up: WeirUp) -> None:
        self._up = up
        self.gateway, self.analytics = up.gateway, up.analytics
        self.http = httpx2.Client(timeout=40)
        # It prints the addresses and a first admin key, this once.
        up.start()
        assert up.gateway in up.output
        assert up.analytics in up.output
        self.key = up.key

    def make_key(self, client_id: str, name: str, rate_limit: int) -> dict[str, Any]:
        made: dict[str, Any] = self._up.weir(
            "keys", "create", "--client-id", client_id, "--name", name, "--rate-limit", str(rate_limit)
        )
        assert set(made) == {"key", "public_id"}
        return made

    def restart(self) -> bool:
        # Ctrl-C stops everything.
        self._up.stop()
        self._up.start()
        assert "first key" not in self._up.output
        return True


class GivenInstallation:
    """One that others have started, and may use meanwhile. The keys that are made there are deleted at the end."""

    def __init__(self, gateway: str, analytics: str, key: str) -> None:
        self.gateway, self.analytics, self._operator = gateway.rstrip("/"), analytics.rstrip("/"), key
        self._made: list[str] = []
        authority = os.environ.get("ACCEPTANCE_CA")
        self.http = httpx2.Client(
            timeout=40, verify=ssl.create_default_context(cafile=authority) if authority else True
        )

        # Of its own, as the tutorial asks more often than a key may by default.
        self.key = self._make(client_id=own_name("tutorial"), name="Tutorial", rate_limit=6000, scopes=["admin"])["key"]

    def make_key(self, client_id: str, name: str, rate_limit: int) -> dict[str, Any]:
        return self._make(client_id=client_id, name=name, rate_limit=rate_limit)

    def close(self) -> None:
        """Leaves no key behind."""
        for public_id in self._made:
            path = f"{self.gateway}/api/v1/keys/{public_id}"
            assert self.http.delete(path, headers={"X-API-Key": self._operator}).is_success

    def _make(self, **wanted: Any) -> dict[str, Any]:
        answer = self.http.post(f"{self.gateway}/api/v1/keys", json=wanted, headers={"X-API-Key": self._operator})
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        self._made.append(made["public_id"])
        return made

    def restart(self) -> bool:
        command = os.environ.get("ACCEPTANCE_RESTART")
        if not command:
            return False
        subprocess.run(command, shell=True, check=True, timeout=RESTART_SECONDS)  # the operator's own line
        eventually(self._is_ready, within_seconds=RESTART_SECONDS, what="it is up again")
        return True

    def _is_ready(self) -> bool:
        try:
            return all(self.http.get(f"{one}/readyz").status_code == 200 for one in (self.gateway, self.analytics))
        except httpx2.HTTPError:
            return False


def given_installation() -> GivenInstallation | None:
    """The one that the environment names, if it names any."""
    names = ("ACCEPTANCE_GATEWAY", "ACCEPTANCE_ANALYTICS", "ACCEPTANCE_KEY")
    if not any(os.environ.get(name) for name in names):
        return None
    missing = [name for name in names if not os.environ.get(name)]
    assert not missing, f"set {' and '.join(missing)} as well"
    return GivenInstallation(*(os.environ[name] for name in names))


def own_name(client_id: str) -> str:
    """A client that nobody has been before: what a given installation holds stays out of the counts."""
    return f"{client_id}-{secrets.token_hex(4)}"
