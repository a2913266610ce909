"""Analytics on a streaming replica: what it shows, what it says while it lags, and what becomes of it without one."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import redis

from deploy.endpoints import with_role
from shared.api_keys import Scope
from tests.analytics_process import running_analytics
from tests.gateway_process import new_event, running_gateway
from tests.pipeline import processing, stored_ids, wait_until_drained
from tests.streaming_replica import ReplicatedPostgres, replicated_postgres
from tests.waiting import eventually

QUEUE = "/api/v1/analytics/queue-status"
SLOW_SECONDS = 60.0


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReplicatedPostgres]:
    with replicated_postgres(tmp_path_factory.mktemp("replicated")) as both:
        yield both


class Reader:
    """Calls of the analytics API with an admin's key."""

    def __init__(self, port: int, key: str) -> None:
        self._http = httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=30, headers={"X-API-Key": key})

    def status(self, path: str) -> int:
        return self._http.get(path).status_code

    def json(self, path: str) -> Any:
        return self._http.get(path).json()

    def state_of(self, event_id: str) -> Any:
        """State of an event of `acme`, or the status of the answer that has none."""
        answer = self._http.get(f"/api/v1/events/{event_id}", params={"client_id": "acme"})
        return answer.json()["state"] if answer.status_code == 200 else answer.status_code

    def metric(self, name: str) -> float:
        lines = self._http.get("/metrics").text.splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))


@pytest.mark.timeout(400)
def test_analytics_read_a_replica_and_say_how_far_it_is_behind(
    postgres: ReplicatedPostgres, redis_url: str, tmp_path: Path
) -> None:
    primary, replica = postgres.primary.url, with_role(postgres.replica.url, "weir_reader")
    client: Any = redis.Redis.from_url(redis_url)
    with (
        running_gateway(tmp_path, primary, redis_url) as gateway,
        running_analytics(tmp_path, primary, redis_url, ANALYTICS_DATABASE_URL=replica) as analytics,
        processing(redis_url, primary),
    ):
        api = Reader(analytics.port, analytics.make_key("operators", Scope.ADMIN))
        eventually(lambda: api.status(QUEUE) == 200, within_seconds=SLOW_SECONDS, what="the replica has the key")
        eventually(lambda: api.json("/readyz")["replica"] == {"streaming": True, "lag_seconds": 0})
        assert api.metric("weir_analytics_replica_streaming") == 1

        assert gateway.ingest(new_event(event_id="seen")).status_code == 202
        eventually(lambda: api.state_of("seen") == "stored", within_seconds=SLOW_SECONDS)

        # It lags: what is settled and not there yet is told as pending, and never as unknown.
        postgres.pause_replay()
        assert gateway.ingest(new_event(event_id="behind")).status_code == 202
        wait_until_drained(client, within_seconds=SLOW_SECONDS)
        assert stored_ids(primary) == ["behind", "seen"]
        assert api.state_of("behind") == "pending"
        assert api.state_of("never-sent") == 404
        eventually(lambda: api.json(QUEUE)["replica"]["lag_seconds"] > 0, within_seconds=SLOW_SECONDS)
        assert api.json("/readyz")["replica"]["streaming"]
        eventually(lambda: api.metric("weir_analytics_replica_lag_seconds") > 0, within_seconds=SLOW_SECONDS)
        postgres.resume_replay()
        eventually(lambda: api.state_of("behind") == "stored", within_seconds=SLOW_SECONDS)
        eventually(lambda: api.json(QUEUE)["replica"]["lag_seconds"] == 0, within_seconds=SLOW_SECONDS)

        # It dies: nothing can be answered, events are accepted and stored all the same.
        postgres.replica.kill()
        eventually(lambda: api.status("/readyz") == 503, within_seconds=SLOW_SECONDS)
        assert api.status("/api/v1/events/seen?client_id=acme") == 503
        assert gateway.ingest(new_event(event_id="meanwhile")).status_code == 202
        wait_until_drained(client, within_seconds=SLOW_SECONDS)
        postgres.replica.restart()
        eventually(lambda: api.state_of("meanwhile") == "stored", within_seconds=SLOW_SECONDS)

        # Its primary dies: it answers of what it has, and says that it hears nothing.
        postgres.primary.kill()
        eventually(lambda: api.json("/readyz")["replica"]["streaming"] is False, within_seconds=SLOW_SECONDS)
        assert api.status("/readyz") == 200
        assert api.json("/readyz")["replica"]["lag_seconds"] > 0
        assert api.state_of("meanwhile") == "stored"
        postgres.primary.restart()
        eventually(lambda: api.json("/readyz")["replica"]["streaming"], within_seconds=SLOW_SECONDS)
    client.close()


def test_a_promoted_replica_is_read_as_a_primary(postgres: ReplicatedPostgres, redis_url: str, tmp_path: Path) -> None:
    replica = postgres.replica.url
    with running_analytics(
        tmp_path, postgres.primary.url, redis_url, ANALYTICS_DATABASE_URL=with_role(replica, "weir_reader")
    ) as analytics:
        api = Reader(analytics.port, "")
        assert api.json("/readyz")["replica"] is not None
        postgres.promote()
        eventually(lambda: api.json("/readyz")["replica"] is None, within_seconds=SLOW_SECONDS)
        assert api.metric("weir_analytics_replica_lag_seconds") == 0
