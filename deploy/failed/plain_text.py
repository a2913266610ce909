"""What others sent, on a terminal: whatever it is, it does nothing there."""

from __future__ import annotations


def plain_bytes(payload: bytes) -> str:
    r"""Bytes as text; those that are not UTF-8 as ``\xff``."""
    return plain_text(payload.decode("utf-8", "backslashreplace"))


def plain_text(text: str) -> str:
    """The text, with characters that do not print written as Python escapes them."""
    return "".join(char if char.isprintable() or char == "\n" else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode()
