"""`weir processors scale`: the number of processors changes while events flow, on one machine and on several."""

import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from tests import processes
from tests.gateway_process import new_event
from tests.waiting import eventually
from tests.weir_up import WEIR, WeirUp, plain_environment


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WeirUp]:
    up = WeirUp(tmp_path_factory.mktemp("scaling") / "data")
    up.start()
    yield up
    up.close()


@pytest.fixture(autouse=True)
def as_at_the_start(up: WeirUp) -> Iterator[None]:
    yield
    order(up, "--forget")


def order(up: WeirUp, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*WEIR, "processors", "scale", *words], env=up.environment, capture_output=True, text=True, check=False
    )


def processors_of(pid: int) -> int:
    return sum("processor run" in processes.command_line(child) for child in processes.family(pid))


def stored(up: WeirUp, event_type: str) -> int:
    with psycopg.connect(up.servers["database_url"]) as connection:
        row = connection.execute("SELECT count(*) FROM events WHERE event_type = %s", [event_type]).fetchone()
    assert row is not None
    return int(row[0])


@contextmanager
def posting(up: WeirUp, event_type: str) -> Iterator[list[int]]:
    """Batches, one after the other, until the block ends; the counts of accepted events."""
    accepted: list[int] = []
    end = threading.Event()

    def post() -> None:
        while not end.is_set():
            answer = up.post(*(new_event(event_type=event_type) for _ in range(50)))
            assert answer.status_code == 202, answer.text
            accepted.append(answer.json()["accepted"])

    thread = threading.Thread(target=post)
    thread.start()
    try:
        yield accepted
    finally:
        end.set()
        thread.join()


@contextmanager
def another_machine(up: WeirUp, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A supervisor with a folder of its own, on the same servers."""
    environment = plain_environment(
        DATABASE_URL=up.servers["database_url"],
        REDIS_URL=up.servers["redis_url"],
        WEIR_DATA_DIR=str(folder),
    )
    process = subprocess.Popen([*WEIR, "processors", "supervise"], env=environment, stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def test_from_one_to_six_and_back_under_load_with_exact_totals(up: WeirUp) -> None:
    with posting(up, "scaled") as accepted:
        more = order(up, "6")
        assert more.returncode == 0, more.stderr
        assert "6 of 6 processors run" in more.stdout
        assert processors_of(up.pid) == 6
        fewer = order(up, "1")
        assert fewer.returncode == 0, fewer.stderr
        assert "drain" in fewer.stdout
        assert processors_of(up.pid) == 1
    assert accepted
    eventually(lambda: stored(up, "scaled") == sum(accepted), within_seconds=60, what="all is stored, once")
    up.weir("reconcile")  # asserts that it exits with 0: nothing differs


def test_a_target_outlives_the_supervisor(up: WeirUp) -> None:
    assert order(up, "2").returncode == 0
    up.stop()
    up.start()
    eventually(lambda: processors_of(up.pid) == 2, within_seconds=20, what="two processors as ordered")
    assert "2 processors are wanted here, of 2 in all" in up.output
    assert order(up, "--forget").returncode == 0
    assert processors_of(up.pid) == 1


def test_two_supervisors_share_a_target_and_one_takes_over_from_the_other(up: WeirUp, tmp_path: Path) -> None:
    with another_machine(up, tmp_path / "second") as second:
        eventually(lambda: processors_of(second.pid) == 1, within_seconds=30, what="its own number at first")
        assert order(up, "3").returncode == 0
        assert sorted((processors_of(up.pid), processors_of(second.pid))) == [1, 2]
        second.kill()
        second.wait()
        eventually(lambda: processors_of(up.pid) == 3, within_seconds=40, what="all three here")


def test_automatic_scaling_follows_a_burst_and_comes_back(up: WeirUp) -> None:
    (slow,) = [child for child in processes.family(up.pid) if "processor run" in processes.command_line(child)]
    assert order(up, "--auto", "--min", "1", "--max", "2", "--target-lag", "500ms").returncode == 0
    os.kill(slow, signal.SIGSTOP)
    try:
        with posting(up, "burst") as accepted:
            eventually(lambda: processors_of(up.pid) == 2, within_seconds=60, what="one more")
    finally:
        os.kill(slow, signal.SIGCONT)
    assert re.search(r"the oldest event waits for [0-9.]+ s, 0.5 s are wanted: \d processors instead of \d", up.output)
    eventually(lambda: stored(up, "burst") == sum(accepted), within_seconds=60, what="all is stored, once")
    eventually(lambda: processors_of(up.pid) == 1, within_seconds=120, what="one again when nothing waits")


def test_where_nobody_supervises_it_says_what_to_start(up: WeirUp) -> None:
    environment = {**up.environment, "WEIR_STREAM_SHARDS": "1"}
    os.kill(up.pid, signal.SIGSTOP)
    try:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            told = subprocess.run(
                [*WEIR, "processors", "scale", "2", "--wait", "1"], env=environment, capture_output=True, text=True,
                check=False,
            )  # fmt: skip
            if "nobody supervises" in told.stderr:
                break
        assert told.returncode == 1
        assert "weir processors supervise" in told.stderr
    finally:
        os.kill(up.pid, signal.SIGCONT)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ((), "give one of"),
        (("3", "--auto"), "give one of"),
        (("--auto", "--min", "5", "--max", "2"), "--min 5 is more than --max 2"),
        (("--auto", "--target-lag", "soon"), "500ms, 5s or 1m"),
        (("9999",), "1024"),
    ],
)
def test_an_order_that_makes_no_sense_is_a_usage_error(up: WeirUp, words: tuple[str, ...], why: str) -> None:
    told = order(up, *words)
    assert told.returncode == 2
    assert why in told.stderr
