"""The `weir` command: finds the command, runs it, and turns errors into one line and an exit code."""

from __future__ import annotations

import os
import sys
import traceback
from typing import Annotated

import typer
from typer.exceptions import TyperException

from deploy.cli.command_table import CommandTable

FAILED = 1
WRONG_USAGE = 2
INTERRUPTED = 130

app = typer.Typer(
    cls=CommandTable,
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import PackageNotFoundError, version

        try:
            print(f"weir {version('weir-events')}")
        except PackageNotFoundError:
            print("weir (not installed: run from its source)")
        raise typer.Exit


@app.callback()
def weir(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Takes events in over HTTP, stores each once in PostgreSQL, and answers questions about them.

    Start with `weir up`. `weir COMMAND --help` shows an example of each.

    Exit codes: 0 done; 1 an error, told in one line on stderr, or a finding, as of `reconcile`, `doctor` and
    `db status`; 2 wrong usage; 130 stopped by Ctrl-C.
    """


def main() -> None:
    """Runs the command line of this process and exits: 0, 1 for an error, 2 for wrong usage, 130 for Ctrl-C."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """The exit code of `weir ARGUMENTS`; errors are one line on stderr, with `--debug` after a traceback."""
    debug = "--debug" in arguments
    kept = [argument for argument in arguments if argument != "--debug"] or ["--help"]
    try:
        result = app(kept, prog_name="weir", standalone_mode=False)
    except BrokenPipeError:
        # Whoever read our output has enough; what is still buffered has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except SystemExit as ended:  # a server that could not start has told why in its log, and has codes of its own
        return FAILED if ended.code else 0
    except typer.Abort:
        print("weir: not confirmed, nothing was changed (--yes does not ask)", file=sys.stderr)
        return FAILED
    except Exception as error:  # noqa: BLE001  # the last resort of the program
        if debug:
            traceback.print_exception(error)
        code, line = _told(error)
        print(f"weir: {line}", file=sys.stderr)
        return code
    return result if isinstance(result, int) else 0


def _told(error: Exception) -> tuple[int, str]:
    """Exit code and line of an error; what Weir did not foresee is named by its type."""
    from deploy.cli.next_steps import next_step, service_of
    from deploy.embedded.errors import EmbeddedServerError
    from shared.errors import Outage, UsageError, WeirError
    from shared.masking import mask_secrets

    said = getattr(getattr(error, "diag", None), "message_primary", None) or str(error)  # psycopg's has the query too
    text = mask_secrets(" ".join(said.split()))
    if isinstance(error, TyperException):
        return error.exit_code, " ".join(error.format_message().replace(": Value error, ", ": ").split())
    if isinstance(error, UsageError):
        return WRONG_USAGE, text
    service = error.service if isinstance(error, Outage) else service_of(error)
    step = next_step(service, f"{type(error).__name__}: {text}") if service else ""
    if isinstance(error, WeirError | EmbeddedServerError):
        return FAILED, f"{text}: {step}" if step else text
    if step:
        return FAILED, f"{service}: {text}: {step}"
    return FAILED, f"{type(error).__name__}: {text} (--debug shows where)"
