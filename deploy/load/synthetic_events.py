"""Made-up events of a shop, of a given size: the same seed makes the same ones."""

from __future__ import annotations

import random
from dataclasses import dataclass

import orjson

_SHAPES = 2000
"""Different payloads; a run repeats them under other ids. Enough that pages and caches see variety."""

_TYPES = {
    "page.viewed": 60,
    "product.viewed": 20,
    "cart.item_added": 8,
    "order.placed": 5,
    "payment.captured": 4,
    "user.signed_in": 2,
    "user.signed_up": 1,
}
_WORDS = ("amber", "basin", "cedar", "delta", "ember", "fjord", "grove", "heron", "inlet", "jetty", "knoll", "larch")
_PATHS = ("/", "/search", "/products/{}", "/cart", "/checkout", "/account", "/help/{}")


@dataclass(frozen=True, slots=True)
class SyntheticShape:
    """How big payloads are, and the seed they come from."""

    payload_bytes: int
    seed: int


def synthetic_tails(shape: SyntheticShape) -> list[bytes]:
    """What follows the id of each event: type and payload. The same shape gives the same bytes."""
    dice = random.Random(shape.seed)  # noqa: S311  (no secret)
    return [_tail(dice, shape.payload_bytes) for _ in range(_SHAPES)]


def _tail(dice: random.Random, payload_bytes: int) -> bytes:
    [event_type] = dice.choices(list(_TYPES), list(_TYPES.values()))
    return b'","event_type":"%b","payload":%b}' % (event_type.encode(), _payload(dice, payload_bytes))


def _payload(dice: random.Random, size: int) -> bytes:
    """A JSON object of exactly `size` bytes, if the fields that are always there leave room for it."""
    fields = {
        "user_id": dice.randrange(1, 100_000),
        "session": f"{dice.getrandbits(64):016x}",
        "path": dice.choice(_PATHS).format(dice.randrange(5000)),
        "amount": {"value": dice.randrange(1, 100_000) / 100, "currency": dice.choice(("EUR", "USD", "JPY"))},
        "mobile": dice.random() < 0.5,
        "tags": dice.sample(_WORDS, dice.randrange(4)),
        "note": "",
    }
    room = size - len(orjson.dumps(fields))
    words = " ".join(dice.choices(_WORDS, k=max(room, 0) // 4 + 1))
    return orjson.dumps(fields | {"note": words[: max(room, 0)]})
