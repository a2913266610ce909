"""How a pipeline's commands are shared out among nodes: pure, but for who serves a slot."""

from collections.abc import Callable, Sequence
from typing import Any

from redis.exceptions import ClusterCrossSlotError, MovedError

from deploy.cluster.slots import Command, Node, slot_of_command, slots_of_pipeline


def by_node(commands: Sequence[Command], places: Sequence[int], find: Callable[[int], Node]) -> dict[Node, list[int]]:
    """Of the commands at ``places``, those of each node, in their order."""
    slots = slots_of_pipeline(commands)
    parts: dict[Node, list[int]] = {}
    for place in places:
        parts.setdefault(find(slots[place]), []).append(place)
    return parts


def unfinished(commands: Sequence[Command], replies: Sequence[Any]) -> list[int]:
    """The places to send again: commands that were led elsewhere, and did nothing, and with them those without a key.

    These ask for the time, or wait for what the one before them wrote: they belong to it, and harm nothing.
    """
    moved = [isinstance(reply, MovedError) for reply in replies]
    if not any(moved):
        return []
    return [
        place for place, (arguments, _) in enumerate(commands) if moved[place] or slot_of_command(arguments) is None
    ]


def of_one_slot(commands: Sequence[Command]) -> None:
    """Raises ClusterCrossSlotError for a transaction over several slots, as a server does."""
    if len(set(slots_of_pipeline(commands))) > 1:
        raise ClusterCrossSlotError("a transaction has keys of several shards")
