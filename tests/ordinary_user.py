"""How a test run by root does what an ordinary user would: a Python and packages that others can reach."""

import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

ORDINARY_USER = "nobody"


def python_for_everyone() -> str:
    """A Python of our version that other users can run (ours may lie in root's folder); skips where there is none."""
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for python in (Path(sys.executable), Path("/usr/bin", name), Path("/usr/local/bin", name)):
        closed = [folder for folder in python.resolve().parents if not folder.stat().st_mode & 0o001]
        if python.exists() and not closed:
            return str(python)
    reason = f"no {name} that other users can run"
    if os.environ.get("CI") == "true":
        pytest.fail(f"{reason}: it must be there in CI")
    pytest.skip(reason)


def copy_for_everyone(found: Path, target: Path) -> None:
    """A package or module where anybody can read it; a link where the file system allows."""
    if found.is_dir():
        left_out = shutil.ignore_patterns("__pycache__", "node_modules")
        shutil.copytree(found, target / found.name, ignore=left_out, copy_function=_link_or_copy)
    else:
        _link_or_copy(str(found), str(target / found.name))


def copy_all_for_everyone(found: Iterable[Path], target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for one in found:
        copy_for_everyone(one, target)
    # redis-py asks for it before Python 3.11.3, which that Python may be and ours not.
    (target / "async_timeout.py").write_text("from asyncio import timeout\n")


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy(source, target)
