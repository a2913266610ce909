"""Failed events that are stored after all: replayed, or sent again by their producer.

Their rows go in the transaction that stores them, so no event is stored and failed. Every acceptance stays counted
once: the row stands for one or more receipts that were counted as failed; they are taken off there, in the minute of
each, and counted as what they became: the replayed one is the stored event, any other is a repeat of it.
"""

from typing import Any

from psycopg import Connection

from shared.sql_files import load_sql
from stream_processor.binary_array import text_array
from stream_processor.event_rows import EventRows
from stream_processor.rollups import RollupAdditions


def remove_recovered(connection: Connection[Any], additions: RollupAdditions, rows: EventRows, new: EventRows) -> None:
    """Remove ``rows``, whose ids are all known now, from the failed events; ``new`` are those stored just now.

    Call it after the ids are inserted: their locks keep others from writing the same failed events. Raises
    psycopg.Error.
    """
    if not rows.replayed and not _any_failed(connection):
        return
    keys = text_array([value[0] for value in rows.key_values]), text_array([value[1] for value in rows.key_values])
    removed = connection.execute(load_sql("stream_processor", "remove_failed_events"), keys).fetchall()
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


def _any_failed(connection: Connection[Any]) -> bool:
    row = connection.execute(load_sql("stream_processor", "any_failed_events")).fetchone()
    return row is not None and row[0]
