"""Finding the rows that PostgreSQL cannot take, so that one bad event never takes a batch with it."""

from collections.abc import Callable, Sequence
from typing import Any

import psycopg
from psycopg import Connection

from stream_processor.failure_decision import Decision, decide

Places = Sequence[int]


def store_halves(
    connection: Connection[Any],
    places: Places,
    store: Callable[[Places], None],
    give_up: Callable[[int, Exception], None],
) -> None:
    """Store what can be stored; halve what cannot, down to single rows: O(log n) savepoints for each bad row.

    ``store`` writes the rows at the given places or raises; ``give_up`` is told of each row that cannot be written
    alone. Places stay in their order. Raises what ``store`` raises when it is not the data's fault.
    """
    if not places:
        return
    try:
        with connection.transaction():
            store(places)
    except (psycopg.Error, UnicodeError, OverflowError) as error:
        if decide(error) is not Decision.ISOLATE:
            raise
        if len(places) == 1:
            give_up(places[0], error)
            return
        middle = len(places) // 2
        store_halves(connection, places[:middle], store, give_up)
        store_halves(connection, places[middle:], store, give_up)
