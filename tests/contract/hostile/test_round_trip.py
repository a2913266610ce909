"""What the gateway accepts, PostgreSQL stores and the API gives back equal; what it refuses leaves nothing.

Hypothesis makes the events; they go through real processes in large requests, so that hundreds cost a second.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import redis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from shared.api_keys import Scope
from tests.contract.hostile.conftest import Site
from tests.contract.hostile.verdict import refusal_faults
from tests.gateway_process import BATCH, INGEST, running_processor, store_key
from tests.json_texts import events, exactly
from tests.pipeline import rows, wait_until_drained
from tests.raw_http import RawAnswer, RawConnection

EVENTS = 400
ODD_BODIES = 200
A_REQUEST = 150
LENIENT = ("Prefer", "handling=lenient")
JSON_PIECES = (
    '{"event_id":', '"a"', ',"event_type":"t"', ',"payload":', "{}", "}", "{", "[", "]", '"', ",", ":", "1", "-", "e5",
    "\\u00", "\\ud800", "null", "tru", " ", "\n", "\x00", "\ufeff", "\x85",
)  # fmt: skip
few = settings(
    database=None, derandomize=True, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
)


@dataclass(frozen=True)
class Sent:
    """An event as it was sent: its bytes, and its id once it is known to have one."""

    body: bytes
    event_id: str | None
    is_accepted: bool


def generated_events() -> list[bytes]:
    """Bodies of single events, without line feeds, each id its own."""
    bodies: list[bytes] = []

    @settings(few, max_examples=EVENTS)
    @given(events())
    def collect(event: tuple[str, str]) -> None:
        text = event[0].replace("{id}", f"trip-{len(bodies)}-").replace("\n", " ")
        bodies.append(text.encode("utf-8", "surrogatepass"))

    collect()
    return bodies


def generated_odd_bodies() -> list[bytes]:
    """Bytes of any kind, most of them nearly JSON."""
    bodies: list[bytes] = []

    @settings(few, max_examples=ODD_BODIES)
    @given(st.binary(max_size=80) | st.lists(st.sampled_from(JSON_PIECES), max_size=12).map("".join).map(str.encode))
    def collect(body: bytes) -> None:
        bodies.append(body)

    collect()
    return bodies


class Trip:
    """Events of a client of its own, from the gateway to the answers of the API."""

    def __init__(self, site: Site) -> None:
        self._site = site
        key = store_key(site.database_url, "traveller", Scope.INGEST, Scope.READ)
        self._key = ("X-API-Key", key)
        self._gateway = RawConnection(site.gateway.port)
        self._analytics = RawConnection(site.analytics.port)

    def close(self) -> None:
        self._gateway.close()
        self._analytics.close()

    def send_lines(self, bodies: list[bytes]) -> list[Sent]:
        """In one request, a line each. One that is refused as a whole, as for a byte-order mark, is halved until the
        event at fault is alone.
        """
        headers = [self._key, LENIENT, ("Content-Type", "application/x-ndjson")]
        answer = self._gateway.call("POST", BATCH, headers, b"\n".join(bodies))
        if answer.status != 202:
            assert (answer.status, refusal_faults(answer)) == (400, []), (answer, bodies)
            if len(bodies) == 1:
                return [Sent(bodies[0], None, False)]
            middle = len(bodies) // 2
            return self.send_lines(bodies[:middle]) + self.send_lines(bodies[middle:])
        results = answer.json()["results"]
        assert len(results) == len(bodies)
        return [
            Sent(body, result["event_id"], result["status"] == "accepted")
            for body, result in zip(bodies, results, strict=True)
        ]

    def send_one(self, body: bytes) -> Sent:
        answer = self._gateway.call("POST", INGEST, [self._key, ("Content-Type", "application/json")], body or b" ")
        if answer.status == 202:
            return Sent(body, answer.json()["event_id"], answer.json()["status"] == "accepted")
        assert answer.status in (400, 422), (answer, body)
        assert refusal_faults(answer) == [], body
        return Sent(body, None, False)

    def look_up(self, event_id: str) -> RawAnswer:
        return self._analytics.call("GET", f"/api/v1/events/{quote(event_id, safe='')}", [self._key])

    def listed(self) -> Iterator[Any]:
        """All events of the client, page by page."""
        cursor = ""
        while cursor is not None:
            answer = self._analytics.call("GET", f"/api/v1/events?limit=100{cursor}", [self._key])
            page = exactly(answer.body)
            yield from page["events"]
            cursor = f"&cursor={quote(page['next_cursor'])}" if page["next_cursor"] else None


@pytest.fixture(scope="module")
def trip(site: Site) -> Iterator[Trip]:
    made = Trip(site)
    yield made
    made.close()


def test_what_is_accepted_comes_back_equal_and_what_is_refused_leaves_nothing(
    site: Site, trip: Trip, tmp_path: Path
) -> None:
    bodies = generated_events()
    sent = [one for start in range(0, len(bodies), A_REQUEST) for one in trip.send_lines(bodies[start:][:A_REQUEST])]
    sent += [trip.send_one(body) for body in generated_odd_bodies()]
    accepted = {one.event_id: one for one in sent if one.is_accepted}
    refused = [one for one in sent if not one.is_accepted and one.event_id not in accepted]
    assert len(accepted) > EVENTS / 4
    assert len(refused) > EVENTS / 10
    failed = rows(site.database_url, "SELECT count(*) FROM failed_events")
    with (
        redis.Redis.from_url(site.redis_url) as client,
        running_processor(tmp_path, site.database_url, site.redis_url),
    ):
        wait_until_drained(client, within_seconds=60)

    for event_id, one in accepted.items():
        assert event_id is not None
        answer = trip.look_up(event_id)
        assert answer.status == 200, (one, answer)
        assert_equal(exactly(answer.body), one)
    assert {event["event_id"]: event["state"] for event in trip.listed()} == dict.fromkeys(accepted, "stored")
    for one in refused:
        assert one.event_id is None or trip.look_up(one.event_id).status == 404, one
    assert rows(site.database_url, "SELECT count(*) FROM failed_events") == failed
    assert not site.failures()


def assert_equal(answer: Any, sent: Sent) -> None:
    """An event as it came back says what was sent."""
    event = exactly(sent.body)
    assert answer["state"] == "stored"
    assert answer["client_id"] == "traveller"
    assert (answer["event_id"], answer["event_type"]) == (event["event_id"], event["event_type"]), sent
    assert answer["payload"] == event["payload"], sent
    assert json.dumps(answer["event_id"]) == json.dumps(event["event_id"])
