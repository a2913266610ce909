"""`weir analytics`: the analytics API as a process of its own."""

from __future__ import annotations

from deploy.cli.options import DataDir, command_app
from deploy.endpoints import resolve_endpoints
from shared.settings import load_settings

app = command_app()


@app.callback()
def analytics() -> None:
    """Run the analytics API."""


@app.command()
def run(data_dir: DataDir = None) -> None:
    """Serve the analytics API until stopped.

    Example: `WEIR_ANALYTICS_PORT=8001 weir analytics run`
    """
    from deploy.fleet.ground import refuse_taken_port
    from deploy.services.analytics import run_analytics

    settings = load_settings({"data_dir": data_dir})
    refuse_taken_port(settings, "analytics")
    run_analytics(settings, resolve_endpoints(settings))
