"""`weir reconcile`, asked as an operator would."""

import os
import subprocess
import sys

from tests.faults.scene import Scene

_SHOWN = 1500


def reconcile(scene: Scene) -> list[str]:
    """What it says against the totals; and it must see for itself when Redis has lost counts, or rows were dropped."""
    servers = {"DATABASE_URL": scene.postgres.url, "REDIS_URL": scene.redis.url}
    path = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PATH": os.environ["PATH"]}
    done = subprocess.run(
        [sys.executable, "-P", "-m", "deploy", "reconcile", "--json"],
        capture_output=True, text=True, check=False, timeout=300, cwd="/",
        env={**path, **scene.environment, **servers},
    )  # fmt: skip
    said = " ".join((done.stdout or done.stderr).split())
    if scene.losses.emptied or scene.losses.rows:
        return [] if done.returncode in (0, 1) else [f"weir reconcile failed: {said[:_SHOWN]}"]
    return [] if done.returncode == 0 else [f"weir reconcile disagrees: {said[:_SHOWN]}"]
