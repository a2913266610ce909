"""`weir config`: every setting, its value, where it came from and what it does."""

from __future__ import annotations

from typing import Annotated

import typer

from deploy.cli.options import AsJson, DataDir, command_app
from deploy.cli.output import print_json, print_table
from shared.setting_checks import allowed
from shared.settings import Settings, environment_name, load_settings

app = command_app()

_MARKDOWN_HEAD = """\
# Settings

Environment variables, or lines of a `.env` file in the working directory. An option of the command line wins over
the environment, the environment over `.env`. An unknown `WEIR_…` name is an error. `weir config` shows the values
in force and where each came from; this list is printed by `weir config --markdown`.

| variable | default | allowed | what it does |
|---|---|---|---|
"""


@app.command()
def config(
    as_json: AsJson = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the reference of all settings.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Show every setting, its value, where it came from and what it does; secrets are masked.

    Example: `WEIR_GATEWAY_PORT=9000 weir config`
    """
    if markdown:
        return print(settings_reference(), end="")
    settings = load_settings({"data_dir": data_dir})
    rows = [_row(settings, name) for name in Settings.model_fields]
    if as_json:
        return print_json([dict(zip(("setting", "value", "source", "description"), row, strict=True)) for row in rows])
    return print_table(["setting", "value", "from", "what it does"], rows)


def settings_reference() -> str:
    """The settings as a Markdown page: the same whatever the environment is."""
    return _MARKDOWN_HEAD + "".join(f"| {' | '.join(_reference_cells(name))} |\n" for name in Settings.model_fields)


def _row(settings: Settings, name: str) -> tuple[str, str, str, str]:
    return (
        environment_name(name),
        settings.shown(name),
        settings.source_of(name),
        Settings.model_fields[name].description or "",
    )


def _reference_cells(name: str) -> tuple[str, str, str, str]:
    field = Settings.model_fields[name]
    default = Settings.model_construct().shown(name)
    return (
        f"`{environment_name(name)}`",
        f"`{default}`" if default else "",
        allowed(field),
        field.description or "",
    )
