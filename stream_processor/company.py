"""How long the first entries of a batch wait for company: what makes a transaction worth its fixed cost.

A transaction costs some milliseconds of CPU in all, however few its events. Waiting shares that among more events, and
makes each of them be stored later.
"""

from typing import Final

WORTH_EVENTS: Final = 250
"""With so many events the fixed cost of a transaction is a small part of it."""
_LONGER: Final = 2
_ALONE: Final = 5


def company_ms(batch_age_ms: float, events: int, quiet_ms: float) -> float:
    """How long to wait, having ``events``, ``quiet_ms`` after the end of the last batch that was read.

    After a quiet time the first ones are stored at once: who comes seldom is not kept waiting, and costs little. A
    stream that flows in small entries gathers for twice the age, one of large entries for the age.
    """
    if quiet_ms > _ALONE * batch_age_ms:
        return 0
    return batch_age_ms if events >= WORTH_EVENTS else _LONGER * batch_age_ms
