"""The commands of `weir`, each in a module of its own that is imported only when it runs.

A module has `app`, a typer.Typer: one command (`weir doctor`) or, with an `@app.callback()`, a group
(`weir keys create`). To add one, add a line here.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

COMMANDS: dict[str, tuple[str, str]] = {
    "up": ("deploy.cli.up", "Start everything on embedded servers and show what flows."),
    "gateway": ("deploy.cli.gateway", "Run the ingest gateway."),
    "processor": ("deploy.cli.processor", "Run one stream processor."),
    "processors": ("deploy.cli.processors", "Show what the stream processors are at, and how many run."),
    "analytics": ("deploy.cli.analytics", "Run the analytics API."),
    "keys": ("deploy.cli.keys", "Create, list and change API keys."),
    "load": ("deploy.cli.load", "Send events and measure what becomes of them."),
    "failed": ("deploy.cli.failed", "See failed events, put them back, or let them go."),
    "streams": ("deploy.cli.streams", "Show length, lag and age of the streams."),
    "top": ("deploy.cli.top", "Show what flows, waits and works, anew each second."),
    "tail": ("deploy.cli.tail", "Show events as they are accepted."),
    "reconcile": ("deploy.cli.reconcile", "Prove that nothing is lost and nothing twice."),
    "partitions": ("deploy.cli.partitions", "See, make and drop the days that rows are kept in."),
    "retention": ("deploy.cli.retention", "Drop what is past its retention, or say what that would be."),
    "db": ("deploy.cli.db", "Apply the migrations, or show how they stand."),
    "doctor": ("deploy.cli.doctor", "Say what is wrong with the environment and how to mend it."),
    "config": ("deploy.cli.config", "Show every setting, its value and where it came from."),
}
"""Name to module and the line that `weir --help` shows."""


class CommandTable(TyperGroup):
    """Lists commands from the table, and imports the one that is asked for."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.commands = {name: TyperCommand(name, help=line) for name, (_, line) in COMMANDS.items()}

    def list_commands(self, ctx: Any) -> list[str]:
        """The names, in the order of the table."""
        return list(COMMANDS)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[Any, Any, list[str]]:
        """As its parent, with the real command in the place of its entry in the list."""
        name, command, rest = super().resolve_command(ctx, args)
        if name in COMMANDS:
            command = typer.main.get_command(import_module(COMMANDS[name][0]).app)
            command.name = name
            if isinstance(command, TyperGroup) and not rest:
                rest = ["--help"]  # as `weir` alone
        return name, command, rest
