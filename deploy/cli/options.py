"""Options that many commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer


def command_app(about: str | None = None) -> typer.Typer:
    """The application of one command or group: its help is plain text, in which brackets are brackets."""
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    if about is not None:
        app.info.help = about
    return app


def data_dir_option(about: str) -> Any:
    """The option --data-dir; an empty one, as an unset shell variable makes it, is not the working directory."""
    return typer.Option("--data-dir", metavar="DIRECTORY", parser=_given_dir, help=about)


def _given_dir(text: str) -> Path:
    if not text.strip():
        raise typer.BadParameter("it is empty: give a folder, or leave --data-dir out")
    return Path(text)


DataDir = Annotated[
    Path | None, data_dir_option("Folder of the `weir up` to talk to; default is WEIR_DATA_DIR, else .weir.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
