"""A batch that PostgreSQL cannot take at once: it is halved until it can."""

from typing import Any

import pytest
import redis

from stream_processor.portions import REFUSALS
from tests.pipeline import block, event, execute, intake, processing, put, rows, stored_ids, wait_until_drained

SLOW_ABOVE_TWO = """
CREATE FUNCTION slow_above_two() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT count(*) FROM added) > 2 THEN
        RAISE EXCEPTION 'canceling statement due to statement timeout' USING ERRCODE = 'query_canceled';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER slow AFTER INSERT ON stored_entries REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION slow_above_two();
"""
"""Stands in for a statement timeout that more than two entries reach."""


def test_a_batch_that_is_too_large_at_once_is_stored_in_parts_and_no_attempt_is_counted(
    redis_url: str, database_url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    client: Any = redis.Redis.from_url(redis_url)
    execute(database_url, SLOW_ABOVE_TWO)
    for n in range(7):
        put(client, block(event(f"e{n}"), event(f"bad{n}", b"{")))
    with processing(redis_url, database_url) as processor:
        wait_until_drained(client, within_seconds=30)
        assert processor.running
    assert stored_ids(database_url) == [f"e{n}" for n in range(7)]
    assert rows(database_url, "SELECT count(*), max(attempts) FROM failed_events") == [(7, 1)]
    assert intake(database_url) == {"stored": 7, "duplicates": 0, "conflicting": 0, "failed": 7}
    assert REFUSALS > 1
    client.close()
