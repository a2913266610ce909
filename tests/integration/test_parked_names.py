"""What is remembered of failed events for those who wait for them, and for repeats of them."""

from stream_processor.settlement import ParkedNames, Settlement
from tests.pipeline import KEYS, Pipeline, block, event, put


def test_a_failed_events_name_is_known_for_as_long_as_the_early_filter_may_know_the_event(
    redis_url: str, database_url: str
) -> None:
    """A repeat is told that the first one is settled; without the name it would be told that it is stored."""
    day_seconds = 86_400
    names = ParkedNames.for_filter(day_seconds, 3)
    assert names.seconds >= 3 * day_seconds
    pipeline = Pipeline(redis_url, database_url)
    pipeline.settlement = Settlement(pipeline.redis, pipeline.source, names)
    now = int(pipeline.redis.time()[0])  # type: ignore[index]
    pipeline.redis.zadd(KEYS.parked, {"yesterday": now - 2 * day_seconds, "last week": now - 7 * day_seconds})
    put(pipeline.redis, block(event("bad", b"[")))
    pipeline.pass_on()
    assert pipeline.redis.zrange(KEYS.parked, 0, -1) == [b"yesterday", b"acme\0bad"]
    assert pipeline.redis.ttl(KEYS.parked) > 2 * day_seconds  # type: ignore[operator]
    pipeline.close()


def test_parked_names_are_bounded_in_number(redis_url: str, database_url: str) -> None:
    pipeline = Pipeline(redis_url, database_url)
    pipeline.settlement = Settlement(pipeline.redis, pipeline.source, ParkedNames(100, 2))
    for n in range(4):
        put(pipeline.redis, block(event(f"bad{n}", b"[")))
    pipeline.pass_on()
    assert pipeline.redis.zcard(KEYS.parked) == 2
    pipeline.close()
