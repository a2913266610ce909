"""More shards than WEIR_STREAM_SHARDS says: it was lowered, and what waits in the others is stored all the same."""

from typing import Any

import pytest
import redis

from shared.accepted_counts import account_field
from shared.redis_keys import ShardKeys
from shared.shards_in_use import all_shards, shards_beyond
from tests.pipeline import block, event, now_us, processing, put, stored_ids, wait_until_drained
from tests.servers import EmbeddedUnderTest
from tests.waiting import eventually


def test_shards_beyond_are_those_that_hold_something(any_redis: EmbeddedUnderTest) -> None:
    with redis.Redis.from_url(any_redis.url) as client:
        assert (shards_beyond(client, 1), all_shards(client, 1)) == ([], 1)
        put(client, block(event("a")), keys=ShardKeys(0).events)
        put(client, block(event("a")), keys=ShardKeys(3).dead)
        client.hset(ShardKeys(7).accepted, account_field(now_us(), "acme"), 1)
        client.xgroup_create(ShardKeys(5).events.stream, "weir", id="0", mkstream=True)
        assert (shards_beyond(client, 1), all_shards(client, 1)) == ([3, 7], 8)
        assert shards_beyond(client, 8) == []


def test_what_waits_in_shards_beyond_the_setting_is_stored(
    redis_url: str, database_url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    client: Any = redis.Redis.from_url(redis_url)
    for shard in range(4):
        put(client, block(event(f"e{shard}")), keys=ShardKeys(shard).events)
    with processing(redis_url, database_url, shards=2):
        wait_until_drained(client)
        eventually(lambda: shards_beyond(client, 0) == [])
    assert stored_ids(database_url) == ["e0", "e1", "e2", "e3"]
    client.close()
