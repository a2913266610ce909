"""`weir processor`: one stream processor as a process of its own."""

from __future__ import annotations

from deploy.cli.options import DataDir, command_app
from deploy.endpoints import resolve_endpoints
from shared.settings import load_settings

app = command_app()


@app.callback()
def processor() -> None:
    """Run one stream processor."""


@app.command()
def run(data_dir: DataDir = None) -> None:
    """Process streams until stopped; it drains what is in hand.

    Example: `weir processor run`
    """
    from deploy.services.processor import run_processor

    settings = load_settings({"data_dir": data_dir})
    run_processor(settings, resolve_endpoints(settings))
