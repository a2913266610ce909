"""What every event's context holds, built from parts that repeat."""

import json

from hypothesis import given
from hypothesis import strategies as st

from shared.stream_entry import VERSION, Block
from stream_processor.enrich import block_context, context_json

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@given(gateway=TEXT, address=TEXT, user_agent=TEXT, request_id=TEXT)
def test_the_context_is_json_and_says_the_same_whatever_the_texts_hold(
    gateway: str, address: str, user_agent: str, request_id: str
) -> None:
    block = Block(VERSION, "acme", 0, gateway, address, user_agent, request_id, "key", [])
    assert json.loads(context_json(block)) == block_context(block)
