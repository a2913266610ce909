"""The tutorial: from nothing to stored webhooks, as a newcomer goes through it. Read it from top to bottom."""

import gzip
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import pytest

from tests.waiting import eventually
from tests.weir_up import WeirUp

WEBHOOKS = gzip.decompress((Path(__file__).parent / "data" / "github_webhooks.ndjson.gz").read_bytes())


@pytest.fixture
def weir_up(tmp_path: Path) -> Iterator[WeirUp]:
    up = WeirUp(tmp_path / "data")
    yield up
    up.close()


def test_a_newcomer_stores_real_webhooks_once_and_reads_them_back(weir_up: WeirUp) -> None:
    # `weir up` starts everything and prints the addresses and a first admin key, this once.
    weir_up.start()
    assert weir_up.gateway in weir_up.output
    assert weir_up.analytics in weir_up.output
    admin_key = weir_up.key
    assert admin_key.startswith("weir_")

    # Every producer gets a key of its own:
    # weir keys create --client-id github --name "GitHub" --rate-limit 6000
    made = weir_up.weir("keys", "create", "--client-id", "github", "--name", "GitHub", "--rate-limit", "6000")
    assert set(made) == {"key", "public_id"}
    key = made["key"]

    # Real webhook bodies, one event a line, go in as they are:
    # curl GATEWAY/api/v1/events/batch -H "Authorization: Bearer KEY" -H "Content-Type: application/x-ndjson" \
    #      -H "Prefer: wait=30" --data-binary @webhooks.ndjson
    sent = [json.loads(line) for line in WEBHOOKS.splitlines()]
    assert len(sent) == 40
    first = post_webhooks(weir_up, key)
    assert first.status_code == 200  # not 202: we asked to wait until all are stored
    assert (first.json()["accepted"], first.json()["duplicates"], first.json()["rejected"]) == (40, 0, 0)
    assert [result["event_id"] for result in first.json()["results"]] == [event["event_id"] for event in sent]

    # To send them again, because a connection broke or by mistake, changes nothing.
    again = post_webhooks(weir_up, key).json()
    assert (again["accepted"], again["duplicates"], again["rejected"]) == (0, 40, 0)
    assert {result["status"] for result in again["results"]} == {"duplicate"}
    assert len(weir_up.get("events", key, limit="100")["events"]) == 40

    # Each can be read back, its payload equal as JSON to what was sent, whatever script it is written in.
    for event in sent:
        found = weir_up.get(f"events/{quote(event['event_id'], safe='')}", key)
        assert (found["state"], found["client_id"], found["event_type"]) == ("stored", "github", event["event_type"])
        assert found["payload"] == event["payload"]

    # A client reads its own events only; the admin's key reads all.
    stranger = weir_up.weir("keys", "create", "--client-id", "stranger")["key"]
    assert weir_up.get("events", stranger)["events"] == []
    assert len(weir_up.get("events", admin_key, limit="100", client_id="github")["events"]) == 40

    # How many of each type?
    counts = weir_up.get("analytics/events-by-type", key)
    assert counts["total"] == 40
    assert {row["event_type"]: row["count"] for row in counts["rows"]} == Counter(e["event_type"] for e in sent)

    # Nothing waits any more: every stream is empty, and nothing has failed.
    def queue_is_empty() -> bool:
        queue = weir_up.get("analytics/queue-status", admin_key)
        waiting = {stream["name"]: stream["lag"] + stream["pending"] for stream in queue["streams"]}
        return waiting["events"] == 0 and waiting["dead"] == 0 and queue["failed"] == 0

    eventually(queue_is_empty, what="the streams are empty")

    # And every call left a record, the refused one too. Those of events are written with the events, so they tell how
    # these were accepted, and not that the answer waited for more.
    refused = httpx2.post(f"{weir_up.gateway}/api/v1/events/batch", headers={"X-API-Key": "no key"}, content=b"{}")
    assert refused.status_code == 401
    eventually(lambda: audited(weir_up, admin_key) == {202: 2, 401: 1}, what="three audit records of batches")

    # Ctrl-C stops everything; what was stored is there at the next start.
    weir_up.stop()
    weir_up.start()
    assert "first key" not in weir_up.output
    assert weir_up.get("analytics/events-by-type", key)["total"] == 40


def post_webhooks(weir_up: WeirUp, key: str) -> httpx2.Response:
    headers = {
        "Authorization": f"Bearer {key}",
        "Content-Type": "application/x-ndjson",
        "Prefer": "wait=30",
    }
    return httpx2.post(f"{weir_up.gateway}/api/v1/events/batch", headers=headers, content=WEBHOOKS, timeout=40)


def audited(weir_up: WeirUp, key: str) -> dict[int, int]:
    """How many calls of the batch endpoint ended with which status."""
    logs: list[dict[str, Any]] = weir_up.get("audit/logs", key, endpoint="/api/v1/events/batch")["logs"]
    return dict(Counter(log["status"] for log in logs))
