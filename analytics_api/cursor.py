"""Cursors: where a page ended, so that the next one begins right behind it, whatever was stored in between.

A cursor holds the whole range, resolved when the first page was asked for, and a digest of the filters: with other
filters it is refused. It is readable, and grants nothing: every page checks the key anew.
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from zlib import crc32

import msgspec

from analytics_api.time_range import TimeRange, resolve_range
from shared.problems import FieldError, Problem
from shared.rfc_3339 import MAX_YEAR

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_CURSOR_PARAMETERS: Final = ("cursor", "limit")
_MAX_US: Final = (datetime(MAX_YEAR + 1, 1, 1, tzinfo=UTC) - _EPOCH) // _MICROSECOND


class _Fields(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    digest: int
    start_us: int
    end_us: int
    last_us: int
    last_key: list[str | int]


@dataclass(frozen=True, slots=True)
class Page:
    """What to read: rows of the range that come behind the last one, newest first; the first page has no last one."""

    asked: TimeRange
    last_at: datetime | None = None
    last_key: tuple[str | int, ...] = ()

    @property
    def end(self) -> datetime:
        """Rows behind the last one are not younger than it: lets indexes and partitions be cut off there."""
        return self.asked.end if self.last_at is None else min(self.asked.end, self.last_at + _MICROSECOND)


def filters_digest(call: str, filters: Mapping[str, object]) -> int:
    """A number that tells the calls and filters of cursors apart; ``limit`` may change from page to page."""
    kept = {name: str(value) for name, value in filters.items() if name not in _CURSOR_PARAMETERS}
    return crc32(msgspec.msgpack.encode([call, sorted(kept.items())]))


def open_page(
    cursor: str | None,
    digest: int,
    start: datetime | None,
    end: datetime | None,
    key_types: tuple[type, ...],
) -> Page:
    """The page that is asked for. Raises Problem invalid-query for a cursor of another call or other filters."""
    if cursor is None:
        return Page(resolve_range(start, end))
    try:
        fields = msgspec.msgpack.decode(base64.b64decode(cursor, b"-_", validate=True), type=_Fields)
    except (msgspec.DecodeError, binascii.Error, ValueError):
        raise _bad_cursor() from None
    times = (fields.start_us, fields.end_us, fields.last_us)
    if fields.digest != digest or not all(-_MAX_US < time_us < _MAX_US for time_us in times):
        raise _bad_cursor()
    if tuple(map(type, fields.last_key)) != key_types or not all(map(_is_storable, fields.last_key)):
        raise _bad_cursor()
    first, behind, last_at = (_EPOCH + time_us * _MICROSECOND for time_us in times)
    return Page(TimeRange(first, behind), last_at, tuple(fields.last_key))


def next_cursor(page: Page, digest: int, last_at: datetime, last_key: tuple[str | int, ...]) -> str:
    """The cursor of the page that begins behind this row."""
    moments = (page.asked.start, page.asked.end, last_at)
    start_us, end_us, last_us = ((moment - _EPOCH) // _MICROSECOND for moment in moments)
    fields = _Fields(digest, start_us, end_us, last_us, list(last_key))
    return base64.b64encode(msgspec.msgpack.encode(fields), b"-_").decode()


def _is_storable(value: str | int) -> bool:
    return -(2**63) <= value < 2**63 if isinstance(value, int) else "\x00" not in value


def _bad_cursor() -> Problem:
    detail = "must be the 'next_cursor' of an answer to this call with these very filters"
    return Problem("invalid-query", f"'cursor' {detail}", errors=[FieldError("/query/cursor", detail)])
