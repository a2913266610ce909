"""Whatever the gateway accepts, PostgreSQL stores and gives back as the same JSON."""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest_gateway.envelope import EventDecoder
from shared.problems import Problem
from stream_processor.copy_binary import HEADER, TRAILER, column_count, jsonb, text
from tests.json_texts import characters, exactly, payloads
from tests.publishing import config

DECODER = EventDecoder(config())


@pytest.fixture(scope="module")
def database(postgres_server: Any) -> Iterator[psycopg.Connection[Any]]:
    postgres_server.ensure_running()
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        connection.execute("CREATE TEMPORARY TABLE kept (event_id text, event_type text, payload jsonb)")
        yield connection


def stored(database: psycopg.Connection[Any], event_id: str, event_type: str, payload: bytes) -> tuple[str, str]:
    """Id and payload, as text, of an event that came in as a processor sends it."""
    row = column_count(3) + text(event_id) + text(event_type) + jsonb(payload)
    database.execute("TRUNCATE kept")
    with database.cursor().copy("COPY kept FROM STDIN (FORMAT binary)") as copy:
        copy.write(HEADER + row + TRAILER)
    found: tuple[str, str] | None = database.execute("SELECT event_id, payload::text FROM kept").fetchone()
    assert found is not None
    return found


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(payload=payloads, event_id=st.text(characters, min_size=1, max_size=128))
def test_what_is_accepted_is_stored_and_comes_back_equal(
    database: psycopg.Connection[Any], payload: str, event_id: str
) -> None:
    body = f'{{"event_id":{json.dumps(event_id)},"event_type":"t","payload":{payload}}}'
    try:
        decoded = DECODER.decode_one(body.encode("utf-8", "surrogatepass"))
    except Problem as refused:
        assert refused.status in (400, 422)
        return
    [(kept_id, event_type, _, kept, _)] = decoded.frames
    assert kept == payload.encode()
    found_id, found = stored(database, kept_id, event_type, kept)
    assert found_id == event_id
    assert exactly(found) == exactly(kept)
    assert len(found) <= 2 * 262_144


@pytest.mark.parametrize("number", ["1e-99", "0." + "0" * 15_990 + "1e-99", "1e308", "9" * 300 + ".5", "0e-99"])
def test_the_last_numbers_that_are_accepted_are_stored_to_the_last_digit(
    database: psycopg.Connection[Any], number: str
) -> None:
    body = f'{{"event_id":"a","event_type":"t","payload":{{"n":{number}}}}}'.encode()
    [(event_id, event_type, _, payload, _)] = DECODER.decode_one(body).frames
    assert exactly(stored(database, event_id, event_type, payload)[1]) == {"n": Decimal(number)}


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    st.binary(max_size=60)
    | st.lists(st.sampled_from(list('{}[]",:\\u0d8e-1. \n')), max_size=60).map("".join).map(str.encode)
)
def test_whatever_the_bytes_they_are_decoded_or_refused(body: bytes) -> None:
    for decode in (DECODER.decode_one, DECODER.decode_batch, DECODER.decode_lines):
        for bytes_ in (body, b'{"event_id":"a","event_type":"t","payload":' + body + b"}", b'{"events":' + body + b"}"):
            try:
                decode(bytes_)
            except Problem as refused:
                assert refused.status in (400, 422)
