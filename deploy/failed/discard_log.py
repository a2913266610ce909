"""The trace that discarded events leave: who let go of what, and when."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict

import structlog

from shared.failed_events import FailedEvent, Selection
from shared.logs import mask_line


def log_discarded(selection: Selection, events: list[FailedEvent]) -> None:
    """One line an event on stderr, never its payload. JSON, on a terminal too: it is meant to be kept."""
    asked = {name: str(value) for name, value in asdict(selection).items() if value is not None}
    log = structlog.wrap_logger(
        structlog.WriteLogger(sys.stderr),
        processors=[
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
            structlog.processors.EventRenamer("action"),
            mask_line,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.BoundLogger,
    )
    for event in events:
        log.info(
            "failed_event.discarded", id=event.id, client_id=event.client_id, event_id=event.event_id,
            reason=event.reason, first_failed_at=event.first_failed_at.isoformat(), by_uid=os.getuid(), asked=asked,
        )  # fmt: skip
