"""A process in which nothing is set, for tests of what reads settings."""

import os
from pathlib import Path

import pytest

from shared.settings import Settings, environment_name


def forget_settings(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """No variable of Weir's in the environment, and `folder` (without an .env) as working directory."""
    known = {environment_name(name) for name in Settings.model_fields}
    for name in list(os.environ):
        if name in known or name.upper().startswith("WEIR_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(folder)
