"""What a setting may be, and the one line that says so when it is not. Pure; reads no environment."""

from __future__ import annotations

import difflib
import ipaddress
import re
from collections.abc import Iterable
from datetime import time
from pathlib import Path
from typing import Literal, get_args, get_origin

from annotated_types import Ge, Le
from pydantic.fields import FieldInfo

from shared.errors import SettingsError

_PLACEHOLDER = re.compile(
    r"change.?(me|this|it|in.?prod)|replace.?(me|this)|your.?(own.?)?secret"
    r"|^(my|dev|development|test|default|insecure|super|example)?[-_ ]?(secret|key|secret[-_ ]?key)?$",
    re.IGNORECASE,
)


def is_placeholder(secret_key: str) -> bool:
    """True for what examples and templates put in SECRET_KEY, and for one character repeated."""
    return bool(_PLACEHOLDER.search(secret_key.strip())) or len(set(secret_key)) == 1


def refuse_unknown(seen: Iterable[str], known: Iterable[str], where: str) -> None:
    """Raises SettingsError for a WEIR_… name that no setting has; letters of either case count."""
    names = list(known)
    for name in sorted(seen):
        if name.upper().startswith("WEIR_") and name not in names:
            close = difflib.get_close_matches(name.upper(), names, n=1)
            hint = f"did you mean {close[0]}?" if close else "`weir config` lists all"
            raise SettingsError(f"{name} in {where} is not a setting: {hint}", variable=name)


def explain(env: str, field: FieldInfo, shown: str, source: str) -> str:
    """One line: the variable, the value seen, where it is from, and what is allowed."""
    return f"{env} is {shown!r} ({source}): must be {allowed(field)}"


def allowed(field: FieldInfo) -> str:
    """What `field` accepts, as the end of the sentence 'must be …'."""
    kind = field.annotation
    if isinstance(field.json_schema_extra, dict):
        return str(field.json_schema_extra["form"])
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(map(str, get_args(kind)))
    if kind is bool:
        return "true or false"
    if kind not in (int, float):
        return "text"
    low = next((bound.ge for bound in field.metadata if isinstance(bound, Ge)), None)
    high = next((bound.le for bound in field.metadata if isinstance(bound, Le)), None)
    return f"{'a whole number' if kind is int else 'a number'} from {low} to {high}"


def check_postgresql_url(url: str) -> str:
    """Accepts what libpq calls a connection URI. Like the checks below: raises ValueError, returns what it took."""
    if not re.match(r"postgres(ql)?://", url):
        raise ValueError
    return url


def check_redis_url(url: str) -> str:
    """Accepts the three schemes of redis-py, and two that name nodes of a cluster, separated by commas."""
    if not re.match(r"(rediss?|unix)://|rediss?\+cluster://([^/?#\s@]*@)?[^/?#\s@,]+(,[^/?#\s@,]+)*/?(\?|$)", url):
        raise ValueError
    return url


def check_enricher(path: str) -> str:
    """Accepts `module:callable`; whether it can be imported is found when a processor starts."""
    if not re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*", path):
        raise ValueError
    return path


def check_public_url(text: str) -> str:
    """An http(s) address without a query; without the slash at its end."""
    if not re.fullmatch(r"https?://[\w.:\[\]-]+(/[\w./~-]*)?", text, re.ASCII):
        raise ValueError("not an address")
    return text.rstrip("/")


def check_network(network: str) -> str:
    """Accepts an IP address or a network in CIDR form."""
    ipaddress.ip_network(network)
    return network


def check_time_of_day(value: object) -> time:
    """Accepts HH:MM; the zone is always UTC."""
    if isinstance(value, time):
        return value
    if not re.fullmatch(r"\d\d:\d\d(:00)?", str(value), re.ASCII):
        raise ValueError
    return time.fromisoformat(str(value))


def check_data_dir(path: Path) -> Path:
    """Accepts a folder, or a path where one can be made."""
    path = path.expanduser()
    try:
        blocked = path.exists() and not path.is_dir()
    except OSError:  # below a folder this user may not enter
        blocked = True
    if blocked:
        raise ValueError
    return path


def split_list(value: object) -> object:
    """'a, b' as ('a', 'b'); a sequence stays as it is."""
    if not isinstance(value, str):
        return value
    return tuple(part.strip() for part in value.split(",") if part.strip())
