"""What to do about what a server said: the last part of an error's line. Decided by words, as libpq gives no codes."""

from __future__ import annotations

from typing import Final

_DOCTOR: Final = "`weir doctor` looks at all of it"

_OF_POSTGRESQL: Final = (
    ('role "weir_', "does not exist", "run `weir db migrate` first: it makes the roles"),
    ("permission denied to set role", "", "this login is not a member of the role: GRANT the role to it, or let "
     "DATABASE_URL name the owner"),
    ("permission denied for", "", "let DATABASE_URL name the owner of the schema, or grant this login the rights "
     "(deploy/docs/security.md)"),
    ("authentication failed", "", "see the user and the password in the database's URL"),
    ("no password supplied", "", "put the password into the database's URL"),
    ('database "', "does not exist", "make it, or mend the name in DATABASE_URL"),
    ("could not translate host name", "", "mend the host in DATABASE_URL"),
    ("relation ", "does not exist", "run `weir db migrate` first"),
    ("function ", "does not exist", "run `weir db migrate` first"),
    ("column ", "does not exist", "run `weir db migrate` first"),
    ("connection failed", "", f"start PostgreSQL, or let DATABASE_URL name where it runs; {_DOCTOR}"),
    ("timeout", "", f"see whether PostgreSQL is overloaded or cut off; {_DOCTOR}"),
)  # fmt: skip

_OF_REDIS: Final = (
    ("AuthenticationError", "", "see the user and the password in REDIS_URL"),
    ("WRONGPASS", "", "see the user and the password in REDIS_URL"),
    ("NOAUTH", "", "put the password into REDIS_URL"),
    ("NoPermission", "", "give this Redis user the rights of `weir-operator` in deploy/redis/users.acl"),
    ("NOPERM", "", "give this Redis user the rights of `weir-operator` in deploy/redis/users.acl"),
    ("OutOfMemory", "", "Redis is full: give it more memory, or let processors run"),
    ("ReadOnly", "", "let REDIS_URL name the primary, not a replica"),
    ("ConnectionError", "", f"start Redis, or let REDIS_URL name where it runs; {_DOCTOR}"),
    ("TimeoutError", "", f"see whether Redis is overloaded or cut off; {_DOCTOR}"),
)


def next_step(service: str, text: str) -> str:
    """What to do about the text of an error of ``service`` (redis, postgresql); empty when nothing is known."""
    known = _OF_REDIS if service == "redis" else _OF_POSTGRESQL
    return next((step for one, other, step in known if one in text and other in text), "")


def service_of(error: BaseException) -> str | None:
    """Whose client raised this: ``redis``, ``postgresql``, or None for neither. Imports neither."""
    packages = {kind.__module__.partition(".")[0] for kind in type(error).__mro__}
    if packages & {"psycopg", "psycopg_pool"}:
        return "postgresql"
    return "redis" if "redis" in packages else None
