"""What `weir load` sends: ids, made-up payloads, files, requests."""

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from deploy.load.event_file import read_events
from deploy.load.event_source import EventSource, FreshIds, GivenIds, now
from deploy.load.gateway_address import parse_address
from deploy.load.load_request import MAX_BODY_BYTES, load_requests, made_ahead
from deploy.load.synthetic_events import SyntheticShape, synthetic_tails
from shared.errors import UsageError

GATEWAY = parse_address("http://127.0.0.1:8000")
LINE = '{"event_id": "a-1", "event_type": "order.placed", "payload": {"n":  1.50, "name": "Ærø"}}'


def source(events: int, tails: list[bytes] | None = None) -> EventSource:
    return EventSource(FreshIds.of_a_new_run(), tails or synthetic_tails(SyntheticShape(250, 1)), events, now())


def written(folder: Path, content: str) -> Path:
    path = folder / "events.ndjson"
    path.write_text(content, encoding="utf-8")
    return path


def body_of(wire: bytes) -> bytes:
    return wire.partition(b"\r\n\r\n")[2]


def test_fresh_ids_are_unique_within_a_run_and_between_runs() -> None:
    first, second = FreshIds.of_a_new_run(), FreshIds.of_a_new_run()
    ids = [ids.at(place) for ids in (first, second) for place in range(1000)]
    assert len(set(ids)) == 2000


def test_fresh_ids_sort_in_the_order_they_are_sent() -> None:
    ids = FreshIds.of_a_new_run()
    made = [ids.at(place) for place in (0, 9, 10, 99, 1_000_000, 999_999_999)]
    assert made == sorted(made)


def test_a_repeated_file_without_fresh_ids_sends_the_same_ids_again() -> None:
    ids = GivenIds(["a", "b", "c"])
    assert [ids.at(place) for place in range(5)] == ["a", "b", "c", "a", "b"]
    assert ids.among(range(2, 5)) == {"a", "b", "c"}


@pytest.mark.parametrize("size", [200, 250, 4000])
def test_a_made_up_payload_has_the_size_asked_for_and_is_an_object(size: int) -> None:
    events = source(200, synthetic_tails(SyntheticShape(size, 7)))
    for place in range(200):
        event = events.event(place)
        assert len(event[event.index(b'"payload":') + 10 : -1]) == size
        assert isinstance(json.loads(event)["payload"], dict)


def test_the_same_seed_makes_the_same_payloads_and_another_seed_others() -> None:
    assert synthetic_tails(SyntheticShape(250, 3)) == synthetic_tails(SyntheticShape(250, 3))
    assert synthetic_tails(SyntheticShape(250, 3)) != synthetic_tails(SyntheticShape(250, 4))


def test_a_file_is_read_plain_or_gzip_and_payload_bytes_stay_as_they_are(tmp_path: Path) -> None:
    plain = written(tmp_path, LINE + "\n\n" + LINE.replace("a-1", "a-2"))
    zipped = tmp_path / "events.gz"
    zipped.write_bytes(gzip.compress(plain.read_bytes()))
    found = read_events(plain)
    assert found == read_events(zipped)
    assert found.ids == ["a-1", "a-2"]
    sent = EventSource(GivenIds(found.ids), found.tails, 2, now()).event(1)
    assert json.loads(sent) == json.loads(LINE) | {"event_id": "a-2"}
    assert '{"n":  1.50, "name": "Ærø"}'.encode() in sent


def test_the_earliest_occurred_at_of_a_file_is_found_and_sent_on(tmp_path: Path) -> None:
    dated = LINE[:-1] + ', "occurred_at": "2026-01-02T03:04:05+02:00"}'
    found = read_events(written(tmp_path, f"{LINE}\n{dated}\n"))
    assert found.earliest == datetime(2026, 1, 2, 1, 4, 5, tzinfo=UTC)
    sent = json.loads(EventSource(GivenIds(found.ids), found.tails, 2, now()).event(1))
    assert datetime.fromisoformat(sent["occurred_at"]) == found.earliest


@pytest.mark.parametrize(
    "bad",
    [
        "not json",
        "[]",
        '{"event_type": "a", "payload": {}}',
        '{"event_id": 7, "event_type": "a", "payload": {}}',
        '{"event_id": "a\\"b", "event_type": "a", "payload": {}}',
        '{"event_id": "a", "event_type": "a", "payload": {}, "occurred_at": "2026-01-02T03:04:05"}',
        '{"event_id": "a", "event_type": "a", "payload": {}',
    ],
)
def test_a_line_that_is_no_event_is_named_and_nothing_is_sent(tmp_path: Path, bad: str) -> None:
    with pytest.raises(UsageError, match=r"events\.ndjson, line 3"):
        read_events(written(tmp_path, f"{LINE}\n\n{bad}\n{LINE}\n"))


def test_an_empty_missing_or_broken_file_is_one_line_of_error(tmp_path: Path) -> None:
    broken = tmp_path / "broken.gz"
    broken.write_bytes(gzip.compress(LINE.encode())[:-9])
    for path, told in (
        (written(tmp_path, "\n"), "holds no event"),
        (tmp_path / "no", "No such file"),
        (broken, "cannot be read"),
    ):
        with pytest.raises(UsageError, match=told):
            read_events(path)


def test_requests_hold_a_batch_each_and_the_last_one_the_rest() -> None:
    requests = list(load_requests(source(1100), 500, GATEWAY, "k"))
    assert [(request.first, request.events) for request in requests] == [(0, 500), (500, 500), (1000, 100)]
    ids = [event["event_id"] for request in requests for event in json.loads(body_of(request.wire))["events"]]
    assert len(set(ids)) == 1100


def test_a_request_ends_before_it_grows_too_large_for_the_gateway() -> None:
    large = [b'","event_type":"a","payload":{"x":"%b"}}' % (b"x" * 300_000)]
    requests = list(load_requests(source(40, large), 1000, GATEWAY, "k"))
    assert sum(request.events for request in requests) == 40
    assert all(len(body_of(request.wire)) <= MAX_BODY_BYTES + 20 for request in requests)


def test_a_batch_of_one_uses_the_call_for_one_event() -> None:
    [request] = load_requests(source(1), 1, GATEWAY, "k")
    assert request.wire.startswith(b"POST /api/v1/events/ingest HTTP/1.1\r\n")
    assert set(json.loads(body_of(request.wire))) == {"event_id", "event_type", "payload"}


def test_requests_made_ahead_are_the_same_requests_in_the_same_order() -> None:
    events = source(5000)
    plain = list(load_requests(events, 500, GATEWAY, "k"))
    assert list(made_ahead(load_requests(events, 500, GATEWAY, "k"), ahead_bytes=400_000)) == plain


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "ftp://host", "http://", "http://host:99999", "http://host/?a=1"])
def test_what_is_no_gateway_address_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="--url"):
        parse_address(url)


def test_an_address_keeps_the_path_below_which_a_proxy_serves_the_gateway() -> None:
    address = parse_address("https://example.test/weir/")
    assert (address.port, address.secure) == (443, True)
    assert address.head("GET", "/healthz", None, 0).startswith(b"GET /weir/healthz HTTP/1.1\r\n")
