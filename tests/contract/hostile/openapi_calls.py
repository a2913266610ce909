"""The calls of a service as its OpenAPI document tells them: so a new call is attacked as soon as it is documented."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import orjson

Document = dict[str, Any]
_PLAIN: dict[str, Any] = {
    "string": "a", "integer": 1, "number": 1, "boolean": False, "object": {}, "null": None,
}  # fmt: skip
_FORMATS = {"date-time": "2026-01-31T12:00:00Z", "date": "2026-01-31", "uuid": "0" * 32}


@dataclass(frozen=True)
class Call:
    """One operation with harmless values for all that it asks for."""

    method: str
    path: str
    query: dict[str, str] = field(default_factory=dict)
    """Every parameter of the query, required or not."""
    required: frozenset[str] = frozenset()
    path_names: tuple[str, ...] = ()
    header_names: tuple[str, ...] = ()
    media_type: str = ""
    body: dict[str, Any] | None = None
    """The fields that must be there; None for a call without a JSON object as body."""
    body_names: tuple[str, ...] = ()
    description: str = ""

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    def target(self, **raw_places: str) -> str:
        """The path with these, already escaped, in its places; "a" in those that are left."""
        path = self.path
        for name in self.path_names:
            path = path.replace("{" + name + "}", raw_places.get(name, "a"))
        return path

    def with_query(self, *raw_pairs: str) -> str:
        """The target with what it requires and these pairs, already escaped, which come instead of their names."""
        names = {pair.partition("=")[0] for pair in raw_pairs}
        kept = [f"{name}={quote(self.query[name])}" for name in sorted(self.required) if name not in names]
        return f"{self.target()}?{'&'.join([*kept, *raw_pairs])}"

    def with_body(self, changes: dict[str, Any]) -> bytes:
        return orjson.dumps({**(self.body or {}), **changes})


def calls(document: Document) -> Iterator[Call]:
    """All calls of a document."""
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            parameters = [resolve(document, parameter) for parameter in operation.get("parameters", [])]
            in_query = [parameter for parameter in parameters if parameter["in"] == "query"]
            media_type, schema = _json_body(document, operation)
            names = schema.get("properties", {})
            yield Call(
                method=method.upper(),
                path=path,
                query={one["name"]: _as_text(sample(document, one.get("schema", {}))) for one in in_query},
                required=frozenset(one["name"] for one in in_query if one.get("required")),
                path_names=tuple(one["name"] for one in parameters if one["in"] == "path"),
                header_names=tuple(one["name"] for one in parameters if one["in"] == "header"),
                media_type=media_type,
                body=_without_effect(names, sample(document, schema)) if names else None,
                body_names=tuple(names),
                description=operation.get("description", ""),
            )


def sample(document: Document, schema: dict[str, Any]) -> Any:
    """A value that the schema takes, as far as its kind, its choices and what it requires say."""
    schema = resolve(document, schema)
    for word in ("const", "default", "example"):
        if schema.get(word) is not None:
            return schema[word]
    if "enum" in schema:
        return schema["enum"][0]
    for word in ("anyOf", "oneOf", "allOf"):
        if word in schema:
            return sample(document, schema[word][0])
    kind = schema.get("type", "string")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "array":
        return [sample(document, schema.get("items", {}))]
    if kind == "object":
        fields = schema.get("properties", {})
        return {name: sample(document, fields[name]) for name in schema.get("required", []) if name in fields}
    if kind in ("integer", "number"):
        return schema.get("minimum", _PLAIN[kind])
    return _FORMATS.get(schema.get("format", ""), _PLAIN[kind])


def resolve(document: Document, node: dict[str, Any]) -> dict[str, Any]:
    """What a node says, or the one it points to."""
    while "$ref" in node:
        target: Any = document
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        node = target
    return node


def _json_body(document: Document, operation: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    content = operation.get("requestBody", {}).get("content", {})
    if "application/json" not in content:
        return next(iter(content), ""), {}
    return "application/json", resolve(document, content["application/json"].get("schema", {}))


def _without_effect(names: Collection[str], body: dict[str, Any]) -> dict[str, Any]:
    return {**body, "dry_run": True} if "dry_run" in names else body


def _as_text(value: Any) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)
