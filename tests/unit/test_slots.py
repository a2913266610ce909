"""Slots: what is in hand, in all and of one key."""

import pytest

from ingest_gateway.slots import Slots
from shared.problems import Problem


def test_no_more_than_there_are_and_a_slot_given_back_is_free() -> None:
    slots = Slots(2)
    slots.take()
    slots.take()
    with pytest.raises(Problem, match="too many requests"):
        slots.take()
    slots.leave(None)
    slots.take()


def test_a_key_gets_half_of_them_and_another_key_the_rest() -> None:
    slots = Slots(3)
    for _ in range(2):
        slots.take()
        slots.name("greedy")
    slots.take()
    with pytest.raises(Problem, match="2 requests of key greedy") as refused:
        slots.name("greedy")
    assert refused.value.status == 429
    slots.name("other")
    slots.leave("greedy")
    slots.take()
    slots.name("greedy")


def test_a_gateway_of_one_slot_serves_any_key() -> None:
    slots = Slots(1)
    for key_id in ("a", "b", "a"):
        slots.take()
        slots.name(key_id)
        slots.leave(key_id)
