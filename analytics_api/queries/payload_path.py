"""Names of places in a payload: ``payload.user.id``, and ``payload."a.b".c`` where a key has a dot in it.

Parts are separated by dots. A part that begins with a double quote ends with one, and a quote in it is written twice. A
part that is a number is a key, or a place in a list.
"""

import re
from dataclasses import dataclass
from typing import Final

PREFIX: Final = "payload."
_MAX_DEPTH: Final = 32
_MAX_CHARACTERS: Final = 1024
_PART: Final = re.compile(r'(?:"(?P<quoted>(?:[^"]|"")*)"|(?P<plain>[^".][^.]*))(?P<end>\.|\Z)', re.DOTALL)


@dataclass(frozen=True, slots=True)
class PathPart:
    """One key on the way."""

    key: str
    is_quoted: bool


def split_path(name: str) -> list[PathPart]:
    """The parts behind ``payload.``. Raises ValueError, which says what is wrong without the name itself."""
    if not name.startswith(PREFIX):
        raise ValueError("must be payload.<name>, or payload.<name>.<name>")
    check_storable(name)
    parts: list[PathPart] = []
    place, more = len(PREFIX), True
    while more:
        match = _PART.match(name, place)
        if match is None:
            raise ValueError(
                'a part of the path is empty, or its quote is open; write payload.<name>."a name.with dots"'
            )
        quoted = match["quoted"]
        parts.append(PathPart(match["plain"] if quoted is None else quoted.replace('""', '"'), quoted is not None))
        place, more = match.end(), bool(match["end"])
    if len(parts) > _MAX_DEPTH:
        raise ValueError(f"the path is more than {_MAX_DEPTH} deep")
    return parts


def keys_of(name: str) -> list[str]:
    """The keys on the way to a field. Raises as ``split_path``."""
    return [part.key for part in split_path(name)]


def check_storable(text: str) -> str:
    """The text. Raises ValueError when it is long, or holds what PostgreSQL's text cannot."""
    if len(text) > _MAX_CHARACTERS:
        raise ValueError(f"it has more than {_MAX_CHARACTERS} characters")
    if "\x00" in text:
        raise ValueError("it holds the character NUL")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("it holds half of a surrogate pair") from None
    return text
