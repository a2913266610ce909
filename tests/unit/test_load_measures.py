"""How `weir load` measures: percentiles, pacing, verdicts, the summary."""

import random
from datetime import UTC, datetime

import pytest

from deploy.load.latency_histogram import LatencyHistogram
from deploy.load.load_request import LoadRequest
from deploy.load.pacing import Pace
from deploy.load.stored_watch import Fate, StorageTimes
from deploy.load.summary import Storage, summarise
from deploy.load.tally import Tally
from deploy.load.verdict import Verdict, judge, pause_seconds, retry_after_seconds


@pytest.mark.parametrize("percent", [1, 50, 95, 99, 100])
def test_a_percentile_is_within_one_percent_of_the_exact_one(percent: float) -> None:
    dice = random.Random(percent)
    times = sorted(dice.lognormvariate(-5, 1.5) for _ in range(10_000))
    histogram = LatencyHistogram()
    for seconds in times:
        histogram.add(seconds)
    exact_ms = times[round(percent * 100) - 1] * 1000
    assert histogram.percentile_ms(percent) == pytest.approx(exact_ms, rel=0.011)


def test_a_histogram_without_times_has_no_percentile() -> None:
    assert LatencyHistogram().percentile_ms(50) is None


def test_times_of_nothing_and_of_minutes_are_both_counted() -> None:
    histogram = LatencyHistogram()
    for seconds in (-1.0, 0.0, 600.0):
        histogram.add(seconds)
    assert histogram.count == 3
    assert histogram.percentile_ms(100) == pytest.approx(600_000, rel=0.011)


def test_requests_are_due_evenly_whatever_their_size() -> None:
    pace = Pace(events_per_second=1000)
    assert [pace.due_seconds(first) for first in (0, 500, 750)] == [0, 0.5, 0.75]


def test_without_a_rate_requests_are_due_at_once_and_there_is_no_end() -> None:
    assert Pace().due_seconds(500) is None
    assert not Pace().is_over(1e9, 10**9)


def test_a_run_is_over_by_the_clock_or_when_the_next_request_is_due_too_late() -> None:
    pace = Pace(events_per_second=1000, seconds=2)
    assert not pace.is_over(1.9, 1999)
    assert pace.is_over(2.0, 0)
    assert pace.is_over(0.1, 2000)


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (200, Verdict.KEPT),
        (202, Verdict.KEPT),
        (400, Verdict.REFUSED),
        (401, Verdict.REFUSED),
        (408, Verdict.LATER),
        (422, Verdict.REFUSED),
        (429, Verdict.LATER),
        (500, Verdict.UNKNOWN),
        (502, Verdict.UNKNOWN),
        (503, Verdict.LATER),
        (504, Verdict.UNKNOWN),
        (100, Verdict.UNKNOWN),
    ],
)
def test_the_status_says_what_a_sender_has_to_do(status: int, verdict: Verdict) -> None:
    assert judge(status) is verdict


def test_retry_after_is_obeyed_up_to_a_minute_and_is_a_second_when_it_cannot_be_read() -> None:
    values = (b"7", b"0", b"3600", None, b"Wed, 21 Oct 2026 07:28:00 GMT")
    assert [retry_after_seconds(value) for value in values] == [7, 0, 60, 1, 1]


def test_pauses_after_failures_grow_and_stay_bounded() -> None:
    pauses = [pause_seconds(failures) for failures in range(1, 2000)]
    assert pauses[:3] == [0.1, 0.2, 0.4]
    assert pauses == sorted(pauses)
    assert pauses[-1] == 5


def tally_of(accepted: int) -> Tally:
    tally = Tally(began=0.0, ended=2.0, sent_events=accepted, requests=1)
    tally.keep(LoadRequest(0, accepted, b""), b'{"accepted":%d,"duplicates":0}' % accepted, cut_before=False)
    return tally


def storage_of(stored: int, settled: int) -> Storage:
    times = StorageTimes(stored, {"p50": 1.0, "p95": 2.0, "p99": 3.0}, datetime.now(UTC))
    return Storage(Fate(expected=500, stored=stored, failed=0), times, settled, seconds=4.0)


def summed(stored: int, settled: int) -> tuple[int | None, int | None, bool]:
    summary = summarise(
        tally_of(500), storage_of(stored, settled), url="", client_id="c", cpu_seconds=0.1, stopped_by=None
    )
    return summary.in_flight, summary.lost, summary.sound


def test_a_run_is_sound_when_every_acknowledged_event_has_a_row() -> None:
    assert summed(stored=500, settled=500) == (0, 0, True)


def test_events_not_settled_yet_are_in_flight_and_not_lost() -> None:
    assert summed(stored=300, settled=300) == (200, 0, False)


def test_settled_events_without_a_row_are_lost() -> None:
    assert summed(stored=499, settled=500) == (0, 1, False)


def test_duplicates_after_a_cut_are_told_from_other_duplicates() -> None:
    tally = Tally()
    request = LoadRequest(0, 2, b"")
    tally.keep(request, b'{"accepted":0,"duplicates":2}', cut_before=True)
    tally.keep(LoadRequest(2, 1, b""), b'{"event_id":"x","status":"duplicate"}', cut_before=False)
    assert (tally.accepted, tally.duplicates, tally.own_duplicates, tally.acknowledged) == (0, 3, 2, 3)
