"""What waited before anybody looked."""

from datetime import UTC, datetime, timedelta

import redis

from analytics_api.live.lag_history import LagSample, thinned
from tests.analytics_server import serve_analytics
from tests.pipeline import block, event, put
from tests.waiting import eventually

PATH = "/api/v1/live/lag"


def test_what_waited_is_known_though_nobody_watched(database_url: str, redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        put(client, block(event("a"), event("b")), block(event("c")))
    with serve_analytics(database_url, redis_url) as api:
        eventually(lambda: api.json(PATH)["samples"], what="the first look")
        answer = api.json(PATH, key=api.reader("acme"))
        assert answer["samples"][0]["lag"] == 3
        assert answer["since"] == answer["samples"][0]["at"]
        later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
        assert api.json(PATH, {"from": later})["samples"] == []
        assert api.refused(PATH, {"to": later}) == (422, "invalid-query")
        assert api.refused(PATH, key=None) == (401, "unauthenticated")


def test_a_long_history_is_thinned_and_keeps_its_peaks() -> None:
    samples = [LagSample(float(at), 500 if at == 77 else at % 3, 0.0) for at in range(1000)]
    kept = thinned(samples, 100)
    assert len(kept) == 100
    assert max(sample.lag for sample in kept) == 500
    assert [sample.at for sample in kept] == sorted(sample.at for sample in kept)
    assert thinned(samples[:100], 100) == samples[:100]
