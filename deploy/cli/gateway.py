"""`weir gateway`: the ingest gateway as a process of its own."""

from __future__ import annotations

from deploy.cli.options import DataDir, command_app
from deploy.endpoints import resolve_endpoints
from shared.settings import load_settings

app = command_app()


@app.callback()
def gateway() -> None:
    """Run the ingest gateway."""


@app.command()
def run(data_dir: DataDir = None) -> None:
    """Serve the ingest gateway until stopped; it drains what is in flight.

    Example: `WEIR_GATEWAY_PORT=8000 weir gateway run`
    """
    from deploy.fleet.ground import refuse_taken_port
    from deploy.services.gateway import run_gateway

    settings = load_settings({"data_dir": data_dir})
    refuse_taken_port(settings, "gateway")
    run_gateway(settings, resolve_endpoints(settings))
