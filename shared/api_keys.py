"""API keys: their form, their check, and what the service knows of one.

``weir_<public id>_<secret><checksum>``: 12, 32 and 6 characters of base 62. The public id finds the row; of the secret
only its HMAC-SHA-256 under SECRET_KEY is kept; the checksum (CRC-32, as in GitHub's tokens) refuses typing errors and
random guesses without a look-up, and lets secret scanners recognise a leaked key.
"""

import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final
from zlib import crc32

_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_FORM: Final = re.compile(r"weir_([0-9A-Za-z]{12})_([0-9A-Za-z]{32})([0-9A-Za-z]{6})", re.ASCII)
_CHECKSUM_LENGTH: Final = 6

CLIENT_ID_PATTERN: Final = r"^[A-Za-z0-9._:-]{1,128}$"
"""What a client may be called."""


class Scope(StrEnum):
    """What a key may do. ``admin`` includes the other two, for every client."""

    INGEST = "ingest"
    READ = "read"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class KeyParts:
    """A key whose form and checksum are right; nothing is said yet of whether it exists."""

    public_id: str
    secret: str


@dataclass(frozen=True, slots=True, repr=False)
class Peppers:
    """SECRET_KEY, and while it is changed the one to come or the one before: keys are accepted under each."""

    now: bytes
    next: bytes | None = None
    before: bytes | None = None


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A row of ``api_keys``."""

    public_id: str
    secret_hmac: bytes
    client_id: str
    name: str
    scopes: frozenset[str]
    rate_limit: int | None
    """Requests a window; 0 is none; None is the default of the settings."""
    is_active: bool
    expires_at: datetime | None
    created_at: datetime
    last_used_at: datetime | None

    def may(self, scope: Scope) -> bool:
        """Whether the key carries the scope, or admin."""
        return scope in self.scopes or Scope.ADMIN in self.scopes

    @property
    def is_admin(self) -> bool:
        return Scope.ADMIN in self.scopes

    def is_usable(self, now: datetime | None = None) -> bool:
        """Active and not expired."""
        return self.is_active and (self.expires_at is None or (now or datetime.now(UTC)) < self.expires_at)


def _base62(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, 62)
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def _checksum(public_id: str, secret: str) -> str:
    return _base62(crc32(f"{public_id}_{secret}".encode()), _CHECKSUM_LENGTH)


def new_public_id() -> str:
    """A fresh public id: 71 random bits."""
    return _random(12)


def new_secret() -> str:
    """A fresh secret: 190 random bits."""
    return _random(32)


def format_key(public_id: str, secret: str) -> str:
    """The whole key, to be shown once."""
    return f"weir_{public_id}_{secret}{_checksum(public_id, secret)}"


def parse_key(key: str) -> KeyParts | None:
    """The parts of a key, or None when its form or checksum is wrong."""
    match = _FORM.fullmatch(key)
    if match is None:
        return None
    public_id, secret, checksum = match.groups()
    if not hmac.compare_digest(checksum, _checksum(public_id, secret)):
        return None
    return KeyParts(public_id, secret)


def secret_hmac(pepper: bytes, secret: str) -> bytes:
    """What is kept of a secret: its HMAC-SHA-256 under the pepper (SECRET_KEY)."""
    return hmac.digest(pepper, secret.encode(), "sha256")


def matches(api_key: ApiKey, pepper: bytes, secret: str) -> bool:
    """Whether the secret is this key's; constant-time."""
    return hmac.compare_digest(api_key.secret_hmac, secret_hmac(pepper, secret))
