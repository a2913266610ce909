"""What the two sides of the balance say of each other."""

from typing import Any

import pytest

from deploy.reconcile.balance import MISSING, NO_COUNT, SURPLUS, Balance, Intake, Readings, judge_balance

ACME, BRAVO = (100, "acme"), (100, "bravo")


def judged(first_minute: int = 0, **changes: Any) -> Balance:
    readings: dict[str, Any] = {
        "counted_before": {ACME: 10},
        "counted_after": {ACME: 10},
        "intake": {ACME: Intake(stored=6, duplicates=1, failed=1)},
        "in_flight": {ACME: 2},
    }
    return judge_balance(Readings(**{**readings, **changes}), first_minute)


def test_it_balances() -> None:
    balance = judged()
    assert balance.differences == ()
    assert (balance.accounts, balance.accepted, balance.stored, balance.duplicates, balance.failed) == (1, 10, 6, 1, 1)
    assert balance.in_flight == 2


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"in_flight": {}}, MISSING),
        ({"intake": {ACME: Intake(stored=9)}}, SURPLUS),
        ({"counted_before": {}, "counted_after": {}}, NO_COUNT),
        ({"intake": {ACME: Intake(stored=6, duplicates=1, failed=1), BRAVO: Intake(stored=1)}}, NO_COUNT),
    ],
)
def test_a_difference_has_its_kind(changes: dict[str, Any], kind: str) -> None:
    (found,) = judged(**changes).differences
    assert found.kind == kind
    assert set(found.numbers) == {"accepted", "stored", "duplicates", "failed", "in_flight"}


def test_an_account_that_grows_is_left_open() -> None:
    balance = judged(counted_after={ACME: 11, BRAVO: 1}, in_flight={})
    assert (balance.accounts, balance.open_accounts, balance.differences) == (0, 2, ())


def test_a_count_that_was_moved_meanwhile_still_counts() -> None:
    assert judged(counted_after={}).differences == ()


def test_what_came_before_counting_or_from_another_hand_is_not_judged() -> None:
    assert judged(first_minute=101).accounts == 0
    assert judged(intake={(100, ""): Intake(failed=1)}, counted_before={}, counted_after={}, in_flight={}).accounts == 0
