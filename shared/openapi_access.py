"""What calls behind a key have in common, added to an OpenAPI document: how to send the key, and how errors look."""

from collections.abc import Callable, Collection
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from shared.problems import MAX_ERRORS, MEDIA_TYPE, TITLES

PROBLEM: Final[dict[str, Any]] = {"$ref": "#/components/schemas/Problem"}
SECURITY: Final[list[dict[str, list[str]]]] = [{"bearer": []}, {"header": []}]
_COMMON_PROBLEMS: Final = ("unauthenticated", "forbidden", "rate-limited", "unavailable")
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


def documented(app: FastAPI, public_paths: Collection[str], more: dict[str, Any]) -> Callable[[], dict[str, Any]]:
    """The ``openapi`` of an application, made once: its routes and ``more`` paths, with keys and problems described."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
            for path, operations in schema["paths"].items():
                if path not in public_paths:
                    for operation in operations.values():
                        _describe(operation)
            schema["paths"] = {**more, **schema["paths"]}
            for kind, components in _COMPONENTS.items():
                schema.setdefault("components", {}).setdefault(kind, {}).update(components)
            app.openapi_schema = schema
        return app.openapi_schema

    return openapi


def _describe(operation: dict[str, Any]) -> None:
    operation["security"] = SECURITY
    responses = operation["responses"]
    if "422" in responses:  # FastAPI's own form is not what is answered here
        responses["422"] = problem_response("invalid-request")
    for problem in _COMMON_PROBLEMS:
        responses.setdefault(str(TITLES[problem][0]), problem_response(problem))
