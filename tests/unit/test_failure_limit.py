"""When failures are too many: share and count within a window, decided before anything is written."""

import pytest

from shared.errors import HaltError
from stream_processor.failure_limit import FailureLimit, FailureWindow, is_reached

LIMIT = FailureLimit(share=0.5, count=100, window_seconds=60)


@pytest.mark.parametrize(
    ("events", "failed", "reached"),
    [
        (0, 0, False),
        (99, 99, False),  # all, but few
        (100, 100, True),
        (200, 100, True),
        (201, 100, False),  # many, but not their share
        (10_000, 5_000, True),
    ],
)
def test_both_share_and_count_must_be_reached(events: int, failed: int, reached: bool) -> None:
    assert is_reached(LIMIT, events, failed) is reached


def test_a_window_forgets_what_is_older_than_it() -> None:
    now = [0.0]
    window = FailureWindow(LIMIT, "s", lambda: now[0])
    window.add(60, 60)
    now[0] = 30
    with pytest.raises(HaltError, match=r"100 of 100 events .* because: why; .*WEIR_FAILURE_LIMIT_COUNT"):
        window.check(40, 40, "why")
    now[0] = 61
    window.check(40, 40, "why")


def test_good_events_of_the_window_count_too() -> None:
    window = FailureWindow(LIMIT, "s", lambda: 0.0)
    window.add(1000, 0)
    window.check(150, 150, "why")
