"""Entries that may kill their processor: tried alone, then event by event, until the one that does it is known.

An entry that was delivered more often than WEIR_MAX_ATTEMPTS is a suspect, no more: outages raise its delivery count
too, and so does a culprit in the same batch. It is stored as any other, with the same fence in one transaction, but
  1. alone in its batch, under a mark in Redis that says so; a processor that dies leaves it behind;
  2. after one death under that mark, event by event in key order (no deadlock), each under a mark and in a savepoint of
     its own. After ``DEATHS_ALONE`` deaths at one event, it fails as ``crashed_processor``; the others are stored.
Why this is sound:
  * A death rolls the transaction back, so nothing of the entry is stored, and the fence does not know it; the next try
    begins at the first event. A zombie that had stored the entry is met by the fence before any mark is read.
  * Marks are read when the fence is had: whoever else tried has committed (then there is nothing to do), or has lost
    its transaction. A hung one that wakes up finds its transaction gone, and leaves.
  * A mark is taken off when a try ends in any way but the death of its process, so waiting for a server is never
    counted. Marks are hints, not state: a lost one costs one more death, never an event. Two deaths at one event,
    after one with the entry alone, are no operator's kill.
  * The entry stays one entry: ids, totals, receipts and who waits by ``Prefer`` are as ever.
"""

from collections.abc import Mapping
from typing import Any, Final

from psycopg import Connection

from shared.errors import DataError
from shared.failed_events import Reason
from shared.stream_entry import Block, EventFrame, decode_blocks
from stream_processor.entries import Failure, Failures, Prepared, StreamEntry
from stream_processor.event_sink import EventSink, count_failed
from stream_processor.failures import blob_of, failed_event, unreadable_entry
from stream_processor.rollups import RollupAdditions
from stream_processor.trial_gate import TrialGate
from stream_processor.trial_marks import DECODING, WHOLE, TrialMarks

DEATHS_ALONE: Final = 2
Deaths = Mapping[str, int]
"""Processors that died at each place."""


class CrashTrial:
    """Tries suspects, in the writer's thread. Costs a round trip to Redis and a savepoint an event at most."""

    def __init__(self, sink: EventSink, marks: TrialMarks, gate: TrialGate) -> None:
        self._sink = sink
        self._marks = marks
        self._gate = gate

    def write(self, connection: Connection[Any], suspect: Prepared) -> Failures:
        """Write a fresh entry inside the open transaction; what failed. Raises psycopg.Error, redis.RedisError."""
        entry = suspect.entries[0]
        with self._gate.trial():
            deaths = self._marks.begin(entry.entry_id)
            try:
                failed = (
                    self._try_singly(connection, suspect, deaths) if deaths else self._try_whole(connection, suspect)
                )
            finally:
                self._marks.end(entry.entry_id)
        return {entry.entry_id: failed} if failed else {}

    def _try_whole(self, connection: Connection[Any], suspect: Prepared) -> list[Failure]:
        entry = suspect.entries[0]
        self._marks.trying(entry.entry_id, WHOLE)
        prepared = self._sink.prepare([entry])
        failures = self._sink.write(connection, prepared, frozenset((entry.entry_id,)), isolate=True)
        suspect.additions = prepared.additions
        return failures.get(entry.entry_id, []) + prepared.failures.get(entry.entry_id, [])

    def _try_singly(self, connection: Connection[Any], suspect: Prepared, deaths: Deaths) -> list[Failure]:
        entry = suspect.entries[0]
        additions = RollupAdditions()
        failed: list[Failure] = []
        try:
            events = self._decode(entry, deaths)
        except DataError as error:
            events, failed = [], [unreadable_entry(entry, error)]
        for place, block, frame in sorted(events, key=lambda event: (event[1].client_id, event[2].event_id, event[0])):
            if deaths.get(str(place), 0) >= DEATHS_ALONE:
                failed.append(failed_event(block, frame, _crashed(entry, "it"), entry.deliveries))
                continue
            self._gate.move()
            self._marks.trying(entry.entry_id, str(place))
            failed += self._sink.write_event(connection, entry, block.with_events([frame]), additions)
        count_failed(additions, failed)
        additions.write(connection)
        suspect.additions = additions
        return failed

    def _decode(self, entry: StreamEntry, deaths: Deaths) -> list[tuple[int, Block, EventFrame]]:
        if deaths.get(DECODING, 0) >= DEATHS_ALONE:
            raise _crashed(entry, "the bytes of this entry")
        self._marks.trying(entry.entry_id, DECODING)
        frames = [(block, frame) for block in decode_blocks(blob_of(entry)) for frame in block.events]
        return [(place, block, frame) for place, (block, frame) in enumerate(frames)]


def _crashed(entry: StreamEntry, what: str) -> DataError:
    return DataError(
        Reason.CRASHED_PROCESSOR,
        f"processors died while they tried {what} alone; entry {entry.entry_id} was delivered {entry.deliveries} times",
    )
