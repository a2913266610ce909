"""Administration of API keys over HTTP. Scope admin; a secret is shown at creation and rotation only."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated, Any, cast

import psycopg
from fastapi import APIRouter, Depends, Path, Query, Response
from psycopg_pool import AsyncConnectionPool, PoolTimeout
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, field_validator

from shared import key_store
from shared.access import require_scope
from shared.api_keys import CLIENT_ID_PATTERN, ApiKey, Scope
from shared.problems import FieldError, Problem
from shared.rfc_3339 import Time

Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]
RateLimit = Annotated[StrictInt, Field(ge=0, le=10_000_000, description="Requests a window; 0 is none")]
PublicId = Annotated[str, Path(min_length=1, max_length=64, pattern=r"^[0-9A-Za-z]+$")]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=False)

    @field_validator("expires_at", check_fields=False)
    @classmethod
    def _must_be_ahead(cls, value: datetime | None) -> datetime | None:
        if value is not None and value <= datetime.now(UTC):
            raise ValueError("must lie ahead of now")
        return value


class NewKey(_Body):
    """What is given to make a key."""

    client_id: Annotated[str, Field(pattern=CLIENT_ID_PATTERN)]
    name: Name
    rate_limit: RateLimit | None = None
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=3)] = [Scope.INGEST, Scope.READ]
    expires_at: Time | None = None


class KeyChange(_Body):
    """What may change; a field that is absent stays, null takes a limit or an expiry away."""

    is_active: StrictBool | None = None
    rate_limit: RateLimit | None = None
    name: Name | None = None
    expires_at: Time | None = None


class KeyView(BaseModel):
    """A key without its secret."""

    public_id: str
    client_id: str
    name: str
    scopes: list[str]
    rate_limit: int | None
    is_active: bool
    expires_at: datetime | None
    created_at: datetime
    last_used_at: datetime | None


class KeyList(BaseModel):
    """Keys, newest first."""

    keys: list[KeyView]


class NewKeyView(KeyView):
    """A key with its secret: the only time it is shown."""

    key: str


def key_routes(pool: AsyncConnectionPool[Any], pepper: bytes) -> APIRouter:
    """The routes under ``/api/v1/keys``."""
    router = APIRouter(prefix="/api/v1/keys", tags=["keys"], dependencies=[Depends(require_scope(Scope.ADMIN))])

    @asynccontextmanager
    async def database() -> AsyncIterator[psycopg.AsyncConnection[Any]]:
        try:
            async with pool.connection(timeout=3) as connection:
                yield connection
        except (psycopg.OperationalError, PoolTimeout) as error:
            raise Problem("unavailable", "PostgreSQL does not answer; nothing was changed", retry_after=2) from error

    @router.post("", status_code=201, include_in_schema=False)
    @router.post("/", status_code=201)
    async def create(new: NewKey, response: Response) -> NewKeyView:
        """Make a key. The answer holds it, once."""
        async with database() as connection:
            api_key, key = await key_store.create_key(
                connection,
                pepper,
                client_id=new.client_id,
                name=new.name,
                scopes=frozenset(new.scopes),
                rate_limit=new.rate_limit,
                expires_at=new.expires_at,
            )
        response.headers["Location"] = f"/api/v1/keys/{api_key.public_id}"
        response.headers["Cache-Control"] = "no-store"
        return NewKeyView(**_view(api_key), key=key)

    @router.get("", include_in_schema=False)
    @router.get("/")
    async def list_all(client_id: Annotated[str | None, Query(pattern=CLIENT_ID_PATTERN)] = None) -> KeyList:
        """All keys, newest first, or one client's."""
        async with database() as connection:
            return KeyList(keys=[KeyView(**_view(key)) for key in await key_store.list_keys(connection, client_id)])

    @router.patch("/{public_id}")
    async def change(public_id: PublicId, body: KeyChange) -> KeyView:
        """Change a key; effective everywhere within 5 seconds."""
        changes = cast(key_store.KeyChanges, body.model_dump(exclude_unset=True))
        nulls = [name for name in ("is_active", "name") if name in changes and changes[name] is None]
        if nulls or not changes:
            names: Sequence[str] = nulls or ("is_active", "rate_limit", "name", "expires_at")
            errors = [FieldError(f"/{name}", "must not be null" if nulls else "may be given") for name in names]
            raise Problem(
                "invalid-request", "there is nothing to change" if not nulls else "a value is null", errors=errors
            )
        async with database() as connection:
            return KeyView(**_view(_found(await key_store.update_key(connection, public_id, changes))))

    @router.delete("/{public_id}", status_code=204)
    async def delete(public_id: PublicId) -> None:
        """Delete a key; it stops working everywhere within 5 seconds."""
        async with database() as connection:
            if not await key_store.delete_key(connection, public_id):
                raise _missing()

    @router.post("/{public_id}/rotate")
    async def rotate(public_id: PublicId, response: Response) -> NewKeyView:
        """Give a key a new secret; the old one stops working within 5 seconds."""
        async with database() as connection:
            rotated = await key_store.rotate_key(connection, pepper, public_id)
        if rotated is None:
            raise _missing()
        response.headers["Cache-Control"] = "no-store"
        return NewKeyView(**_view(rotated[0]), key=rotated[1])

    return router


def _view(api_key: ApiKey) -> dict[str, Any]:
    return {
        "public_id": api_key.public_id,
        "client_id": api_key.client_id,
        "name": api_key.name,
        "scopes": sorted(api_key.scopes),
        "rate_limit": api_key.rate_limit,
        "is_active": api_key.is_active,
        "expires_at": api_key.expires_at,
        "created_at": api_key.created_at,
        "last_used_at": api_key.last_used_at,
    }


def _found(api_key: ApiKey | None) -> ApiKey:
    if api_key is None:
        raise _missing()
    return api_key


def _missing() -> Problem:
    return Problem("not-found", "there is no key with this public id")
