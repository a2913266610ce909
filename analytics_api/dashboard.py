"""``GET /dashboard``: a page that asks for a key, and its script and style. No build step, nothing from elsewhere."""

from importlib.resources import files
from typing import Final

from fastapi import APIRouter, Response

PATHS: Final = frozenset(("/dashboard", "/dashboard/page.js", "/dashboard/page.css"))

_HEADERS: Final = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-cache",
}


def dashboard_routes() -> APIRouter:
    """The page's three files, read once."""
    router = APIRouter(include_in_schema=False)
    folder = files("analytics_api") / "static"
    page, script, style = ((folder / f"dashboard.{kind}").read_bytes() for kind in ("html", "js", "css"))

    @router.get("/dashboard")
    async def dashboard() -> Response:
        return Response(page, headers=_HEADERS, media_type="text/html")

    @router.get("/dashboard/page.js")
    async def dashboard_script() -> Response:
        return Response(script, headers=_HEADERS, media_type="text/javascript")

    @router.get("/dashboard/page.css")
    async def dashboard_style() -> Response:
        return Response(style, headers=_HEADERS, media_type="text/css")

    return router
