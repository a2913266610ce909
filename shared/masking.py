"""Takes secrets out of text before it is shown, logged or raised."""

from __future__ import annotations

import re

MASK = "***"

# weir_<public id>_<secret>: the public id stays, it is how operators name a key.
_KEY = re.compile(r"\b(weir_[0-9A-Za-z]+)_[0-9A-Za-z_-]{8,}")
# The user part may be empty (redis://:password@…). A password runs to the last @ before the path, for
# an unescaped @ in it would else leave its tail in the open.
_URL_PASSWORD = re.compile(r"(\b[a-z][a-z0-9+.-]{0,31}://[^:/?#\s@]*:)[^/?#\s]*(?=@)", re.IGNORECASE)
_PASSWORD_FIELD = re.compile(r"\b(password=)('(?:[^'\\]|\\.)*'|[^\s&'\"]+)", re.IGNORECASE)


def mask_secrets(text: str) -> str:
    """`text` without API keys' secrets and passwords of URLs and DSNs; all else is left as it is."""
    text = _KEY.sub(rf"\1_{MASK}", text)
    if "://" in text:  # the pattern alone is slow on long words
        text = _URL_PASSWORD.sub(rf"\1{MASK}", text)
    return _PASSWORD_FIELD.sub(rf"\1{MASK}", text)
