"""Failed events that are stored after all: replayed, or sent again by their producer.

Their rows go in the transaction that stores them, so no event is stored and failed. Every acceptance stays counted
once: the row stands for one or more receipts that were counted as failed; they are taken off there, in the minute of
each, and counted as what they became: the replayed one is the stored event, any other is a repeat of it.
"""

from collections.abc import Sequence
from typing import Any, Final

from psycopg import Connection

from shared.sql_files import load_sql
from stream_processor.binary_array import text_array
from stream_processor.event_rows import EventRows
from stream_processor.rollups import RollupAdditions

_FEW: Final = 500
"""Failed events that are compared here, at next to no cost; more are looked for by PostgreSQL, at 2 µs an event."""


def remove_recovered(connection: Connection[Any], additions: RollupAdditions, rows: EventRows, new: EventRows) -> None:
    """Remove ``rows``, whose ids are all known now, from the failed events; ``new`` are those stored just now.

    Needed where there are failed events, or ``rows`` may hold replayed ones. Call it after the ids are inserted: their
    locks keep others from writing the same failed events. Raises psycopg.Error.
    """
    places = _perhaps_failed(connection, rows)
    removed = _remove(connection, rows, places) if places else []
    if removed or rows.replayed:
        _count(additions, removed, new)


def _perhaps_failed(connection: Connection[Any], rows: EventRows) -> Sequence[int]:
    failed = connection.execute(load_sql("stream_processor", "some_failed_keys"), (_FEW,)).fetchall()
    if len(failed) == _FEW:
        return range(len(rows.keys))
    keys = set(failed)
    return [place for place, key in enumerate(rows.keys) if key in keys] if keys else ()


def _remove(connection: Connection[Any], rows: EventRows, places: Sequence[int]) -> list[tuple[str, str, list[int]]]:
    values = [rows.key_values[place] for place in places]
    keys = text_array([value[0] for value in values]), text_array([value[1] for value in values])
    return connection.execute(load_sql("stream_processor", "remove_failed_events"), keys).fetchall()


def _count(additions: RollupAdditions, removed: list[tuple[str, str, list[int]]], new: EventRows) -> None:
    replayed = {
        (block.client_id, frame.event_id): block.received_us for _, block, frame in new.events if block.replayed
    }
    for client_id, event_id, receipts in removed:
        for received_us in receipts:
            counts = additions.intake_of(client_id, received_us)
            counts.failed -= 1
            if replayed.get((client_id, event_id)) == received_us:
                del replayed[client_id, event_id]
            else:
                counts.duplicates += 1
    for (client_id, _), received_us in replayed.items():  # discarded while the replay was under way
        additions.intake_of(client_id, received_us).failed -= 1
