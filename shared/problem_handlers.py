"""FastAPI's errors as problem documents, one shape for both services."""

from typing import Final

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Match

from shared.answers import problem_headers
from shared.bounded_body import MAX_BODY_BYTES
from shared.problems import FieldError, Problem

log = structlog.get_logger()

_METHODS: Final = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")
_TYPES: Final = {404: "not-found", 405: "method-not-allowed", 408: "body-timeout", 413: "too-large"}
_DETAILS: Final = {
    404: "no such path; /docs lists the calls",
    405: "this path is not served with this method",
    408: "the body did not arrive in time; nothing was done",
    413: f"the body of this call may have at most {MAX_BODY_BYTES} bytes",
}


def install_problem_handlers(app: FastAPI, invalid: str = "invalid-query") -> None:
    """Make the application answer every error as a problem document; ``invalid`` is the type of a bad parameter."""

    async def on_problem(request: Request, error: Exception) -> Response:
        assert isinstance(error, Problem)  # noqa: S101  registered for this type only
        if request.scope["type"] == "websocket":
            raise error  # before the handshake's end the layer answers it
        request.scope["state"]["problem"] = error.type
        headers = {name.decode(): value.decode() for name, value in problem_headers(error)}
        return Response(error.body(request.state.facts.request_id), error.status, headers)

    async def on_invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)  # noqa: S101
        return await on_problem(request, _invalid(invalid, error))

    async def on_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101
        allowed = _methods_of_path(request) if error.status_code == 405 else ""
        return await on_problem(request, _from_http(error, allowed))

    async def on_failure(request: Request, error: Exception) -> Response:
        request_id = request.state.facts.request_id
        log.error("request.failed", request_id=request_id, path=request.url.path, error=type(error).__name__)
        detail = f"an error of our own; it is logged under request id {request_id}"
        return await on_problem(request, Problem("internal-error", detail))

    app.add_exception_handler(Problem, on_problem)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(Exception, on_failure)


def _invalid(type_: str, error: RequestValidationError) -> Problem:
    errors = []
    for found in error.errors():
        if found["type"] == "json_invalid":
            return Problem("malformed-json", "the body is not valid JSON")
        # A name that is not a field's own is the caller's, and may be of any length and content.
        place = found["loc"][:-1] if found["type"] == "extra_forbidden" else found["loc"]
        errors.append(FieldError("".join(f"/{part}" for part in place), found["msg"].removeprefix("Value error, ")))
    return Problem(type_, f"{len(errors)} value(s) of the request are invalid", errors=errors)


def _methods_of_path(request: Request) -> str:
    """What Allow says: the methods of all routes of this path, where Starlette names those of the first alone."""
    scopes = ({**request.scope, "method": method} for method in _METHODS)
    served = (any(route.matches(scope)[0] is Match.FULL for route in request.app.routes) for scope in scopes)
    return ", ".join(method for method, is_served in zip(_METHODS, served, strict=True) if is_served)


def _from_http(error: HTTPException, allowed: str) -> Problem:
    headers = [("Allow", allowed)] if allowed else list((error.headers or {}).items())
    detail = _DETAILS.get(error.status_code, "the request is refused")
    return Problem(_TYPES.get(error.status_code, "bad-request"), detail, headers=headers)
