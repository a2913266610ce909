"""How long a batch waits for company."""

from stream_processor.company import WORTH_EVENTS, company_ms


def test_the_first_after_a_quiet_time_is_not_kept_waiting() -> None:
    assert company_ms(20, 1, quiet_ms=101) == 0


def test_a_flow_of_small_entries_gathers_for_longer_than_one_of_large_entries() -> None:
    assert company_ms(20, WORTH_EVENTS - 1, quiet_ms=100) == 40
    assert company_ms(20, WORTH_EVENTS, quiet_ms=100) == 20


def test_no_age_is_no_waiting() -> None:
    assert company_ms(0, 1, quiet_ms=0) == 0
