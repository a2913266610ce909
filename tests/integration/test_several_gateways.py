"""Gateway processes side by side on one Redis: a limit and an id are the whole system's, not a process's."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
import redis

from shared.api_keys import Scope
from tests.gateway_process import GatewayUnderTest, running_gateway
from tests.pipeline import intake, processing, stored_ids, wait_until_drained
from tests.publishing import audited, kept_ids

AT_ONCE = 8
Gateways = tuple[GatewayUnderTest, GatewayUnderTest]


@pytest.fixture
def gateways(tmp_path: Path, redis_url: str, database_url: str) -> Iterator[Gateways]:
    settings = {"RATE_LIMIT_WINDOW_SECONDS": "3600"}  # no window may end while the test runs, however slow
    with (
        running_gateway(tmp_path, database_url, redis_url, **settings) as one,
        running_gateway(tmp_path, database_url, redis_url, **settings) as other,
    ):
        yield one, other


def event(event_id: str) -> dict[str, object]:
    return {"event_id": event_id, "event_type": "order.paid", "payload": {"n": 1}}


def test_one_keys_limit_is_exact_over_all_gateways(gateways: Gateways, redis_url: str) -> None:
    limit, calls = 50, 160
    key = gateways[0].make_key("metered", Scope.INGEST, rate_limit=limit)

    def call(number: int) -> int:
        return gateways[number % 2].ingest(event(f"e{number}"), key=key).status_code

    with ThreadPoolExecutor(AT_ONCE) as pool:
        statuses = Counter(pool.map(call, range(calls)))
    assert statuses == {202: limit, 429: calls - limit}
    with redis.Redis.from_url(redis_url) as client:
        assert len(kept_ids(client)) == limit
        assert Counter(status for status, _ in audited(client)) == statuses, "each call is recorded once"


def test_the_same_ids_sent_to_two_gateways_at_once_are_accepted_and_stored_once(
    gateways: Gateways, redis_url: str, database_url: str
) -> None:
    batches = [[event(f"{batch}-{place}") for place in range(20)] for batch in range(30)]
    both = Barrier(2)
    key = gateways[0].key

    def send(gateway: GatewayUnderTest) -> list[dict[str, int]]:
        try:
            return [posted(gateway, batch) for batch in batches]
        except BaseException:
            both.abort()
            raise

    def posted(gateway: GatewayUnderTest, batch: list[dict[str, object]]) -> dict[str, int]:
        both.wait()
        answer = gateway.batch(batch, key=key)
        assert answer.status_code == 202, answer.text
        counts: dict[str, int] = answer.json()
        return counts

    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(send, gateways))
    for one, other in zip(*answers, strict=True):
        assert one["accepted"] + other["accepted"] == 20
        assert one["duplicates"] + other["duplicates"] == 20
    ids = sorted(str(one["event_id"]) for batch in batches for one in batch)
    with redis.Redis.from_url(redis_url) as client, processing(redis_url, database_url):
        wait_until_drained(client, within_seconds=60)
    assert stored_ids(database_url) == ids
    counts = intake(database_url)
    assert (counts["stored"], counts["duplicates"]) == (len(ids), 0), "the early filter knew each at once"
