"""`weir keys`: API keys, straight in PostgreSQL, so that the first admin key needs no other."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

import psycopg
import typer

from deploy.cli.options import AsJson, DataDir, Yes, command_app
from deploy.cli.output import print_json, print_table
from deploy.endpoints import Endpoints, resolve_endpoints
from shared import key_store
from shared.api_keys import CLIENT_ID_PATTERN, ApiKey, Scope
from shared.errors import Outage, RefusedRequest, SchemaError, UsageError
from shared.settings import load_settings

app = command_app()

PublicId = Annotated[str, typer.Argument(metavar="PUBLIC_ID", help="The part of the key after `weir_`.")]
Connection = psycopg.AsyncConnection[Any]
Answer = TypeVar("Answer")
CONNECT_SECONDS = 10
MAX_NAME = 200
SHOWN_ONCE = "This is the only time the key is shown."


@app.callback()
def keys() -> None:
    """Create, list and change API keys. A change takes effect everywhere within 5 seconds."""


@app.command()
def create(
    client_id: Annotated[str, typer.Option(help="Client whose events the key brings and reads.")],
    name: Annotated[str, typer.Option(help="What people call the key.")] = "",
    rate_limit: Annotated[
        int | None,
        typer.Option(min=0, max=10_000_000, help="Requests a window; 0 is none; default is that of the settings."),
    ] = None,
    scope: Annotated[list[Scope] | None, typer.Option(help="May be given more than once [ingest and read].")] = None,
    expires_at: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S%z"],
            metavar="TIME",
            help="Last moment, as 2030-01-31 (UTC) or 2030-01-31T12:00:00+01:00.",
        ),
    ] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Make a key and show it, this once.

    Example: `weir keys create --client-id github --name "GitHub" --rate-limit 6000`
    """
    expiry = _checked_expiry(expires_at)
    if not re.fullmatch(CLIENT_ID_PATTERN, client_id, re.ASCII):
        raise UsageError(f"--client-id {client_id!r} must be 1 to 128 of letters, digits and . _ : -")
    if len(name) > MAX_NAME or not name.isprintable():
        raise UsageError(f"--name must be at most {MAX_NAME} printable characters")
    endpoints = _endpoints(data_dir)
    made, key = _ask(
        endpoints,
        lambda connection: key_store.create_key(
            connection,
            endpoints.secret_key,
            client_id=client_id,
            name=name or client_id,
            scopes=frozenset(scope or [Scope.INGEST, Scope.READ]),
            rate_limit=rate_limit,
            expires_at=expiry,
        ),
    )
    _show_new(made, key, as_json)


@app.command("list")
def list_command(
    client_id: Annotated[str | None, typer.Option(help="Only this client's.")] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Show the keys, newest first; never a secret.

    Example: `weir keys list --client-id github`
    """
    found = _ask(_endpoints(data_dir), lambda connection: key_store.list_keys(connection, client_id))
    _show(found, as_json)


@app.command()
def toggle(public_id: PublicId, as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """Make an active key inactive, or an inactive one active.

    Example: `weir keys toggle 3kTMd92Lmx0q`
    """

    async def flip(connection: Connection) -> ApiKey | None:
        key = await key_store.find_key(connection, public_id)
        return key and await key_store.update_key(connection, public_id, {"is_active": not key.is_active})

    _show([_existing(public_id, _ask(_endpoints(data_dir), flip))], as_json)


@app.command()
def rotate(public_id: PublicId, yes: Yes = False, as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """Give a key a new secret and show it, this once; the old one stops working within 5 seconds.

    Example: `weir keys rotate 3kTMd92Lmx0q --yes`
    """
    _confirm(f"Make the present secret of {public_id} invalid?", yes)
    endpoints = _endpoints(data_dir)
    rotated = _ask(endpoints, lambda connection: key_store.rotate_key(connection, endpoints.secret_key, public_id))
    _show_new(*_existing(public_id, rotated), as_json)


@app.command()
def delete(public_id: PublicId, yes: Yes = False, as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """Delete a key for good; the events it brought stay.

    Example: `weir keys delete 3kTMd92Lmx0q --yes`
    """
    _confirm(f"Delete the key {public_id} for good?", yes)
    deleted = _ask(_endpoints(data_dir), lambda connection: key_store.delete_key(connection, public_id))
    _existing(public_id, deleted or None)
    return print_json({"deleted": public_id}) if as_json else print(f"deleted {public_id}")


def _endpoints(data_dir: DataDir) -> Endpoints:
    return resolve_endpoints(load_settings({"data_dir": data_dir}))


def _ask(endpoints: Endpoints, question: Callable[[Connection], Awaitable[Answer]]) -> Answer:
    async def answer() -> Answer:
        url = endpoints.gateway_database_url
        async with await psycopg.AsyncConnection.connect(url, connect_timeout=CONNECT_SECONDS) as connection:
            return await question(connection)

    try:
        return asyncio.run(answer())
    except psycopg.OperationalError as error:
        raise Outage("postgresql", str(error), sqlstate=error.sqlstate) from error
    except psycopg.errors.UndefinedTable as error:
        reason = error.diag.message_primary
        raise SchemaError(f"{reason}: run `weir db migrate` first", sqlstate=error.sqlstate) from error


def _existing(public_id: str, found: Answer | None) -> Answer:
    if found is None:
        raise RefusedRequest(404, "not-found", f"there is no key {public_id}: `weir keys list` shows all")
    return found


def _checked_expiry(moment: datetime | None) -> datetime | None:
    if moment is None:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if moment <= datetime.now(UTC):
        raise UsageError(f"--expires-at {moment.isoformat()} is past")
    return moment


def _confirm(question: str, yes: bool) -> None:
    if not yes:
        typer.confirm(question, abort=True, err=True)


def _show_new(made: ApiKey, key: str, as_json: bool) -> None:
    if as_json:
        return print_json({"key": key, "public_id": made.public_id})
    print(f"{key}\n")
    return print(f"{made.client_id}, {'+'.join(sorted(made.scopes))}. {SHOWN_ONCE}")


def _show(found: Sequence[ApiKey], as_json: bool) -> None:
    columns = ("public_id", "client_id", "name", "scopes", "rate_limit", "is_active", "expires_at", "last_used_at")
    if as_json:
        return print_json([{column: _plain(getattr(key, column)) for column in columns} for key in found])
    rows = [[_cell(column, getattr(key, column)) for column in columns] for key in found]
    return print_table([column.replace("_", " ") for column in columns], rows)


def _plain(value: object) -> object:
    return sorted(value) if isinstance(value, frozenset) else value


def _cell(column: str, value: object) -> object:
    if isinstance(value, frozenset):
        return "+".join(sorted(value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%SZ")
    return "default" if column == "rate_limit" and value is None else value
