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
from tests.publishing import config

DECODER = EventDecoder(config())

characters = st.characters(codec=None, categories=None)
numbers = st.one_of(
    st.integers().map(str),
    st.integers(-(10**40), 10**40).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.from_regex(r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,6})?", fullmatch=True),
    st.sampled_from(
        ["1e308", "-1e308", "1e-99", "1e-100", "1e-16383", "1e-16384", "0e-99999", "1e99999", "-0", "-0.0"]
    ),
)


def as_json(value: Any) -> str:
    """JSON text of a tree whose numbers are already written; other text may come escaped or not."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{as_json(name)}:{as_json(member)}" for name, member in value["pairs"]) + "}"
    if isinstance(value, list):
        return "[" + " ,".join(map(as_json, value)) + "]"
    if isinstance(value, tuple):
        kind, content = value
        return content if kind == "number" else json.dumps(content, ensure_ascii=kind == "escaped")
    return json.dumps(value)


strings = st.tuples(st.sampled_from(["escaped", "plain"]), st.text(characters, max_size=30))
leaves = st.one_of(st.none(), st.booleans(), numbers.map(lambda number: ("number", number)), strings)


def objects(members: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(st.tuples(strings, members), max_size=6).map(lambda pairs: {"pairs": pairs})


trees = st.recursive(leaves, lambda inner: st.lists(inner, max_size=6) | objects(inner), max_leaves=30)
payloads = objects(trees).map(as_json)


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


def exactly(document: str | bytes) -> Any:
    """JSON with its numbers to the last digit; the last of two equal names counts, as everywhere."""
    return json.loads(document, parse_int=Decimal, parse_float=Decimal)


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
