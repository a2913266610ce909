"""One batch into PostgreSQL: the fence, the sink's rows and the noted failures in one transaction."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import structlog
from psycopg import Connection
from redis.exceptions import RedisError

from shared.errors import HaltError, SchemaError
from shared.sql_files import load_sql
from stream_processor.binary_array import int4_array, text_array
from stream_processor.copy_binary import text
from stream_processor.crash_points import CrashPoint, reach
from stream_processor.crash_trial import CrashTrial
from stream_processor.entries import Failure, Failures, Prepared, Source, StreamEntry
from stream_processor.failure_decision import Decision, decide
from stream_processor.failure_limit import FailureWindow
from stream_processor.ownership import Ownership
from stream_processor.rollups import RollupAdditions

log = structlog.get_logger()

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[Failure])


@dataclass(frozen=True, slots=True)
class Stored:
    """What is committed: entries that may be acknowledged, and entries whose failures are to be moved first."""

    settled: list[StreamEntry]
    parked: list[tuple[StreamEntry, list[Failure]]]
    redelivered: int
    """Entries that an earlier transaction had stored: nothing was written for them now."""
    additions: RollupAdditions | None = None
    """What the others added to the rollups, where the stream has any."""


class _Strange(Exception):  # noqa: N818  # no error: it only rolls back
    """Entries of the batch that are no longer this processor's."""

    def __init__(self, entry_ids: frozenset[str]) -> None:
        self.entry_ids = entry_ids


def store(
    connection: Connection[Any],
    source: Source,
    prepared: Prepared,
    forget_partitions: Callable[[], None],
    trial: CrashTrial | None = None,
    window: FailureWindow | None = None,
    ownership: Ownership | None = None,
) -> Stored:
    """Write a batch in one transaction; good events are stored, bad ones noted, in the same pass.

    Raises psycopg.Error when PostgreSQL cannot do it now: the caller waits and calls again with the same batch; nothing
    is counted, and a COMMIT whose reply was lost makes the repeat a no-op. Raises SchemaError when waiting cannot help.
    Suspects need ``trial``, a batch in doubt ``ownership``, which leaves out what is others' now; both ask Redis, and
    redis.RedisError is as psycopg.Error. Raises HaltError, with nothing written, when ``window`` reaches its limit.
    """
    isolate = remade = False
    while True:
        try:
            if not isolate and not prepared.suspect:  # else partitions are made for what turns out to be sound
                source.sink.make_room(prepared)
            return _transaction(connection, source, prepared, trial, window, ownership, isolate=isolate)
        except _Strange as strange:
            ours = [entry for entry in prepared.entries if entry.entry_id not in strange.entry_ids]
            log.warning("entries.taken_over", stream=source.keys.stream, entries=len(strange.entry_ids))
            prepared = prepared.portion(ours)
        except (RedisError, HaltError):
            raise
        except Exception as error:
            decision = decide(error)
            if decision is Decision.ISOLATE and not isolate:
                isolate = True
            elif decision is Decision.MAKE_PARTITION and not remade:
                remade = True
                forget_partitions()
            elif decision is Decision.RETRY:
                raise
            else:
                raise refuse_schema(source, error) from error
            log.warning("batch.again", stream=source.keys.stream, decision=decision.name, error=type(error).__name__)


def refuse_schema(source: Source, error: Exception) -> SchemaError:
    """The error of a stream that PostgreSQL, as it is, cannot take."""
    return SchemaError(
        f"stream {source.keys.stream} cannot be stored: {type(error).__name__}: {str(error).strip()}; "
        "nothing is lost, the entries stay pending; mend the schema (weir db status): it is tried again by itself, "
        "and at once after weir processors resume",
        sqlstate=getattr(error, "sqlstate", None),
    )


def _transaction(
    connection: Connection[Any],
    source: Source,
    prepared: Prepared,
    trial: CrashTrial | None,
    window: FailureWindow | None,
    ownership: Ownership | None,
    *,
    isolate: bool,
) -> Stored:
    stream = source.keys.stream
    prepared.additions = None
    crcs = {entry.entry_id: entry.content_crc for entry in prepared.entries}
    with connection.transaction():
        fresh = _fence(connection, stream, crcs, ownership)
        if fresh and prepared.suspect and trial is not None:
            failures = trial.write(connection, prepared)
        else:
            failures = source.sink.write(connection, prepared, fresh, isolate=isolate) if fresh else {}
        for entry_id, found in prepared.failures.items():
            if entry_id in fresh:
                failures[entry_id] = failures.get(entry_id, []) + found
        events = sum(max(entry.events, 1) for entry in prepared.entries if entry.entry_id in fresh)
        # a replay that fails again is no news: it has been among the failed events all the time
        failed = [failure for found in failures.values() for failure in found if not failure.replayed]
        if window is not None and failed:
            window.check(events, len(failed), f"{failed[-1].reason}, {failed[-1].detail}")
        _note(connection, stream, crcs, failures)
        if len(fresh) < len(crcs):
            stale = {entry_id: crc for entry_id, crc in crcs.items() if entry_id not in fresh}
            failures |= _noted(connection, stream, stale)
        reach(CrashPoint.BEFORE_COMMIT)
    reach(CrashPoint.AFTER_COMMIT)
    if window is not None:
        window.add(events, len(failed))
    return Stored(
        [entry for entry in prepared.entries if entry.entry_id not in failures],
        [(entry, failures[entry.entry_id]) for entry in prepared.entries if entry.entry_id in failures],
        len(crcs) - len(fresh),
        prepared.additions,
    )


def _fence(
    connection: Connection[Any], stream: str, crcs: Mapping[str, int], ownership: Ownership | None
) -> frozenset[str]:
    """Claim the entries; those that nobody has stored. Raises _Strange when some of them are others' now."""
    cursor = connection.execute(
        load_sql("stream_processor", "fence_entries"),
        {"stream": stream, "entry_ids": text_array(map(text, crcs)), "crcs": int4_array(crcs.values())},
    )
    fresh = frozenset(entry_id for (entry_id,) in cursor.fetchall())
    if fresh and ownership is not None and (strange := ownership.strange(fresh)):
        raise _Strange(strange)
    return fresh


def _note(connection: Connection[Any], stream: str, crcs: Mapping[str, int], failures: Failures) -> None:
    for entry_id, found in failures.items():
        connection.execute(
            load_sql("stream_processor", "note_failures"),
            {"stream": stream, "entry_id": entry_id, "crc": crcs[entry_id], "failures": _encoder.encode(found)},
        )


def _noted(connection: Connection[Any], stream: str, crcs: dict[str, int]) -> Failures:
    cursor = connection.execute(
        load_sql("stream_processor", "find_failures"),
        {"stream": stream, "entry_ids": list(crcs), "crcs": list(crcs.values())},
    )
    return {entry_id: _decoder.decode(failures) for entry_id, failures in cursor.fetchall()}
