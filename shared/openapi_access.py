"""What calls behind a key have in common, added to an OpenAPI document: how to send the key, and how errors look."""

from collections.abc import Callable, Collection
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from shared.problems import MAX_ERRORS, MEDIA_TYPE, TITLES

PROBLEM: Final[dict[str, Any]] = {"$ref": "#/components/schemas/Problem"}
SECURITY: Final[list[dict[str, list[str]]]] = [{"bearer": []}, {"header": []}]
_COMMON_PROBLEMS: Final = ("unauthenticated", "forbidden", "rate-limited", "unavailable")
_BODY_PROBLEMS: Final = ("malformed-json", "body-timeout", "too-large")
_TEXT: Final[dict[str, Any]] = {"schema": {"type": "string"}}
_REQUEST_ID: Final[dict[str, Any]] = {
    "X-Request-ID": {**_TEXT, "required": True, "description": "The caller's, if it sent a sane one; else a new one."}
}
_LIMIT_HEADERS: Final[dict[str, Any]] = {
    "RateLimit-Policy": {**_TEXT, "description": "The key's quota and window; once the key is known."},
    "RateLimit": {**_TEXT, "description": "What is left of it, and for how long."},
}
_RETRY_AFTER: Final[dict[str, Any]] = {
    "Retry-After": {"required": True, "schema": {"type": "integer", "minimum": 1}, "description": "Seconds."}
}
_CHALLENGE: Final[dict[str, Any]] = {"WWW-Authenticate": {**_TEXT, "required": True}}
_HEALTH: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["status", "service", "instance", "redis", "postgresql"],
    "properties": {name: {"type": "string"} for name in ("status", "service", "instance", "redis", "postgresql")}
    | {"replica": {"type": ["object", "null"], "description": "Analytics: the streaming replica that is read."}},
}
HEALTH_ANSWERS: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "Able to work", "content": {"application/json": {"schema": _HEALTH}}},
    503: {"description": "What is down", "content": {"application/json": {"schema": _HEALTH}}},
}
"""The answers of the calls that tell whether a service can work."""
_COMPONENTS: Final[dict[str, dict[str, Any]]] = {
    "schemas": {
        "Problem": {
            "type": "object",
            "required": ["type", "title", "status", "detail", "request_id"],
            "properties": {
                "type": {"type": "string"},
                "title": {"type": "string"},
                "status": {"type": "integer"},
                "detail": {"type": "string"},
                "request_id": {"type": "string"},
                "errors": {
                    "type": "array",
                    "maxItems": MAX_ERRORS,
                    "items": {
                        "type": "object",
                        "properties": {"pointer": {"type": "string"}, "detail": {"type": "string"}},
                    },
                },
            },
        }
    },
    "securitySchemes": {
        "bearer": {"type": "http", "scheme": "bearer"},
        "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    },
}


def problem_response(problem: str) -> dict[str, Any]:
    """A response that is a problem document of this type."""
    return {"description": TITLES[problem][1], "content": {MEDIA_TYPE: {"schema": PROBLEM}}}


def documented(
    app: FastAPI, public_paths: Collection[str], more: dict[str, Any], invalid: str, problems: Collection[str] = ()
) -> Callable[[], dict[str, Any]]:
    """The ``openapi`` of an application, made once: its routes and ``more`` paths, with keys and problems described.

    ``invalid`` is the problem type of a bad value, ``problems`` are those that any call behind a key may answer beside
    the common ones.
    """

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
            for path, operations in schema["paths"].items():
                if path not in public_paths:
                    for operation in operations.values():
                        _describe(operation, invalid, problems)
            schema["paths"] = {**more, **schema["paths"]}
            for path, operations in schema["paths"].items():
                for operation in operations.values():
                    _describe_headers(operation["responses"], is_public=path in public_paths)
            for kind, components in _COMPONENTS.items():
                schema.setdefault("components", {}).setdefault(kind, {}).update(components)
            app.openapi_schema = schema
        return app.openapi_schema

    return openapi


def _describe(operation: dict[str, Any], invalid: str, problems: Collection[str]) -> None:
    operation["security"] = SECURITY
    responses = operation["responses"]
    if "422" in responses:  # FastAPI's own form is not what is answered here
        responses["422"] = problem_response(invalid)
    in_path = any(parameter["in"] == "path" for parameter in operation.get("parameters", []))
    more = (*(["not-found"] if in_path else []), *(_BODY_PROBLEMS if "requestBody" in operation else ()), *problems)
    for problem in (*_COMMON_PROBLEMS, *more):
        responses.setdefault(str(TITLES[problem][0]), problem_response(problem))


def _describe_headers(responses: dict[str, Any], *, is_public: bool) -> None:
    for status, response in responses.items():
        headers = {**_REQUEST_ID, **({} if is_public else _LIMIT_HEADERS)}
        headers |= _RETRY_AFTER if status in ("429", "503") and not is_public else {}
        headers |= _CHALLENGE if status == "401" else {}
        response["headers"] = headers | response.get("headers", {})
