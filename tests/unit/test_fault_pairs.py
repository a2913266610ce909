"""Which faults strike together."""

from collections import Counter

from tests.faults.fault import all_faults
from tests.faults.pairs import pair_up, parts
from tests.faults.run import draw

KINDS = list(all_faults().values())


def test_of_every_fault_it_is_known_what_it_hurts() -> None:
    assert all(parts(fault) for fault in KINDS)


def test_each_fault_strikes_once_and_never_beside_one_that_hurts_the_same() -> None:
    drawn = draw("a", KINDS, 100)
    strikes = pair_up("a", drawn, 0.5)
    assert Counter(fault.name for strike in strikes for fault in strike) == Counter(fault.name for fault in drawn)
    pairs = [strike for strike in strikes if len(strike) == 2]
    assert all(not parts(first) & parts(second) for first, second in pairs)
    assert 15 <= len(pairs) <= 35
    assert strikes == pair_up("a", drawn, 0.5)


def test_without_a_share_they_strike_alone_and_with_all_in_pairs_while_there_are_partners() -> None:
    drawn = draw("b", KINDS, 60)
    assert pair_up("b", drawn, 0) == [(fault,) for fault in drawn]
    assert sum(len(strike) == 2 for strike in pair_up("b", drawn, 1)) >= 25
