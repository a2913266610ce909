"""Log lines: JSON in services, readable on a terminal, each with a stable `action`.

`structlog.get_logger().info("batch_stored", events=500)` writes one line to standard error whose `action` is
`batch_stored`: a fixed word to search and count by, facts beside it. Lines of libraries (uvicorn, asyncio) have
the logger's name as action and their text as `text`. Payloads never belong in a line; keys and passwords that
get into one are masked.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, Literal

import orjson
import structlog
from structlog.typing import Processor

from shared.masking import mask_secrets

# What PostgreSQL says there quotes rows: ids at best, payloads at worst.
_ROW_QUOTES = re.compile(r"^[ \t]*(?:DETAIL|CONTEXT|QUERY|STATEMENT|LINE \d+):.*\n?", re.MULTILINE)


def configure_logs(*, level: str, form: Literal["auto", "json", "console"], service: str, instance: str = "") -> None:
    """Sets up logging of this process, once, at its start; `level` as in WEIR_LOG_LEVEL.

    Run uvicorn with `log_config=None`, so that it leaves this as it is. Its access log is silenced: the audit
    log holds every call.
    """
    console = form == "console" or (form == "auto" and sys.stderr.isatty())
    severity = getattr(logging, level.upper())
    named = {"service": service} | ({"instance": instance} if instance else {})
    last = [_rendered(console)]
    structlog.configure(
        processors=[*_common(named), *last],
        wrapper_class=structlog.make_filtering_bound_logger(severity),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    _route_libraries(severity, [_name_library_line, *_common(named)], last)


def mask_line(_: object, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: no secrets in any text of the line, no quoted rows of PostgreSQL."""
    for name, value in line.items():
        line[name] = _masked(value)
    return line


def _masked(value: object) -> object:
    if isinstance(value, str):
        return mask_secrets(_ROW_QUOTES.sub("", value))
    if isinstance(value, dict):
        return {name: _masked(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_masked(inner) for inner in value]
    return mask_secrets(_ROW_QUOTES.sub("", str(value))) if isinstance(value, BaseException) else value


def _common(named: dict[str, str]) -> list[Processor]:
    def add_names(_: object, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        return named | line  # type: ignore[operator,no-any-return]  # structlog passes dicts

    return [
        structlog.contextvars.merge_contextvars,
        add_names,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        # As plain text: structlog's and rich's own forms show local variables, and those hold payloads.
        structlog.processors.format_exc_info,
        mask_line,
        structlog.processors.EventRenamer("action"),
    ]


def _rendered(console: bool) -> Processor:
    if not console:
        return structlog.processors.JSONRenderer(serializer=lambda line, **_: orjson.dumps(line, default=str).decode())
    return structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(),
        event_key="action",
        timestamp_key="at",
        exception_formatter=structlog.dev.plain_traceback,
    )


def _name_library_line(logger: object, _: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    record = line.get("_record")
    line["text"] = line["event"]
    line["event"] = record.name if isinstance(record, logging.LogRecord) else "library"
    return line


def _route_libraries(severity: int, before: list[Processor], last: list[Processor]) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=before,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    # Libraries at debug level print what passes through them.
    root.setLevel(max(severity, logging.INFO))
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = name != "uvicorn.access"
        logger.setLevel(logging.NOTSET if logger.propagate else logging.CRITICAL)
    # At info they repeat what Weir says in lines of its own.
    for name in ("uvicorn.error", "psycopg.pool", "httpx2"):
        logging.getLogger(name).setLevel(max(severity, logging.WARNING))
