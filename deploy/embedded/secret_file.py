"""Passwords made once and kept beside the data they protect."""

import os
import secrets
from pathlib import Path


def kept_secret(path: Path) -> str:
    """The secret in `path`; made at the first call, in a file that only its owner can read.

    Letters, digits, `-` and `_` only: it needs no quoting in a URL, a configuration file or SQL. The file
    appears whole or not at all, so a crash cannot leave half a password behind; of two that make it at once,
    the first wins.
    """
    if not path.exists():
        draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        write_private(draft, secrets.token_urlsafe(32))
        try:
            path.hardlink_to(draft)  # fails where the name is taken; a rename would replace it
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text("ascii")


def write_private(path: Path, text: str) -> None:
    """Write `text` to a new file of mode 0600, replacing what a crash may have left there."""
    path.unlink(missing_ok=True)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(fd)
