"""Events put on the stream past the gateway's checks: some that PostgreSQL cannot take, beside some that it can."""

import itertools
import time
from random import Random
from zlib import crc32

import msgspec

from shared.accepted_counts import account_field
from shared.stream_entry import Block, EventFrame
from tests.accepted_events import append
from tests.faults.attempts import Outcome, digest
from tests.faults.scene import KEYS, Scene

CLIENT = "poisoner"
POISON = b'{"a":"\\u0000"}'
"""PostgreSQL's jsonb refuses the character with 22P05; the gateway would have answered 422."""
FAILS = "poison"
"""How the ids begin of those that must be found among the failed events."""
_numbers = itertools.count(1)


def put(scene: Scene, chance: Random, *, poisons: int = 1) -> None:
    """One entry with bad events in the midst of good ones."""
    good = [_frame("good", b'{"n": 1}') for _ in range(chance.randint(0, 6))]
    bad = [_frame(FAILS, POISON) for _ in range(poisons)]
    events = good + bad
    chance.shuffle(events)
    _put(scene, events)


def put_good(scene: Scene, chance: Random) -> None:
    """One entry with good events only."""
    _put(scene, [_frame("good", b'{"n": 2}') for _ in range(chance.randint(1, 6))])


def _frame(prefix: str, payload: bytes) -> EventFrame:
    return EventFrame(f"{prefix}-{next(_numbers)}", "poison", None, payload, crc32(payload))


def _put(scene: Scene, events: list[EventFrame]) -> None:
    block = Block(1, CLIENT, time.time_ns() // 1000, "none", "192.0.2.1", "faults", "none", "none", events)
    with scene.redis_client() as client:
        client.hincrby(KEYS.accepted, account_field(block.received_us, CLIENT), len(events))
        append(client, KEYS.events, len(events), msgspec.msgpack.encode([block]))
    sent = ((event.event_id, digest(msgspec.json.decode(event.payload))) for event in events)
    scene.log.note(CLIENT, sent, Outcome.OK)
