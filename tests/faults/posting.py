"""Posting to the gateways, with every attempt in the log before anything is made of it."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import orjson

from deploy.load.gateway_address import parse_address
from deploy.load.http_connection import ExchangeCutError, HttpConnection
from tests.faults.attempts import AttemptLog, Outcome
from tests.faults.pace import Pace
from tests.faults.sent_events import SentEvent

SINGLE, BATCH = "/api/v1/events/ingest", "/api/v1/events/batch"
ANSWER_SECONDS = 4.0
"""What a producer waits for an answer, beyond what it asked the gateway to wait."""
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Manner:
    """How a batch is sent."""

    single: bool = False
    lines: bool = False
    lenient: bool = False
    wait_seconds: int = 0

    @property
    def path(self) -> str:
        return SINGLE if self.single else BATCH

    @property
    def headers(self) -> dict[str, str]:
        preferences = ["handling=lenient"] * self.lenient + [f"wait={self.wait_seconds}"] * (self.wait_seconds > 0)
        content_type = "application/x-ndjson" if self.lines else "application/json"
        return {"Content-Type": content_type} | ({"Prefer": ", ".join(preferences)} if preferences else {})

    def body(self, events: Sequence[SentEvent]) -> bytes:
        if self.single:
            return orjson.dumps(events[0].wire)
        if self.lines:
            return b"\n".join(orjson.dumps(event.wire) for event in events)
        return orjson.dumps({"events": [event.wire for event in events]})


class Poster:
    """One client on one connection to each gateway. Used from one task."""

    def __init__(self, client_id: str, key: str, gateways: Sequence[str], log: AttemptLog, random: Random) -> None:
        self.client_id = client_id
        self._key = key
        self._gateways = gateways
        self._log = log
        self._random = random
        self._connections = {url: HttpConnection(parse_address(url), ANSWER_SECONDS) for url in gateways}

    async def post(self, events: Sequence[SentEvent], manner: Manner, *, gateway: int | None = None) -> Outcome:
        """One attempt, at a gateway chosen by chance unless it is given."""
        url = self._random.choice(self._gateways) if gateway is None else self._gateways[gateway]
        headers = {**manner.headers, "Authorization": f"Bearer {self._key}"}
        status, body = await self.exchange(url, "POST", manner.path, headers, manner.body(events), manner.wait_seconds)
        outcome = Outcome.OK if status in (200, 202) else Outcome.REFUSED if 400 <= status < 500 else Outcome.UNKNOWN
        rejected = _rejected(body) if outcome is Outcome.OK and manner.lenient else frozenset()
        self._log.note(self.client_id, (event.named for event in events if event.event_id not in rejected), outcome)
        self._log.note(self.client_id, (event.named for event in events if event.event_id in rejected), Outcome.REFUSED)
        if status == 200:
            self._log.said_stored |= {f"{self.client_id}\0{event.event_id}" for event in events}
        return outcome

    async def post_until_known(self, events: Sequence[SentEvent], manner: Manner, pace: Pace) -> Outcome:
        """Send the same ids again, now to one gateway and now to another, until there is an answer or an end."""
        pause_seconds = 0.1
        while (outcome := await self.post(events, manner)) is Outcome.UNKNOWN:
            if not await pace.rest(pause_seconds):
                break
            pause_seconds = min(2 * pause_seconds, 1.0)
        return outcome

    async def exchange(
        self, url: str, method: str, path: str, headers: dict[str, str], body: bytes, wait_seconds: int = 0
    ) -> tuple[int, bytes]:
        """One request with an X-Request-ID of its own; status 0 when no answer came."""
        address = parse_address(url)
        connection = self._connections[url]
        if wait_seconds:
            connection = HttpConnection(address, ANSWER_SECONDS + wait_seconds)
        request_id = f"fault-{next(_numbers)}"
        lines = {"Host": f"{address.host}:{address.port}", "X-Request-ID": request_id, **headers}
        head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        try:
            answer = await connection.exchange(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        except ExchangeCutError:
            self._log.note_request(request_id, 0)
            return 0, b""
        finally:
            if wait_seconds:
                connection.close()
        self._log.note_request(request_id, answer.status)
        return answer.status, answer.body

    def close(self) -> None:
        for connection in self._connections.values():
            connection.close()


def _rejected(body: bytes) -> frozenset[str]:
    results = orjson.loads(body)["results"]
    return frozenset(result["event_id"] for result in results if result["status"] == "rejected")
