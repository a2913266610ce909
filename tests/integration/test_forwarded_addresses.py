"""X-Forwarded-For is believed from the proxies that are named, and from nobody else."""

from pathlib import Path

import pytest
import redis

from shared.redis_keys import ShardKeys
from shared.stream_entry import decode_blocks
from tests.gateway_process import new_event, running_gateway


@pytest.mark.parametrize(
    ("trusted", "seen"),
    [("", "127.0.0.1"), ("192.0.2.0/24", "127.0.0.1"), ("127.0.0.0/8", "203.0.113.9")],
    ids=["nobody is named", "another is named", "the proxy is named"],
)
def test_a_forwarded_address_counts_from_a_named_proxy_only(
    tmp_path: Path, database_url: str, redis_url: str, trusted: str, seen: str
) -> None:
    with running_gateway(tmp_path, database_url, redis_url, WEIR_TRUSTED_PROXIES=trusted) as gateway:
        answer = gateway.ingest(new_event(), headers={"X-Forwarded-For": "203.0.113.9"})
        assert answer.status_code == 202
    with redis.Redis.from_url(redis_url) as client:
        ((_, fields),) = client.xrange(ShardKeys(0).events.stream)
    assert [block.address for block in decode_blocks(fields[b"e"])] == [seen]
