"""``GET /dashboard``: the live page and its files. No build step, nothing from elsewhere; asks for a key by itself."""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from html import escape
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

from fastapi import APIRouter, Request, Response

from shared.problems import Problem

PAGE_PATH: Final = "/dashboard"
_PAGE_FILE: Final = "page.html"
_GATEWAY_PORT: Final = b"{{gateway_port}}"  # in the page: its first curl line names the gateway
_PUBLIC_URL: Final = b"{{public_url}}"  # the same, behind a proxy

_MEDIA_TYPES: Final = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "txt": "text/plain; charset=utf-8",
}
_IMMUTABLE: Final = "vendor/"
"""Files below carry their version in their path, so a copy is good for ever."""

_HEADERS: Final = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


@dataclass(frozen=True, slots=True)
class StaticFile:
    """One file as it is served."""

    content: bytes
    media_type: str
    cache_control: str

    @property
    def etag(self) -> str:
        """A strong one: equal content only has an equal one."""
        return f'"{sha256(self.content).hexdigest()[:32]}"'


def _names(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, Traversable]]:
    for child in folder.iterdir():
        name = prefix + child.name
        if child.is_dir():
            yield from _names(child, f"{name}/")
        elif name.rpartition(".")[2] in _MEDIA_TYPES:
            yield name, child


def _path_of(name: str) -> str:
    return PAGE_PATH if name == _PAGE_FILE else f"{PAGE_PATH}/{name}"


_FILES: Final = dict(_names(files("analytics_api") / "static"))

PATHS: Final = frozenset(map(_path_of, _FILES))
"""All that is served here, without a key: the page itself holds no data."""


def read_files(gateway_port: int, public_url: str = "") -> dict[str, StaticFile]:
    """Every file by its path, read once."""
    return {_path_of(name): _read(name, file, gateway_port, public_url) for name, file in _FILES.items()}


def _read(name: str, file: Traversable, gateway_port: int, public_url: str) -> StaticFile:
    content = file.read_bytes()
    if name == _PAGE_FILE:
        content = content.replace(_GATEWAY_PORT, str(gateway_port).encode())
        content = content.replace(_PUBLIC_URL, escape(public_url).encode())
    # "no-cache" is: keep it, and ask each time whether it is still good. A new release shows at once.
    cache_control = "public, max-age=31536000, immutable" if name.startswith(_IMMUTABLE) else "no-cache"
    return StaticFile(content, _MEDIA_TYPES[name.rpartition(".")[2]], cache_control)


def dashboard_routes(gateway_port: int, public_url: str = "") -> APIRouter:
    """The page and its files; one that the browser has already is answered 304."""
    router = APIRouter(include_in_schema=False)
    served = read_files(gateway_port, public_url)

    def answer(request: Request) -> Response:
        file = served.get(request.url.path)
        if file is None:
            raise Problem("not-found", "no such path; /docs lists the calls")
        headers = {**_HEADERS, "cache-control": file.cache_control, "etag": file.etag}
        if is_known(request.headers.get("if-none-match", ""), file.etag):
            return Response(status_code=304, headers=headers)
        return Response(file.content, headers=headers, media_type=file.media_type)

    @router.get(PAGE_PATH)
    async def page(request: Request) -> Response:
        return answer(request)

    @router.get(PAGE_PATH + "/{name:path}")
    async def file(request: Request) -> Response:
        return answer(request)

    return router


def is_known(if_none_match: str, etag: str) -> bool:
    """Whether the header ``If-None-Match`` names ``etag`` (RFC 9110: compared weakly, ``*`` is any)."""
    tags = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return "*" in tags or etag in tags
