"""The live metrics over a WebSocket, on real servers: right numbers, each client its own, and who may watch."""

import json
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import redis
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from shared.api_keys import Scope, parse_key
from tests.analytics_server import AnalyticsUnderTest, serve_analytics
from tests.fault_proxy import FaultProxy
from tests.live_viewer import PATH, closing, message_with, next_message, viewing
from tests.pipeline import KEYS, Pipeline, block, event, execute, put, value
from tests.waiting import eventually


@pytest.fixture
def client(redis_url: str) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
def api(database_url: str, redis_url: str) -> Iterator[AnalyticsUnderTest]:
    with serve_analytics(database_url, redis_url) as api:
        yield api


def address(api: AnalyticsUnderTest) -> str:
    return api.base_url.replace("http://", "ws://") + PATH


def refused_handshake(api: AnalyticsUnderTest, headers: dict[str, str]) -> tuple[int, str]:
    with pytest.raises(InvalidStatus) as caught, connect(address(api), additional_headers=headers, open_timeout=20):
        pass
    return caught.value.response.status_code, json.loads(caught.value.response.body)["type"]


def store_audit(redis_url: str, database_url: str) -> None:
    from stream_processor.audit_sink import AuditSink
    from stream_processor.partitions import DayPartitions
    from tests.pipeline import connect as connect_writer

    sink = AuditSink(DayPartitions(lambda: connect_writer(database_url)))
    pipeline = Pipeline(redis_url, database_url, keys=KEYS.audit, sink=sink)
    pipeline.pass_on()
    pipeline.close()


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
            {"event_type": "order.created", "count": 2},
            {"event_type": "order.paid", "count": 1},
        ]
        assert stored["latency_ms"]["count"] == 3
        assert [stream["name"] for stream in stored["streams"]] == [keys.name for keys in KEYS.streams]
        assert stored["unavailable"] == []


def test_a_duplicate_is_told_as_one(
    api: AnalyticsUnderTest, client: "redis.Redis", database_url: str, redis_url: str
) -> None:
    with viewing(api) as viewer:
        next_message(viewer)
        put(client, block(event("a")))
        put(client, block(event("a")))
        Pipeline(redis_url, database_url).pass_on()
        told = message_with(viewer, lambda message: message["totals"]["duplicate"] == 1)
        assert told["totals"]["stored"] == 1


def test_a_read_key_sees_its_own_client_only(
    api: AnalyticsUnderTest, client: "redis.Redis", database_url: str, redis_url: str
) -> None:
    with viewing(api, api.reader("acme")) as viewer, viewing(api, subscribe={"client_id": "other"}) as admin:
        next_message(viewer), next_message(admin)
        put(client, block(event("a")), block(event("b"), event("c"), client_id="other"))
        Pipeline(redis_url, database_url).pass_on()
        own = message_with(viewer, lambda message: message["totals"]["stored"] == 1)
        assert (own["client_id"], own["lag"], own["streams"], own["processors"]) == ("acme", None, None, None)
        assert message_with(admin, lambda message: message["totals"]["stored"] == 2)["client_id"] == "other"


def test_a_read_key_that_asks_for_another_client_is_closed(api: AnalyticsUnderTest) -> None:
    with viewing(api, api.reader("acme"), subscribe={"client_id": "other"}) as viewer:
        assert closing(viewer)[0] == 4403


def test_handshakes_without_a_usable_key_are_refused_before_they_are_accepted(api: AnalyticsUnderTest) -> None:
    assert refused_handshake(api, {}) == (401, "/problems/unauthenticated")
    assert refused_handshake(api, {"X-API-Key": "weir_no"}) == (401, "/problems/unauthenticated")
    ingest_only = api.make_key("acme", Scope.INGEST)
    assert refused_handshake(api, {"Authorization": f"Bearer {ingest_only}"}) == (403, "/problems/forbidden")


def test_a_page_sends_its_key_as_a_subprotocol_and_never_gets_it_back(api: AnalyticsUnderTest) -> None:
    offered = [Subprotocol("weir.v1"), Subprotocol(f"weir.key.{api.admin}")]
    with viewing(api, None, subprotocols=offered) as viewer:
        assert viewer.subprotocol == "weir.v1"
        assert next_message(viewer)["type"] == "metrics"


def test_handshakes_are_audited(
    api: AnalyticsUnderTest, client: "redis.Redis", database_url: str, redis_url: str
) -> None:
    with viewing(api):
        refused_handshake(api, {})
    store_audit(redis_url, database_url)
    query = "SELECT count(*) FROM audit_logs WHERE status = %s AND path = %s"
    assert value(database_url, query, 101, PATH) == 1
    assert value(database_url, query, 401, PATH) == 1


def test_no_handshake_is_accepted_without_its_audit_record(database_url: str, redis_url: str) -> None:
    with FaultProxy(redis_url) as proxy, serve_analytics(database_url, proxy.url) as api:
        api.get("/api/v1/events")
        proxy.refuse()
        assert refused_handshake(api, {"X-API-Key": api.admin}) == (503, "/problems/unavailable")


def test_a_disabled_key_ends_its_open_connections(api: AnalyticsUnderTest, database_url: str) -> None:
    key = api.reader("acme")
    parts = parse_key(key)
    assert parts is not None
    with viewing(api, key) as viewer:
        next_message(viewer)
        execute(database_url, f"UPDATE api_keys SET is_active = false WHERE public_id = '{parts.public_id}'")
        assert closing(viewer)[0] == 4401


def test_reading_is_done_once_however_many_watch_and_ends_with_the_last(api: AnalyticsUnderTest) -> None:
    with ExitStack() as viewers:
        all_of_them = [viewers.enter_context(viewing(api)) for _ in range(4)]
        for viewer in all_of_them:
            next_message(viewer)
        before = api.live.collector.ticks
        for _ in range(3):
            for viewer in all_of_them:
                next_message(viewer)
        assert api.live.collector.ticks - before <= 4
    eventually(lambda: api.live.collector._task is None or api.live.collector._task.done(), what="reading has ended")


def test_a_viewer_that_does_not_take_its_messages_is_closed_as_too_slow(api: AnalyticsUnderTest) -> None:
    with viewing(api) as viewer:
        next_message(viewer)
        [watcher] = api.live._viewers
        reading = api.live.collector._task
        assert reading is not None

        def tell_more_than_it_takes() -> None:
            for _ in range(9):  # all at one moment, as to a connection that stands still
                watcher.tell('{"type":"pong"}')

        reading.get_loop().call_soon_threadsafe(tell_more_than_it_takes)
        code, reason = closing(viewer)
        assert (code, "does not take" in reason) == (1013, True)
    eventually(lambda: not len(api.live._viewers), what="it is no viewer any more")


def test_more_viewers_than_a_key_may_have_are_told_so(api: AnalyticsUnderTest) -> None:
    with ExitStack() as viewers:
        for _ in range(4):
            next_message(viewers.enter_context(viewing(api)))
        code, reason = closing(viewers.enter_context(viewing(api)))
        assert code == 4429
        assert "WEIR_LIVE_VIEWERS_PER_KEY" in reason


def test_redis_and_postgresql_may_go_and_come_back_while_somebody_watches(
    database_url: str, redis_url: str, client: "redis.Redis"
) -> None:
    with FaultProxy(redis_url) as proxy, serve_analytics(database_url, proxy.url) as api, viewing(api) as viewer:
        message_with(viewer, lambda message: message["unavailable"] == [])
        proxy.refuse()
        away = message_with(viewer, lambda message: message["unavailable"] == ["redis"])
        assert (away["lag"], away["streams"], away["rates"]["accepted"]) == (None, None, None)
        proxy.resume()
        put(client, block(event("a")))
        message_with(viewer, lambda message: message["lag"] == 1 and message["unavailable"] == [])


def test_a_postgresql_that_hangs_is_named_and_the_rest_is_told(database_url: str, redis_url: str) -> None:
    with FaultProxy(database_url) as proxy, serve_analytics(proxy.url, redis_url) as api, viewing(api) as viewer:
        message_with(viewer, lambda message: message["unavailable"] == [])
        proxy.pause()
        away = message_with(viewer, lambda message: message["unavailable"] == ["postgresql"])
        assert (away["lag"], away["failed"], away["rates"]["stored"]) == (0, None, None)
        proxy.resume()
        message_with(viewer, lambda message: message["unavailable"] == [])
