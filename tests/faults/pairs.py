"""Which faults may strike together: those that hurt different parts, so that each can be injected beside the other."""

from collections.abc import Sequence
from random import Random
from typing import Final

from tests.faults.fault import Fault

_CLIENT, _PUBLISHING = "client link", "gateway-Redis link"
_DELIVERING, _STORING = "processor-Redis link", "processor-PostgreSQL link"
_LINKS: Final = frozenset((_CLIENT, _PUBLISHING, _DELIVERING, _STORING))
_STREAMS: Final = "the streams' content"
"""What needs Redis at hand to put an event there cannot go with what takes it away."""

_PARTS: Final = {
    "gateway_": {"gateways"},
    "processors_racing": {"processors", _STORING},
    "processor": {"processors"},
    "crash_": {"processors", _STREAMS},
    "poison_": {_STREAMS},
    "redis_emptied": {"Redis", _STREAMS, _STORING},
    "redis_answers_late": {_PUBLISHING},
    "redis_": {"Redis", _STREAMS},
    "postgres_": {"PostgreSQL"},
    "partition_": {"PostgreSQL"},
    "ddl_": {"PostgreSQL"},
    "long_": {"PostgreSQL"},
    "client_": {_CLIENT},
    "publish_": {_PUBLISHING},
    "parking_": {_DELIVERING, _STREAMS},
    "delivery_": {_DELIVERING},
    "settlement_": {_DELIVERING},
    "copy_": {_STORING},
    "commit_": {_STORING},
    "servers_unreachable": {_DELIVERING, _STORING},
    "all_connections": set(_LINKS),
    "link_": set(_LINKS),
}


def parts(fault: Fault) -> frozenset[str]:
    """What a fault hurts, or needs unhurt. Raises LookupError for one that nobody has thought about."""
    for prefix, hurt in _PARTS.items():
        if fault.name.startswith(prefix):
            return frozenset(hurt)
    raise LookupError(f"tests/faults/pairs.py does not say what {fault.name} hurts")


def pair_up(seed: str, faults: Sequence[Fault], share: float) -> list[tuple[Fault, ...]]:
    """The faults one by one, but for about this share of them, which strike two at a time; each strikes once."""
    chance = Random(f"{seed}:pairs")
    left, strikes = list(faults), []
    while left:
        first = left.pop(0)
        partner = None
        if chance.random() < share / (2 - share):  # a strike of two uses up two faults
            partner = next((other for other in left if not parts(first) & parts(other)), None)
        if partner is not None:
            left.remove(partner)
        strikes.append((first,) if partner is None else (first, partner))
    return strikes
