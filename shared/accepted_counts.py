"""How many events were accepted, by client and minute of receipt: counted in Redis where it becomes true.

The atomic function that appends events adds them to a hash of their shard, field ``<minute>:<client>``, the minute
counted from 1970 and taken from the block's ``received_us``, as ``rollup_intake_minute`` takes it. From there the
counts move to ``rollup_accepted_minute``.
"""

from typing import Final

import redis

MINUTE_US: Final = 60_000_000
_PAGE: Final = 1000

Account = tuple[int, str]
"""A minute, counted from 1970, and a client."""


def account_field(received_us: int, client_id: str) -> str:
    """The field in which a request's events are counted."""
    return f"{received_us // MINUTE_US}:{client_id}"


def read_accepted(client: "redis.Redis", key: str) -> dict[Account, int]:
    """Every count in one shard's hash, read in pages. Raises redis.RedisError.

    A field that is there all the while is there in the answer; one that is removed meanwhile may be missing.
    """
    counts = {}
    for field, count in client.hscan_iter(key, count=_PAGE):
        minute, _, client_id = field.decode().partition(":")
        counts[int(minute), client_id] = int(count)
    return counts
