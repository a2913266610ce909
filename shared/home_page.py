"""``GET /``: where a person who knows the port only is led to."""

from fastapi import APIRouter, Response
from starlette.responses import RedirectResponse

HOME_PATH = "/"


def home_routes(page: str) -> APIRouter:
    """Redirects ``/`` to ``page``; to be served without a key, as ``HOME_PATH`` among the public paths."""
    router = APIRouter(include_in_schema=False)

    @router.get(HOME_PATH)
    async def home() -> Response:
        return RedirectResponse(page, 302)

    return router
