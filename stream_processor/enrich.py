"""Enrichment: what is added to an event between Redis and PostgreSQL, kept in the column ``context``.

Built in, once a block: the gateway, the client's address and a summary of its user agent; the times of receipt and of
storage are columns of their own. An enricher of one's own is a callable named in WEIR_ENRICHERS as ``module:callable``:
it takes a ``Block`` and an ``EventFrame`` of it and returns a dict that is added to the context, or an empty one. It
runs once an event on the hot path, must be fast and must not do I/O; when it raises, or what it returns is not JSON,
the event goes to the failed events.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from importlib import import_module
from typing import Any

import orjson
import ua_parser

from shared.errors import DataError, SettingsError
from shared.stream_entry import Block, EventFrame

Enricher = Callable[[Block, EventFrame], dict[str, Any]]


def load_enrichers(names: Sequence[str]) -> list[Enricher]:
    """The callables named ``module:callable``. Raises SettingsError for one that cannot be had."""
    return [_load(name) for name in names]


def _load(name: str) -> Enricher:
    module, _, attribute = name.partition(":")
    try:
        enricher = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise SettingsError(f"WEIR_ENRICHERS: {name!r} cannot be loaded ({error}); give module:callable") from error
    if not callable(enricher):
        raise SettingsError(f"WEIR_ENRICHERS: {name!r} is not callable")
    return enricher  # type: ignore[no-any-return]


@lru_cache(maxsize=4096)
def user_agent_summary(user_agent: str) -> str:
    """Family and major version, and the system: ``Chrome 131 on Windows``; the start of the text when unknown."""
    found = ua_parser.parse(user_agent)
    if found.user_agent is None:
        return user_agent.partition(" ")[0][:64]
    agent = " ".join(part for part in (found.user_agent.family, found.user_agent.major) if part)
    return f"{agent} on {found.os.family}" if found.os else agent


def block_context(block: Block) -> dict[str, Any]:
    """What is known of all events of a block."""
    context: dict[str, Any] = {"gateway": block.gateway, "address": block.address, "request_id": block.request_id}
    if block.user_agent:
        context["user_agent"] = user_agent_summary(block.user_agent)
    return context


def context_json(block: Block) -> bytes:
    """``block_context`` as JSON."""
    return _known_context(block.gateway, block.address, block.user_agent) + orjson.dumps(block.request_id) + b"}"


@lru_cache(maxsize=1024)
def _known_context(gateway: str, address: str, user_agent: str) -> bytes:
    """The context of a producer's requests up to the id of one."""
    context = {"gateway": gateway, "address": address}
    if user_agent:
        context["user_agent"] = user_agent_summary(user_agent)
    return orjson.dumps(context)[:-1] + b',"request_id":'


def event_context(context: dict[str, Any], enrichers: Sequence[Enricher], block: Block, frame: EventFrame) -> bytes:
    """The context of one event as JSON. Raises DataError ``enricher_failed``."""
    merged = dict(context)
    for enricher in enrichers:
        try:
            merged.update(enricher(block, frame))
        except Exception as error:
            name = getattr(enricher, "__qualname__", repr(enricher))
            raise DataError("enricher_failed", f"enricher {name}: {type(error).__name__}") from error
    try:
        return orjson.dumps(merged)
    except TypeError as error:
        raise DataError("enricher_failed", f"what the enrichers return is not JSON: {error}") from error
