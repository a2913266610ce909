"""`weir doctor`: what is wrong with the environment, and how to mend it."""

from __future__ import annotations

from dataclasses import asdict

import typer

from deploy.cli.options import AsJson, DataDir, command_app
from deploy.cli.output import print_json, print_table
from deploy.doctor.checks import Level, judge
from deploy.doctor.examination import examine
from deploy.endpoints import resolve_endpoints
from shared.settings import load_settings

app = command_app()


@app.command()
def doctor(as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """Say what is wrong with the environment and how to mend it; the exit code is 1 if a check fails.

    Looks at Python, the disk, clocks, and the versions and settings of Redis and PostgreSQL; changes nothing.

    Example: `REDIS_URL=redis://cache:6379 weir doctor`
    """
    settings = load_settings({"data_dir": data_dir})
    checks = judge(examine(settings, resolve_endpoints(settings)))
    if as_json:
        print_json([asdict(check) for check in checks])
    else:
        print_table(["check", "", "seen", "to mend it"], [(c.name, c.level, c.seen, c.mend) for c in checks])
    if any(check.level is Level.FAIL for check in checks):
        raise typer.Exit(1)
