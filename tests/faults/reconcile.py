"""`weir reconcile`, asked as an operator would."""

import os
import subprocess
import sys

from tests.faults.scene import Scene


def reconcile(scene: Scene) -> list[str]:
    """What it says against the totals. Nothing is asked of it where Redis lost its data, or rows were dropped."""
    if scene.losses.entries or scene.losses.rows or not _exists():
        return []
    done = _weir(scene, "reconcile", "--json")
    return [] if done.returncode == 0 else [f"weir reconcile disagrees: {(done.stdout or done.stderr)[:500]}"]


def _exists() -> bool:
    return _weir(None, "reconcile", "--help").returncode == 0


def _weir(scene: Scene | None, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {} if scene is None else scene.environment | {"DATABASE_URL": scene.postgres.url}
    path = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PATH": os.environ["PATH"]}
    return subprocess.run(
        [sys.executable, "-P", "-m", "deploy", *arguments],
        capture_output=True, text=True, check=False, timeout=300, cwd="/", env={**path, **environment},
    )  # fmt: skip
