"""Any number of events in one stream: whole or cut, in bounded memory."""

import csv
import io
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import psycopg
import pyarrow.parquet as pq
import pytest
import redis

from shared.api_keys import Scope
from shared.audit_record import decode_records
from shared.redis_keys import ShardKeys
from tests.analytics_seed import SeedEvent, at, seed
from tests.analytics_server import AnalyticsUnderTest, serve_analytics
from tests.event_fill import fill_events
from tests.export_process import EXPORT, running_export_process
from tests.servers import RunningServer
from tests.waiting import eventually

RANGE = {"from": "2026-03-10T00:00:00Z", "to": "2026-03-13T00:00:00Z"}
START = datetime(2026, 3, 10, tzinfo=UTC)


@pytest.fixture
def api(database_url: str, redis_url: str) -> Iterator[AnalyticsUnderTest]:
    with serve_analytics(database_url, redis_url, max_exports=1, max_exports_of_key=1) as served:
        yield served


@contextmanager
def begun(api: AnalyticsUnderTest, key: str = "") -> Iterator[Iterator[bytes]]:
    """An export that has begun and is larger than all buffers on its way."""
    fill_events(api.database_url, START, 1500, payload_bytes=20_000)
    headers = {"X-API-Key": key or api.admin}
    with api.http.stream("GET", EXPORT, params=RANGE | {"format": "ndjson"}, headers=headers) as answer:
        assert answer.status_code == 200
        pieces = answer.iter_raw(1000)
        next(pieces)
        yield pieces


def snapshots(api: AnalyticsUnderTest) -> list[int]:
    with psycopg.connect(api.database_url) as connection:
        rows = connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
            "AND xact_start IS NOT NULL"
        )
        return [pid for (pid,) in rows]


def mixed_events() -> list[SeedEvent]:
    return [
        SeedEvent(
            client_id=f"c{n % 3}", event_id=f"{n * 7 % 13:02}-{n}", event_type=f"t{n % 2}",
            occurred_at=START + timedelta(hours=n // 4 * 5), payload=json.dumps({"n": n, "text": 'a "b", \n\u2028 c'}),
        )
        for n in range(50)
    ]  # fmt: skip


def test_every_format_has_every_event_in_order(api: AnalyticsUnderTest) -> None:
    events = seed(api.database_url, mixed_events())
    order = [e.event_id for e in sorted(events, key=lambda e: (e.client_id, e.occurred_at, e.event_id))]
    lines = [json.loads(line) for line in api.get(EXPORT, RANGE | {"format": "ndjson"}).text.split("\n")[:-1]]
    assert [line["event_id"] for line in lines] == order
    listed = api.json("/api/v1/events", RANGE | {"limit": 1000})["events"]
    assert sorted(lines, key=lambda line: line["event_id"]) == sorted(listed, key=lambda line: line["event_id"])
    rows = list(csv.DictReader(io.StringIO(api.get(EXPORT, RANGE | {"format": "csv"}).text, newline="")))
    table = pq.read_table(io.BytesIO(api.get(EXPORT, RANGE | {"format": "parquet"}).content)).to_pylist()
    for line, row, record in zip(lines, rows, table, strict=True):
        assert json.loads(row["payload"]) == json.loads(record["payload"]) == line["payload"]
        assert row["occurred_at"] == line["occurred_at"] == record["occurred_at"].isoformat().replace("+00:00", "Z")
        assert (row["client_id"], row["event_id"]) == (record["client_id"], record["event_id"])


@pytest.mark.parametrize("format_", ["ndjson", "csv", "parquet"])
def test_no_event_is_a_whole_file_too(api: AnalyticsUnderTest, format_: str) -> None:
    answer = api.get(EXPORT, RANGE | {"format": format_})
    assert answer.status_code == 200
    if format_ == "parquet":
        assert pq.read_table(io.BytesIO(answer.content)).num_rows == 0
    else:
        assert answer.text.count("\n") == (1 if format_ == "csv" else 0)


def test_exports_take_the_filters_of_the_list(api: AnalyticsUnderTest) -> None:
    seed(api.database_url, mixed_events())
    query = RANGE | {"format": "ndjson", "event_type": "t1", "payload.n.gt": "20", "client_id": "c0"}
    lines = [json.loads(line)["payload"]["n"] for line in api.get(EXPORT, query).text.split("\n")[:-1]]
    assert sorted(lines) == [n for n in range(21, 50) if n % 3 == 0 and n % 2 == 1]


def test_a_reader_exports_its_own_client_only(api: AnalyticsUnderTest) -> None:
    seed(api.database_url, mixed_events())
    key = api.reader("c1")
    text = api.get(EXPORT, RANGE | {"format": "ndjson"}, key=key).text
    assert {json.loads(line)["client_id"] for line in text.split("\n")[:-1]} == {"c1"}
    assert api.refused(EXPORT, RANGE | {"format": "ndjson", "client_id": "c2"}, key=key) == (403, "forbidden")
    assert api.refused(EXPORT, RANGE | {"format": "ndjson"}, key=None) == (401, "unauthenticated")
    ingest = api.make_key("c1", Scope.INGEST)
    assert api.refused(EXPORT, RANGE | {"format": "ndjson"}, key=ingest) == (403, "forbidden")


def test_texts_that_look_like_formulas_are_disarmed_in_csv_alone(api: AnalyticsUnderTest) -> None:
    seed(api.database_url, [SeedEvent(event_id="=1+1")])
    assert "acme,'=1+1,order.created" in api.get(EXPORT, RANGE | {"format": "csv"}).text
    assert '"event_id":"=1+1"' in api.get(EXPORT, RANGE | {"format": "ndjson"}).text


def test_without_pyarrow_parquet_is_refused_with_the_remedy(
    api: AnalyticsUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    answer = api.get(EXPORT, RANGE | {"format": "parquet"})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/query/format")
    assert "weir-events[parquet]" in answer.json()["detail"]
    assert api.get(EXPORT, RANGE | {"format": "ndjson"}).status_code == 200


def test_an_event_named_export_is_still_found(api: AnalyticsUnderTest) -> None:
    refused = api.get(EXPORT)
    assert refused.status_code == 404
    assert "an export needs 'format'" in refused.json()["detail"]
    seed(api.database_url, [SeedEvent(event_id="export")])
    assert api.json(EXPORT)["event_id"] == "export"


def test_an_export_whose_query_breaks_is_cut(api: AnalyticsUnderTest) -> None:
    with begun(api) as pieces:
        with psycopg.connect(api.database_url) as connection:
            for pid in snapshots(api):
                connection.execute("SELECT pg_terminate_backend(%s)", (pid,))
        with pytest.raises(httpx2.RemoteProtocolError):
            for _ in pieces:
                pass


def test_a_client_that_goes_away_ends_the_query(api: AnalyticsUnderTest) -> None:
    with begun(api):
        assert snapshots(api)
    eventually(lambda: not snapshots(api), what="the snapshot has ended")
    eventually(lambda: api.get(EXPORT, {"format": "ndjson"}).status_code == 200, what="its slot is free")


def test_an_export_shows_one_moment(api: AnalyticsUnderTest) -> None:
    with begun(api) as pieces:
        seed(api.database_url, [SeedEvent(client_id="zzz", occurred_at=at("2026-03-12T23:00:00+00:00"))])
        text = b"".join(pieces)
    assert text.endswith(b"\n")
    assert text.count(b"\n") == 1500
    assert b"zzz" not in text


def test_exports_at_a_time_are_few(api: AnalyticsUnderTest) -> None:
    key = api.reader("acme")
    with begun(api, key):
        for other, refusal in ((key, (429, "rate-limited")), (api.admin, (503, "unavailable"))):
            assert api.refused(EXPORT, {"format": "csv"}, key=other) == refusal
        answer = api.get(EXPORT, {"format": "csv"}, key=key)
        assert int(answer.headers["retry-after"]) > 0
        assert api.get("/api/v1/events", key=key).status_code == 200


def test_what_fails_before_the_first_event_is_a_problem(database_url: str, redis_url: str) -> None:
    with serve_analytics(database_url, redis_url, statement_timeout_ms=100) as api:
        seed(database_url, mixed_events())
        with psycopg.connect(database_url) as connection:
            connection.execute("LOCK TABLE events")
            assert api.refused(EXPORT, RANGE | {"format": "csv"}) == (504, "query-timeout")
        assert api.get(EXPORT, RANGE | {"format": "csv"}).status_code == 200


def test_an_export_is_audited_before_it_leaves(api: AnalyticsUnderTest, redis_url: str) -> None:
    with begun(api), redis.Redis.from_url(redis_url) as client:
        entries = client.xrange(ShardKeys(0).audit.stream)
        records = [record for _, fields in entries for record in decode_records(fields[b"e"])]
        assert [(record.endpoint, record.status) for record in records] == [(EXPORT, 200)]


def test_without_its_audit_record_no_event_leaves_and_none_is_read(
    api: AnalyticsUnderTest, redis_server: RunningServer
) -> None:
    fill_events(api.database_url, START, 1500, payload_bytes=20_000)
    assert api.get(EXPORT, {"format": "csv"}).status_code == 200
    redis_server.kill()
    try:
        assert api.refused(EXPORT, RANGE | {"format": "ndjson"}) == (503, "unavailable")
        eventually(lambda: not snapshots(api), what="the snapshot has ended")
    finally:
        redis_server.restart()


@pytest.mark.timeout(400)  # a million events take their time beside other tests
def test_memory_does_not_grow_with_the_export(database_url: str, redis_url: str, tmp_path: Path) -> None:
    fill_events(database_url, START, 1_000_000, payload_bytes=150)
    with running_export_process(database_url, redis_url, tmp_path) as process:
        key = AnalyticsUnderTest(database_url, str(process.http.base_url)).admin
        minutes = {"from": RANGE["from"], "to": "2026-03-10T00:05:00Z"}
        for format_ in ("csv", "parquet", "ndjson"):  # each once, for what is loaded with it
            process.exported_bytes(key, minutes | {"format": format_})
        before = process.resident_bytes()
        exported = [
            process.exported_bytes(key, RANGE | {"format": format_}) for format_ in ("ndjson", "csv", "parquet")
        ]
        grown = process.resident_bytes("VmHWM") - before
    assert exported[0] > 350_000_000
    assert grown < 60_000_000
