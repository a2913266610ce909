"""What a person reads at the end of `weir load`."""

from datetime import UTC, datetime

from deploy.load.load_request import LoadRequest
from deploy.load.stored_watch import Fate, StorageTimes
from deploy.load.summary import Storage, summarise
from deploy.load.summary_table import summary_rows
from deploy.load.tally import Tally


def shown(storage: Storage | None, *, refused: int = 0) -> dict[str, tuple[str, str]]:
    tally = Tally(began=0.0, ended=2.0, sent_events=500, requests=1)
    tally.keep(LoadRequest(0, 500, b""), b'{"accepted":500,"duplicates":0}', cut_before=False)
    if refused:
        tally.refuse(LoadRequest(500, refused, b""), "422: payload is too deep")
    summary = summarise(tally, storage, url="", client_id="c", cpu_seconds=0.1, stopped_by=None)
    return {name: (figure, about) for name, figure, about in summary_rows(summary)}


def stored(rows: int) -> Storage:
    percentiles = {"p50": 10.0, "p95": 20.0, "p99": 30.0} if rows else {}
    last = datetime.now(UTC) if rows else None
    return Storage(Fate(500, 500, 0), StorageTimes(rows, percentiles, last), 500, 2.5 if rows else None)


def test_the_summary_names_accepted_stored_lost_and_the_three_percentiles() -> None:
    rows = shown(stored(500))
    assert [rows[name][0] for name in ("accepted", "stored", "lost")] == ["500", "500", "0"]
    assert rows["stored/s"][0] == "200"
    assert rows["acceptance to stored"][0] == "10.0 · 20.0 · 30.0 ms"


def test_what_did_not_happen_has_no_line() -> None:
    assert not {"refused", "unknown", "in flight", "429 and 503", "failed requests"} & set(shown(stored(500)))


def test_a_refusal_is_told_in_the_gateways_words() -> None:
    assert shown(stored(500), refused=10)["refused"] == ("10", "422: payload is too deep")


def test_without_the_database_what_is_stored_is_not_guessed() -> None:
    rows = shown(None)
    assert {rows[name][0] for name in ("stored", "failed", "lost", "stored/s", "acceptance to stored")} == {"not seen"}


def test_a_run_of_nothing_but_duplicates_has_no_storage_times() -> None:
    rows = shown(stored(0))
    assert (rows["stored/s"][0], rows["acceptance to stored"][0]) == ("none", "none")
