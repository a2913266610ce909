"""Errors over HTTP: problem documents (RFC 9457), one shape for both services."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import orjson

from shared.errors import WeirError

TITLES: Final = {
    "malformed-json": (400, "The body is not valid JSON"),
    "bad-request": (400, "The request cannot be understood"),
    "unauthenticated": (401, "A valid API key is needed"),
    "forbidden": (403, "The API key may not do this"),
    "not-found": (404, "There is nothing here"),
    "method-not-allowed": (405, "This method is not served here"),
    "request-timeout": (408, "The request did not arrive in time"),
    "body-timeout": (408, "The body did not arrive in time"),
    "conflict": (409, "The request contradicts the present state"),
    "too-large": (413, "The request is too large"),
    "unsupported-media-type": (415, "This kind of body is not understood"),
    "invalid-event": (422, "An event is invalid"),
    "invalid-query": (422, "A parameter is invalid"),
    "invalid-request": (422, "A field is invalid"),
    "rate-limited": (429, "The rate limit is reached"),
    "headers-too-large": (431, "The request's headers are too large"),
    "internal-error": (500, "Something failed here"),
    "unavailable": (503, "A server that is needed does not answer"),
    "backlog-full": (503, "Too many events wait to be stored"),
    "query-timeout": (504, "The query took too long"),
}
"""Problem type (the last part of ``/problems/<type>``) to HTTP status and title."""

MAX_ERRORS: Final = 20


@dataclass(frozen=True, slots=True)
class FieldError:
    """One place in the request and what is wrong there; never the input itself."""

    pointer: str
    detail: str


class Problem(WeirError):  # noqa: N818  the RFC's word
    """A request that is refused, or cannot be served now; nothing of it was kept, unless the status is 5xx.

    ``type`` is a key of TITLES; ``retry_after`` is in whole seconds; ``detail`` and ``errors`` never hold the input.
    """

    def __init__(
        self,
        type: str,
        detail: str,
        *,
        errors: Sequence[FieldError] = (),
        retry_after: int | None = None,
        headers: Sequence[tuple[str, str]] = (),
    ) -> None:
        super().__init__(detail)
        self.type = type
        self.status, self.title = TITLES[type]
        self.detail = detail
        self.errors = tuple(errors)
        self.retry_after = retry_after
        self.headers = tuple(headers)

    def body(self, request_id: str) -> bytes:
        """The document, with at most MAX_ERRORS errors."""
        document: dict[str, object] = {
            "type": f"/problems/{self.type}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
        }
        if self.errors:
            document["errors"] = [
                {"pointer": error.pointer, "detail": error.detail} for error in self.errors[:MAX_ERRORS]
            ]
        document["request_id"] = request_id
        return orjson.dumps(document)


MEDIA_TYPE: Final = "application/problem+json"
