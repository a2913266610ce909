"""The live metrics over a WebSocket, on real servers: right numbers, each client its own, and who may watch."""

from collections.abc import Iterator

import pytest
import redis

from tests.analytics_server import AnalyticsUnderTest, serve_analytics
from tests.live_viewer import message_with, next_message, viewing
from tests.pipeline import KEYS, Pipeline, block, event, put


@pytest.fixture
def client(redis_url: str) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
def api(database_url: str, redis_url: str) -> Iterator[AnalyticsUnderTest]:
    with serve_analytics(database_url, redis_url) as api:
        yield api


def test_what_is_accepted_and_stored_is_told_within_seconds(
    api: AnalyticsUnderTest, client: "redis.Redis", database_url: str, redis_url: str
) -> None:
    with viewing(api) as viewer:
        next_message(viewer)
        put(client, block(event("a"), event("b"), event("c", event_type="order.paid")))
        waiting = message_with(viewer, lambda message: message["lag"] == 3)
        assert waiting["totals"]["accepted"] == 3
        assert waiting["totals"]["stored"] == 0
        Pipeline(redis_url, database_url).pass_on()
        stored = message_with(viewer, lambda message: message["totals"]["stored"] == 3)
        assert (stored["rates"]["stored"] > 0, stored["lag"]) == (True, 0)
        assert stored["counts_by_type"] == [
            {"event_type": "order.created", "count": 2}, {"event_type": "order.paid", "count": 1},
        ]  # fmt: skip
        assert stored["latency_ms"]["count"] == 3
        assert [stream["name"] for stream in stored["streams"]] == [keys.name for keys in KEYS.streams]
        assert stored["unavailable"] == []
