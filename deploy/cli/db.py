"""`weir db`: the schema of PostgreSQL."""

from __future__ import annotations

from dataclasses import asdict

import typer

from deploy.cli.options import AsJson, DataDir, command_app
from deploy.cli.output import print_json, print_table
from deploy.endpoints import resolve_endpoints
from deploy.migrations import MigrationState, migrate, status
from shared.settings import load_settings

app = command_app("Apply the migrations, or show how they stand.")


@app.callback()
def db() -> None:
    """Apply the migrations, or show how they stand. Services never change the schema themselves."""


@app.command("migrate")
def migrate_command(as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """Apply the migrations that are pending, as the owner of the schema.

    Example: `DATABASE_URL=postgresql://owner@db/weir weir db migrate`
    """
    names = migrate(_owner_url(data_dir))
    if as_json:
        return print_json({"applied": names})
    for name in names:
        print(f"applied {name}")
    return None if names else print("The schema is up to date.")


@app.command("status")
def status_command(as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """Show every migration; the exit code is 1 unless all are applied.

    Example: `weir db status --json`
    """
    statuses = status(_owner_url(data_dir))
    if as_json:
        print_json([asdict(one) for one in statuses])
    else:
        rows = [(one.version, one.name, one.state, one.applied_at) for one in statuses]
        print_table(["version", "name", "state", "applied at"], rows)
    if any(one.state is not MigrationState.APPLIED for one in statuses):
        raise typer.Exit(1)


def _owner_url(data_dir: DataDir) -> str:
    return resolve_endpoints(load_settings({"data_dir": data_dir})).database_url
