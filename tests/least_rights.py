"""Servers as an operator sets them up by the shipped examples: a Redis user and a SQL login for each part."""

import os
import re
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import redis

from deploy.embedded import binaries
from deploy.embedded.local_address import free_port
from deploy.embedded.redis_server import EmbeddedRedis
from deploy.embedded.secret_file import kept_secret
from tests.waiting import eventually

ROOT = Path(__file__).resolve().parent.parent
USERS = ROOT / "deploy/redis/users.acl"
ROLES = ROOT / "deploy/postgres/roles.sql"
REDIS_PARTS = ("gateway", "processor", "analytics", "operator", "backup")
SQL_PARTS = ("gateway", "processor", "analytics")


@dataclass(frozen=True)
class RestrictedRedis:
    """A Redis with the shipped users; `urls` by part, and one for whoever looks on."""

    onlooker: str
    urls: dict[str, str]


@contextmanager
def restricted_redis(folder: Path, program: Path) -> Iterator[RestrictedRedis]:
    """The shipped file but for its first line: the default user stays on, for the test to look at everything."""
    folder.mkdir()
    password = kept_secret(folder / "password")
    passwords = {part: secrets.token_hex(16) for part in REDIS_PARTS}
    text = USERS.read_text().replace("user default off resetpass", f"user default on >{password}")
    for part, one in passwords.items():
        text = text.replace(f"#{part.upper()}_SHA256", f"#{sha256(one.encode()).hexdigest()}")
    (folder / "users.acl").write_text(text)
    with EmbeddedRedis(folder, binary=program, extra_config={"aclfile": str(folder / "users.acl")}) as server:
        urls = {part: with_login(server.url, f"weir-{part}", one) for part, one in passwords.items()}
        yield RestrictedRedis(server.url, urls)


@contextmanager
def redis_with_shipped_users(folder: Path, program: Path) -> Iterator[redis.Redis]:
    """A client of the operator, of a Redis whose users are the shipped ones to the letter; started on what it holds."""
    folder.mkdir(exist_ok=True)
    password = kept_secret(folder / "password")
    users, port = folder / "users.acl", free_port()
    users.write_text(re.sub(r"#\w+_SHA256", f"#{sha256(password.encode()).hexdigest()}", USERS.read_text()))
    settings = f"port {port}\nbind 127.0.0.1\naclfile {users}\ndir {folder}\nappendonly yes\nsave ''\n"
    with (folder / "log").open("ab") as log:
        server = subprocess.Popen([program, "-"], stdin=subprocess.PIPE, stdout=log, stderr=log)
    try:
        assert server.stdin is not None
        server.stdin.write(settings.encode())
        server.stdin.close()
        with redis.Redis(port=port, username="weir-operator", password=password) as client:
            eventually(lambda: answers(client), within_seconds=30, what=(folder / "log").read_text())
            yield client
    finally:
        server.terminate()
        server.wait(30)


def answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except (redis.ConnectionError, redis.BusyLoadingError):
        return False


def sql_logins(database_url: str) -> dict[str, str]:
    """Runs the shipped file; the URL of each part."""
    passwords = {part: secrets.token_hex(16) for part in SQL_PARTS}
    run_roles(database_url, {f"{part.upper()}_PASSWORD": one for part, one in passwords.items()})
    return {part: with_login(database_url, f"weir_{part}", one) for part, one in passwords.items()}


def run_roles(database_url: str, passwords: dict[str, str]) -> None:
    """Raises subprocess.CalledProcessError when psql fails."""
    psql = binaries.postgres_bin_dir() / "psql"
    subprocess.run(
        [psql, "-X", "-q", "-d", database_url, "-f", ROLES],
        check=True, capture_output=True, timeout=60, env={"PATH": os.environ["PATH"], **passwords},
    )  # fmt: skip


def with_login(url: str, user: str, password: str) -> str:
    """`url`, as somebody else."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{user}:{password}@{parts.netloc.rpartition('@')[2]}"))
