"""A small file system in memory that can be filled to the last byte, and given room again."""

import os
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

_MOST_BYTES = 6 << 30


class SmallDisk:
    """Mounted on an empty folder; only root may."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __enter__(self) -> Self:
        self.folder.mkdir()
        _run("mount", "-t", "tmpfs", "-o", f"size={_MOST_BYTES},mode=0755", "tmpfs", str(self.folder))
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        _run("umount", "--lazy", str(self.folder))

    def fill(self) -> None:
        """Not one page is free any more."""
        for _ in range(20):
            facts = os.statvfs(self.folder)
            used_bytes = (facts.f_blocks - facts.f_bfree) * facts.f_frsize
            try:
                self._resize(used_bytes)
                return
            except subprocess.CalledProcessError:  # it has grown in between
                continue
        raise AssertionError(f"{self.folder} grows faster than it can be filled")

    def free(self) -> None:
        self._resize(_MOST_BYTES)

    def _resize(self, size_bytes: int) -> None:
        _run("mount", "-o", f"remount,size={size_bytes}", str(self.folder))


def why_none() -> str | None:
    """Why there can be no such disk here; None when there can be one."""
    return None if os.geteuid() == 0 else "only root may mount a small disk"


def _run(*arguments: str) -> None:
    subprocess.run(arguments, check=True, capture_output=True)
