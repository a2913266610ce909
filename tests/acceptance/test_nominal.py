"""The tutorial: from nothing to stored webhooks, as a newcomer goes through it. Read it from top to bottom.

`weir up` is started for it, unless the environment names an installation that runs (installation.py).
"""

import gzip
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import pytest

from tests.acceptance.installation import Installation, OwnInstallation, given_installation, own_name
from tests.waiting import eventually
from tests.weir_up import WeirUp

WEBHOOKS = gzip.decompress((Path(__file__).parent / "data" / "github_webhooks.ndjson.gz").read_bytes())


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    given = given_installation()
    if given is not None:
        yield given
        given.close()
        return
    up = WeirUp(tmp_path / "data")
    try:
        # `weir up` starts everything and prints the addresses and a first admin key.
        yield OwnInstallation(up)
    finally:
        up.close()


def test_a_newcomer_stores_real_webhooks_once_and_reads_them_back(installation: Installation) -> None:
    admin_key = installation.key
    assert admin_key.startswith("weir_")
    failed_before = ask(installation, "analytics/queue-status", admin_key)["failed"]

    # Every producer gets a key of its own:
    # weir keys create --client-id github --name "GitHub" --rate-limit 6000
    github = own_name("github")
    made = installation.make_key(github, "GitHub", 6000)
    key = made["key"]

    # Real webhook bodies, one event a line, go in as they are:
    # curl GATEWAY/api/v1/events/batch -H "Authorization: Bearer KEY" -H "Content-Type: application/x-ndjson" \
    #      -H "Prefer: wait=30" --data-binary @webhooks.ndjson
    sent = [json.loads(line) for line in WEBHOOKS.splitlines()]
    assert len(sent) == 40
    first = post_webhooks(installation, key)
    assert first.status_code == 200  # not 202: we asked to wait until all are stored
    assert (first.json()["accepted"], first.json()["duplicates"], first.json()["rejected"]) == (40, 0, 0)
    assert [result["event_id"] for result in first.json()["results"]] == [event["event_id"] for event in sent]

    # To send them again, because a connection broke or by mistake, changes nothing.
    again = post_webhooks(installation, key).json()
    assert (again["accepted"], again["duplicates"], again["rejected"]) == (0, 40, 0)
    assert {result["status"] for result in again["results"]} == {"duplicate"}
    assert len(ask(installation, "events", key, limit="100")["events"]) == 40

    # Each can be read back, its payload equal as JSON to what was sent, whatever script it is written in.
    for event in sent:
        found = ask(installation, f"events/{quote(event['event_id'], safe='')}", key)
        assert (found["state"], found["client_id"], found["event_type"]) == ("stored", github, event["event_type"])
        assert found["payload"] == event["payload"]

    # A client reads its own events only; the admin's key reads all.
    stranger = installation.make_key(own_name("stranger"), "Stranger", 6000)["key"]
    assert ask(installation, "events", stranger)["events"] == []
    assert len(ask(installation, "events", admin_key, limit="100", client_id=github)["events"]) == 40

    # How many of each type?
    counts = ask(installation, "analytics/events-by-type", key)
    assert counts["total"] == 40
    assert {row["event_type"]: row["count"] for row in counts["rows"]} == Counter(e["event_type"] for e in sent)

    # Nothing waits any more: every stream is empty, and nothing has failed.
    def queue_is_empty() -> bool:
        queue = ask(installation, "analytics/queue-status", admin_key)
        waiting = {stream["name"]: stream["lag"] + stream["pending"] for stream in queue["streams"]}
        return waiting["events"] == 0 and waiting["dead"] == 0 and queue["failed"] == failed_before

    eventually(queue_is_empty, what="the streams are empty")

    # And every call left a record, the refused one too. Those of events are written with the events, so they tell how
    # these were accepted, and not that the answer waited for more.
    batch = f"{installation.gateway}/api/v1/events/batch"
    refused = installation.http.post(batch, headers={"X-API-Key": "no key"}, content=b"{}")
    assert refused.status_code == 401
    call = refused.headers["x-request-id"]
    eventually(lambda: audited(installation, key_id=made["public_id"]) == {202: 2}, what="two audit records of batches")
    eventually(lambda: audited(installation, request_id=call) == {401: 1}, what="an audit record of the refused call")

    # Stopped and started again, it has what was stored.
    if installation.restart():
        assert ask(installation, "analytics/events-by-type", key)["total"] == 40


def post_webhooks(installation: Installation, key: str) -> httpx2.Response:
    headers = {
        "Authorization": f"Bearer {key}",
        "Content-Type": "application/x-ndjson",
        "Prefer": "wait=30",
    }
    return installation.http.post(f"{installation.gateway}/api/v1/events/batch", headers=headers, content=WEBHOOKS)


def ask(installation: Installation, path: str, key: str, **parameters: str) -> Any:
    address = f"{installation.analytics}/api/v1/{path}"
    answer = installation.http.get(address, params=parameters, headers={"X-API-Key": key})
    assert answer.status_code == 200, answer.text
    return answer.json()


def audited(installation: Installation, **which: str) -> dict[int, int]:
    """How many calls of the batch endpoint ended with which status."""
    logs: list[dict[str, Any]] = ask(
        installation, "audit/logs", installation.key, endpoint="/api/v1/events/batch", **which
    )["logs"]
    return dict(Counter(log["status"] for log in logs))
