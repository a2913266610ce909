"""What is wrong with an answer to a hostile request: a pure decision, one sentence a fault."""

from typing import Any

import orjson

from shared.problems import MAX_ERRORS, MEDIA_TYPE, TITLES
from tests.raw_http import RawAnswer

MAX_REFUSAL_BYTES = 4096
MAX_ANSWER_BYTES = 1024 * 1024
MARK = "hunter2"
"""Stands in most hostile values: what was sent and never belongs into a refusal."""
_SPLIT = ("x-injected", "set-cookie")


def faults(answer: RawAnswer, method: str = "GET") -> list[str]:
    """The faults of any answer, accepted or refused; none for a good one."""
    found = [f"a header {name!r} was injected" for name in _SPLIT if name in answer.headers]
    found += [] if "x-request-id" in answer.headers else ["it has no X-Request-ID"]
    if any(MARK in value for value in answer.headers.values()):
        found.append("a header echoes the input")
    if answer.status >= 500:
        return [*found, f"{answer.status}: {answer.body[:200]!r}"]
    if answer.status < 400:
        return found if len(answer.body) <= MAX_ANSWER_BYTES else [*found, f"{len(answer.body)} bytes"]
    return found + (refusal_faults(answer) if method != "HEAD" else [])


def refusal_faults(answer: RawAnswer) -> list[str]:
    """The faults of a 4xx: it must be a problem document, small, and silent about the input."""
    if answer.headers.get("content-type") != MEDIA_TYPE:
        return [f"{answer.status} is {answer.headers.get('content-type')}: {answer.body[:200]!r}"]
    found = []
    if len(answer.body) > MAX_REFUSAL_BYTES:
        found.append(f"the refusal has {len(answer.body)} bytes: {answer.body[:200]!r}")
    if MARK.encode() in answer.body:
        found.append(f"the refusal echoes the input: {answer.body[:300]!r}")
    document: dict[str, Any] = orjson.loads(answer.body)
    type_ = document["type"].removeprefix("/problems/")
    if TITLES.get(type_) != (answer.status, document["title"]):
        found.append(f"{answer.status} has the type {type_!r} and the title {document['title']!r}")
    if document["status"] != answer.status or not document["detail"]:
        found.append("status or detail are wrong")
    if document["request_id"] != answer.headers.get("x-request-id"):
        found.append("body and header have not the same request id")
    if len(document.get("errors", [])) > MAX_ERRORS or any(
        set(e) != {"pointer", "detail"} for e in document.get("errors", [])
    ):
        found.append("its errors are not as promised")
    return found
