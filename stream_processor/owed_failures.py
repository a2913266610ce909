"""Failed events that were noted with their entry and never moved: Redis lost the entry, or another hand deleted it.

They are put on the dead stream from their note. Its sink says with the note when they are in ``failed_events``, in the
same transaction, and passes over what was said before; so repeating this does no harm.
"""

from typing import Any, Final

import msgspec
import redis
from psycopg import Connection

from shared.redis_functions import RedisFunction
from shared.redis_keys import ShardKeys, StreamKeys
from shared.sql_files import load_sql
from stream_processor.entries import Failure
from stream_processor.failures import of_entry

AFTER_SECONDS: Final = 60.0
"""A note is younger than that while its entry is being settled."""
_ROWS: Final = 100
_decoder = msgspec.msgpack.Decoder(list[Failure])
_encoder = msgspec.msgpack.Encoder()


def restore_owed(
    connection: Connection[Any], client: "redis.Redis", keys: StreamKeys, after_seconds: float = AFTER_SECONDS
) -> int:
    """Put back what is owed of one stream, at most a hundred entries; of how many entries that was.

    Does nothing while the dead stream holds anything: that may be it. Raises psycopg.Error and redis.RedisError.
    """
    dead = ShardKeys(keys.shard).dead
    owed = connection.execute(
        load_sql("stream_processor", "owed_failures"),
        {"stream": keys.stream, "seconds": after_seconds, "rows": _ROWS},
    ).fetchall()
    if not owed or client.xlen(dead.stream):
        return 0
    restore = RedisFunction("stream_processor", "restore_failures", when_full=True)
    restored = 0
    for entry_id, crc, noted in owed:
        failures = [of_entry(failure, keys.stream, entry_id, crc) for failure in _decoder.decode(noted)]
        names = [keys.stream, dead.stream, dead.totals]
        restored += restore.call(client, names, entry_id, len(failures), _encoder.encode(failures))
    return restored
