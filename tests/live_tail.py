"""A viewer of the tail, as a script is one: server-sent events over a connection that stays open."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2

from tests.analytics_server import AnalyticsUnderTest

PATH = "/api/v1/live/events"


class TailViewing:
    """Reads one event after another: its name, its id, and its data."""

    def __init__(self, answer: httpx2.Response) -> None:
        self.answer = answer
        self._lines = answer.iter_lines()

    def next(self) -> tuple[str, str, Any]:
        """Waits for it, up to the client's time-out. Raises StopIteration at the end."""
        fields: dict[str, str] = {}
        while True:
            line = next(self._lines)
            name, _, text = line.partition(": ")
            if not line and "event" in fields:
                return fields["event"], fields.get("id", ""), json.loads(fields["data"])
            fields[name] = text

    def ids(self, count: int) -> list[str]:
        """The event ids of the next events."""
        found = []
        while len(found) < count:
            name, _, data = self.next()
            if name == "event":
                found.append(data["event_id"])
        return found


@contextmanager
def tailing(api: AnalyticsUnderTest, parameters: Any = None, key: str = "") -> Iterator[TailViewing]:
    """With the admin's key unless told otherwise. What is added from now on is seen."""
    headers = {"X-API-Key": key or api.admin}
    with (
        httpx2.Client(base_url=api.base_url, timeout=30) as http,
        http.stream("GET", PATH, params=parameters, headers=headers) as answer,
    ):
        assert answer.status_code == 200, answer.read()
        yield TailViewing(answer)
