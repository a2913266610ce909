"""The tail of events over server-sent events, on real servers: filters, bounds, tenancy, outages."""

import socket
from collections.abc import Iterator

import pytest
import redis

from shared.api_keys import parse_key
from tests.analytics_server import AnalyticsUnderTest, serve_analytics
from tests.fault_proxy import FaultProxy
from tests.live_tail import PATH, tailing
from tests.pipeline import KEYS, Pipeline, block, event, execute, put, totals
from tests.waiting import eventually


@pytest.fixture
def client(redis_url: str) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
def api(database_url: str, redis_url: str) -> Iterator[AnalyticsUnderTest]:
    with serve_analytics(database_url, redis_url) as api:
        yield api


def wait_until_reading(api: AnalyticsUnderTest) -> None:
    eventually(lambda: api.live.tail._seen, what="the tail has found the streams' ends")


def test_an_event_is_shown_with_its_id_and_payload_when_it_is_accepted(
    api: AnalyticsUnderTest, client: "redis.Redis"
) -> None:
    with tailing(api) as tail:
        wait_until_reading(api)
        entry_id = put(client, block(event("a", b'{"amount": 7}')))
        name, event_id, data = tail.next()
        assert (name, event_id) == ("event", entry_id)
        assert (data["event_id"], data["client_id"], data["payload"]) == ("a", "acme", {"amount": 7})
        assert tail.answer.headers["content-type"].startswith("text/event-stream")


def test_filters_by_type_and_client_leave_out_the_others(api: AnalyticsUnderTest, client: "redis.Redis") -> None:
    wanted = [("event_type", "a"), ("event_type", "b"), ("client_id", "acme")]
    with tailing(api, wanted) as tail:
        wait_until_reading(api)
        put(client, block(event("1", event_type="a"), event("2", event_type="c"), event("3", event_type="b")))
        put(client, block(event("4", event_type="a"), client_id="other"))
        put(client, block(event("5", event_type="b")))
        assert tail.ids(3) == ["1", "3", "5"]


def test_a_read_key_sees_its_own_client_only(api: AnalyticsUnderTest, client: "redis.Redis") -> None:
    key = api.reader("acme")
    assert api.refused(PATH, {"client_id": "other"}, key=key) == (403, "forbidden")
    with tailing(api, key=key) as tail:
        wait_until_reading(api)
        put(client, block(event("hidden"), client_id="other"), block(event("own")))
        assert tail.ids(1) == ["own"]


def test_a_sample_shows_a_part(api: AnalyticsUnderTest, client: "redis.Redis") -> None:
    with tailing(api, {"sample": "0.2"}) as tail, tailing(api, {"event_type": "last"}) as end:
        wait_until_reading(api)
        put(client, block(*(event(f"e{number}") for number in range(300))))
        put(client, block(*(event("end", event_type="last") for _ in range(100))))
        assert end.ids(1) == ["end"]
        shown = []
        while "end" not in shown:
            shown += tail.ids(1)
        assert 10 < len(shown) < 130


def test_more_events_a_second_than_a_viewer_gets_are_counted_as_skipped(
    api: AnalyticsUnderTest, client: "redis.Redis"
) -> None:
    with tailing(api) as tail:
        wait_until_reading(api)
        put(client, block(*(event(f"e{number}") for number in range(1000))))
        shown = skipped = 0
        while shown + skipped < 1000:
            name, _, data = tail.next()
            shown += name == "event"
            skipped += data["skipped"] if name == "skipped" else 0
        assert shown + skipped == 1000
        assert 200 <= shown <= 400


@pytest.mark.parametrize(("events", "payload_bytes"), [(1500, 10), (4, 250_000)], ids=["more events", "more bytes"])
def test_more_than_the_tail_reads_in_a_second_goes_by_and_is_told_as_a_gap(
    api: AnalyticsUnderTest, client: "redis.Redis", events: int, payload_bytes: int
) -> None:
    payload = b'{"text": "%s"}' % (b"x" * payload_bytes)
    many = block(*(event(f"e{number}", payload) for number in range(events)))
    with tailing(api, {"event_type": "after"}) as tail:
        wait_until_reading(api)
        for _ in range(20):
            put(client, many)
        name, _, data = tail.next()
        assert (name, data) == ("skipped", {"skipped": 0, "gap": True})
        shown = ""
        while shown != "event":  # one that comes before the second is over goes by, too, and is told as a gap
            put(client, block(event("after", event_type="after")))
            shown, _, data = tail.next()
        assert data["event_id"] == "after"


def test_a_large_payload_is_cut_and_said_to_be(api: AnalyticsUnderTest, client: "redis.Redis") -> None:
    with tailing(api) as tail:
        wait_until_reading(api)
        put(client, block(event("a", b'{"text": "%s"}' % (b"x" * 5000))))
        _, _, data = tail.next()
        assert (data["truncated"], data["payload"], len(data["payload_beginning"])) == (True, None, 2048)


def test_the_tail_takes_nothing_from_the_processors(
    api: AnalyticsUnderTest, client: "redis.Redis", database_url: str, redis_url: str
) -> None:
    with tailing(api) as tail:
        wait_until_reading(api)
        put(client, block(event("a")))
        assert tail.ids(1) == ["a"]
        Pipeline(redis_url, database_url).pass_on()
        assert totals(client) == {"added": 1, "settled": 1}
        assert [group["name"] for group in client.xinfo_groups(KEYS.events.stream)] == [b"weir"]


def test_a_disabled_key_ends_the_tail_and_says_so(api: AnalyticsUnderTest, database_url: str) -> None:
    key = api.reader("acme")
    parts = parse_key(key)
    assert parts is not None
    with tailing(api, key=key) as tail:
        execute(database_url, f"UPDATE api_keys SET is_active = false WHERE public_id = '{parts.public_id}'")
        name, _, data = tail.next()
        assert (name, "disabled" in data["reason"]) == ("closed", True)


def test_redis_away_is_told_and_the_tail_goes_on_after(
    database_url: str, redis_url: str, client: "redis.Redis"
) -> None:
    with FaultProxy(redis_url) as proxy, serve_analytics(database_url, proxy.url) as api, tailing(api) as tail:
        wait_until_reading(api)
        proxy.refuse()
        assert tail.next()[0] == "unavailable"
        proxy.resume()
        assert tail.next()[0] == "available"
        put(client, block(event("a")))
        assert tail.ids(1) == ["a"]


def test_a_viewer_that_does_not_read_is_dropped_while_others_go_on(
    api: AnalyticsUnderTest, client: "redis.Redis"
) -> None:
    with socket.socket() as slow, tailing(api) as tail:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect(("127.0.0.1", int(api.base_url.rpartition(":")[2])))
        slow.sendall(f"GET {PATH} HTTP/1.1\r\nHost: x\r\nX-API-Key: {api.admin}\r\n\r\n".encode())
        eventually(lambda: len(api.live.tail._viewers) == 2, what="both are viewers")
        wait_until_reading(api)

        def one_left() -> bool:
            put(client, block(*(event(f"e{number}", b'{"t": "%s"}' % (b"x" * 2000)) for number in range(200))))
            tail.ids(1)
            return len(api.live.tail._viewers) == 1

        eventually(one_left, within_seconds=90, what="the slow one is dropped")
        assert tail.ids(1)


@pytest.mark.parametrize("parameters", [{"sample": "0"}, {"sample": "2"}, {"event_type": "a b"}, {"limit": "1"}])
def test_bad_parameters_are_refused(api: AnalyticsUnderTest, parameters: dict[str, str]) -> None:
    assert api.refused(PATH, parameters) == (422, "invalid-query")
