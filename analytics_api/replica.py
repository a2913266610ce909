"""Is the PostgreSQL that is read a streaming replica, and how far is it behind?"""

from dataclasses import asdict, dataclass
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import dict_row

from shared.sql_files import load_sql


@dataclass(frozen=True, slots=True)
class Replica:
    """A streaming replica at this moment. ``lag_seconds`` is the age of what it shows, and None when it cannot know.

    While it is not ``streaming``, the lag is the time since the last COMMIT it replayed; there may have been no other.
    """

    streaming: bool
    lag_seconds: float | None

    def described(self) -> dict[str, Any]:
        """As the calls answer it."""
        return asdict(self)


async def read_replica(connection: AsyncConnection[Any]) -> Replica | None:
    """None when the server is a primary, as is a replica once it is promoted. Raises psycopg.Error."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(load_sql("analytics_api", "replica"))
        row = await cursor.fetchone()
    return replica_of(row)


def replica_of(row: dict[str, Any] | None) -> Replica | None:
    """What a row of ``replica.sql`` says."""
    if row is None or not row["is_replica"]:
        return None
    return Replica(row["is_streaming"], row["lag_seconds"])
