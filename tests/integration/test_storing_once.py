"""What stands in PostgreSQL after entries come once, twice, late, in two hands, or with repeats in them."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from psycopg.pq import TransactionStatus

from stream_processor.partitions import DayPartitions
from stream_processor.storage import store
from tests.fault_proxy import FaultProxy, Strike
from tests.pipeline import (
    DAY_US,
    Pipeline,
    assert_rollups_equal_recounts,
    block,
    connect,
    entry,
    event,
    execute,
    intake,
    now_us,
    pending,
    put,
    rows,
    stored_ids,
    totals,
    value,
)
from tests.waiting import eventually


@pytest.fixture
def pipeline(redis_url: str, database_url: str) -> Iterator[Pipeline]:
    made = Pipeline(redis_url, database_url)
    yield made
    made.close()


def everything(database_url: str) -> list[Any]:
    tables = ("events", "event_ids", "rollup_events_minute", "rollup_intake_minute", "rollup_latency_minute")
    return [rows(database_url, f"SELECT * FROM {table} ORDER BY 1, 2, 3") for table in tables]


def test_a_batch_is_stored_counted_and_settled(pipeline: Pipeline, database_url: str) -> None:
    put(pipeline.redis, block(event("a"), event("b")), block(event("c"), client_id="other"))
    put(pipeline.redis, block(event("d")))
    pipeline.settle(pipeline.store(pipeline.read()))
    assert stored_ids(database_url) == ["a", "b", "c", "d"]
    assert intake(database_url) == {"stored": 4, "duplicates": 0, "conflicting": 0, "failed": 0}
    assert_rollups_equal_recounts(database_url)
    assert totals(pipeline.redis) == {"added": 4, "settled": 4}
    assert pending(pipeline.redis) == 0
    assert pipeline.redis.xlen(pipeline.source.keys.stream) == 0


def test_every_column_holds_what_was_sent_and_what_is_known(pipeline: Pipeline, database_url: str) -> None:
    occurred_us, received_us = now_us() - 3_600_000_000, now_us()
    pipeline.store(
        [entry("1-1", block(event("a", b'{"x": "\xc3\xa9"}', occurred_us=occurred_us), received_us=received_us))]
    )
    (found,) = rows(
        database_url,
        """SELECT client_id, event_type, extract(epoch FROM occurred_at) * 1000000, payload, context,
                  extract(epoch FROM received_at) * 1000000, stored_at >= received_at FROM events""",
    )
    context = {"gateway": "gw", "address": "192.0.2.1", "request_id": "r1", "user_agent": "curl 8"}
    assert found == ("acme", "order.created", occurred_us, {"x": "é"}, context, received_us, True)


def test_an_entry_that_was_stored_before_changes_nothing(pipeline: Pipeline, database_url: str) -> None:
    entries = [entry("1-2", block(event("a"), event("a", b"[]"), event("b")))]
    assert pipeline.store(entries).redelivered == 0
    before = everything(database_url)
    assert pipeline.store(entries).redelivered == 1
    assert everything(database_url) == before


def test_another_entry_under_an_id_that_came_before_is_stored(pipeline: Pipeline, database_url: str) -> None:
    """Redis lost its data and its clock stepped back: ids begin again, with other events."""
    for event_id in ("before", "after"):
        assert pipeline.store([entry("1-1", block(event(event_id)))]).redelivered == 0
    assert stored_ids(database_url) == ["after", "before"]


def test_only_what_is_new_of_a_batch_is_stored(pipeline: Pipeline, database_url: str) -> None:
    old, new = entry("1-1", block(event("a"))), entry("1-2", block(event("b")))
    pipeline.store([old])
    stored = pipeline.store([old, new])
    assert (stored.settled, stored.redelivered) == ([old, new], 1)
    assert stored_ids(database_url) == ["a", "b"]
    assert intake(database_url) == {"stored": 2, "duplicates": 0, "conflicting": 0, "failed": 0}


def test_a_repeat_is_counted_wherever_it_comes(pipeline: Pipeline, database_url: str) -> None:
    pipeline.store([entry("1-1", block(event("a"), event("a"))), entry("1-3", block(event("a")))])
    pipeline.store([entry("1-4", block(event("a"), event("b")))])
    assert stored_ids(database_url) == ["a", "b"]
    assert intake(database_url) == {"stored": 2, "duplicates": 3, "conflicting": 0, "failed": 0}
    assert_rollups_equal_recounts(database_url)


def test_known_ids_are_found_whether_they_were_expected_or_not(pipeline: Pipeline, database_url: str) -> None:
    for number in range(1, 7):  # each brings a repeat after one that brought none, or after one that did
        names = [f"e{number}", "a"] if number % 3 else [f"e{number}", f"f{number}"]
        pipeline.store([entry(f"{number}-{number * 2}", block(*map(event, names)))])
    assert stored_ids(database_url) == ["a", "e1", "e2", "e3", "e4", "e5", "e6", "f3", "f6"]
    assert intake(database_url) == {"stored": 9, "duplicates": 3, "conflicting": 0, "failed": 0}
    assert_rollups_equal_recounts(database_url)


def test_ids_say_which_were_known_and_whether_any_event_failed(database_url: str) -> None:
    asked = "SELECT known, any_failed FROM store_event_ids(%s, %s, %s::timestamptz[], %s, %s)"

    def store_ids(names: list[str], *, expect_known: bool) -> tuple[Any, ...]:
        many = len(names)
        columns = (["acme"] * many, names, ["2026-01-01 00:00+00"] * many, [1] * many)
        with connect(database_url) as connection:
            (answer,) = connection.execute(asked, (*columns, expect_known)).fetchall()
        return answer

    assert store_ids(["b", "d"], expect_known=False) == (None, False)
    assert store_ids(["a", "b", "c", "d"], expect_known=False) == ([2, 4], False)
    assert store_ids(["a", "e"], expect_known=True) == ([1], False)
    assert store_ids(["f"], expect_known=True) == (None, False)
    failed = "client_id, event_id, payload, reason, detail, attempts, first_failed_at, last_failed_at, next_step"
    execute(database_url, f"INSERT INTO failed_events ({failed}) VALUES ('c', 'z', '', 'r', 'd', 1, now(), now(), 'n')")
    assert store_ids(["g"], expect_known=False) == (None, True)
    assert rows(database_url, "SELECT event_id FROM event_ids ORDER BY 1") == [(name,) for name in "abcdefg"]


@pytest.mark.parametrize("commits", [True, False])
@pytest.mark.parametrize("expect_known", [True, False])
def test_an_id_that_another_hand_is_writing_is_waited_for_and_known_only_if_it_stays(
    database_url: str, commits: bool, expect_known: bool
) -> None:
    times, crcs = "array_fill('2026-01-01 00:00+00'::timestamptz, ARRAY[3])", "array_fill(1, ARRAY[3])"
    ours = (
        f"SELECT known FROM store_event_ids(ARRAY['acme', 'acme', 'acme'], ARRAY['b', 'c', 'd'], {times}, {crcs}, %s)"
    )
    theirs = "INSERT INTO event_ids VALUES ('acme', 'a', now(), 1), ('acme', 'c', now(), 1) ON CONFLICT DO NOTHING"
    waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ~ '^SELECT known'"

    def store_ours() -> Any:
        with connect(database_url) as connection:
            return connection.execute(ours, [expect_known]).fetchall()

    with ThreadPoolExecutor(1) as pool, connect(database_url) as other:
        other.autocommit = False
        other.execute(theirs)
        told = pool.submit(store_ours)
        eventually(lambda: value(database_url, waits) == 1, what="ours waits for theirs")
        (other.commit if commits else other.rollback)()
        assert told.result(30) == [([2] if commits else None,)]
    kept = "abcd" if commits else "bcd"
    assert rows(database_url, "SELECT event_id FROM event_ids ORDER BY 1") == [(name,) for name in kept]


def test_the_first_payload_wins_and_others_are_counted_as_conflicting(pipeline: Pipeline, database_url: str) -> None:
    first, second, third = (event("a", payload) for payload in (b'{"n": 1}', b'{"n": 2}', b'{"n": 3}'))
    pipeline.store([entry("1-1", block(first, second))])
    pipeline.store([entry("1-3", block(third, first))])
    assert rows(database_url, "SELECT payload FROM events") == [({"n": 1},)]
    assert intake(database_url) == {"stored": 1, "duplicates": 3, "conflicting": 2, "failed": 0}


def test_the_same_id_at_two_times_is_one_event(pipeline: Pipeline, database_url: str) -> None:
    today, yesterday = now_us(), now_us() - DAY_US
    pipeline.store([entry("1-1", block(event("a", occurred_us=today)))])
    pipeline.store([entry("1-2", block(event("a", occurred_us=yesterday)))])
    pipeline.store([entry("1-4", block(event("b", occurred_us=yesterday), event("b", occurred_us=today)))])
    assert stored_ids(database_url) == ["a", "b"]


def test_the_same_id_of_two_clients_is_two_events(pipeline: Pipeline, database_url: str) -> None:
    pipeline.store([entry("1-2", block(event("a")), block(event("a"), client_id="other"))])
    assert stored_ids(database_url) == ["a", "a"]


def test_a_commit_whose_reply_is_lost_is_a_commit(redis_url: str, database_url: str) -> None:
    pipeline = Pipeline(redis_url, database_url)
    entries = [entry("1-2", block(event("a"), event("a"))), entry("1-3", block(event("b")))]
    with FaultProxy(database_url) as proxy:
        proxy.strike(b"COMMIT", Strike.LOSE_ANSWER)
        with pytest.raises(Exception, match="closed"), connect(proxy.url) as connection:
            store(connection, pipeline.source, pipeline.prepare(entries), pipeline.partitions.forget)
        assert proxy.struck == 1
    before = everything(database_url)
    stored = pipeline.store(entries)
    assert (stored.settled, stored.redelivered) == (entries, 2)
    assert everything(database_url) == before
    assert stored_ids(database_url) == ["a", "b"]
    pipeline.close()


def test_a_commit_that_did_not_arrive_is_none(redis_url: str, database_url: str) -> None:
    pipeline = Pipeline(redis_url, database_url)
    entries = [entry("1-1", block(event("a")))]
    with FaultProxy(database_url) as proxy:
        proxy.strike(b"COMMIT", Strike.CUT)
        with pytest.raises(Exception, match="closed"), connect(proxy.url) as connection:
            store(connection, pipeline.source, pipeline.prepare(entries), pipeline.partitions.forget)
    assert stored_ids(database_url) == []
    assert pipeline.store(entries).redelivered == 0
    assert stored_ids(database_url) == ["a"]
    pipeline.close()


def test_an_entry_in_two_hands_is_stored_by_one(redis_url: str, database_url: str) -> None:
    pipelines = [Pipeline(redis_url, database_url, name=f"p{n}") for n in range(2)]
    entries = [entry(f"1-{n}", block(event(f"e{n}"))) for n in range(1, 101)]
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda one: one.store(entries), pipelines))
    assert sorted(stored.redelivered for stored in both) == [0, 100]
    assert len(stored_ids(database_url)) == 100
    assert intake(database_url)["stored"] == 100
    for one in pipelines:
        one.close()


def test_processors_with_the_same_ids_in_other_orders_do_not_deadlock(redis_url: str, database_url: str) -> None:
    rounds, events, hands = 12, 200, 2
    pipelines = [Pipeline(redis_url, database_url, name=f"p{n}") for n in range(hands)]

    def hand(n: int) -> None:
        for turn in range(rounds):
            ids = [f"{turn}-{k}" for k in range(events)]
            blocks = block(*(event(one) for one in (ids if n else reversed(ids))))
            pipelines[n].store([entry(f"{n + 1}-{turn + 1}", blocks)])

    with ThreadPoolExecutor(hands) as pool:
        list(pool.map(hand, range(hands)))  # store() raises DeadlockDetected, if there is one
    assert len(stored_ids(database_url)) == rounds * events
    assert intake(database_url)["stored"] == rounds * events
    assert intake(database_url)["duplicates"] == rounds * events * (hands - 1)
    assert_rollups_equal_recounts(database_url)
    for one in pipelines:
        one.close()


@pytest.mark.parametrize("days_ago", [0, 1, 31, 365])
def test_a_historic_event_gets_its_days_partition(pipeline: Pipeline, database_url: str, days_ago: int) -> None:
    occurred_us = now_us() - days_ago * DAY_US
    pipeline.store([entry("1-1", block(event("a", occurred_us=occurred_us)))])
    partition = value(database_url, "SELECT tableoid::regclass::text FROM events")
    day = value(database_url, "SELECT to_char(to_timestamp(%s / 1e6) AT TIME ZONE 'UTC', 'YYYYMMDD')", occurred_us)
    assert partition == f"events_{day}"


def test_a_years_events_of_one_batch_each_go_to_their_day(pipeline: Pipeline, database_url: str) -> None:
    months = [event(f"e{n:02}", occurred_us=now_us() - n * 30 * DAY_US) for n in range(12)]
    pipeline.store([entry("1-12", block(*months))])
    assert value(database_url, "SELECT count(DISTINCT tableoid) FROM events") == 12
    assert_rollups_equal_recounts(database_url)


def test_a_partition_that_was_dropped_underneath_is_made_again(pipeline: Pipeline, database_url: str) -> None:
    pipeline.store([entry("1-1", block(event("a")))])
    partition = value(database_url, "SELECT tableoid::regclass::text FROM events")
    execute(database_url, f"DROP TABLE {partition}")
    pipeline.store([entry("1-2", block(event("b")))])
    assert stored_ids(database_url) == ["b"]


def test_partitions_are_made_ahead(pipeline: Pipeline, database_url: str) -> None:
    for parent in ("events", "audit_logs"):
        pipeline.partitions.ensure_ahead(parent)
        made = value(
            database_url,
            """SELECT count(*) FROM pg_inherits WHERE inhparent = %s::regclass AND inhrelid::regclass::text IN (
                   SELECT %s || '_' || to_char(day AT TIME ZONE 'UTC', 'YYYYMMDD')
                   FROM generate_series(now(), now() + interval '3 days', interval '1 day') AS day)""",
            parent, parent,
        )  # fmt: skip
        assert made == 4


def test_any_number_of_processors_may_meet_a_new_day_together(database_url: str) -> None:
    makers = [DayPartitions(lambda: connect(database_url)) for _ in range(6)]
    with ThreadPoolExecutor(len(makers)) as pool:
        for day in range(20_000, 20_006):
            list(pool.map(lambda maker, day=day: maker.ensure("events", [day]), makers))
    assert value(database_url, "SELECT count(*) FROM pg_inherits WHERE inhparent = 'events'::regclass") == 6


def test_partitions_are_made_before_the_transaction_begins(pipeline: Pipeline, database_url: str) -> None:
    """Made inside it, they would hold its locks for as long as they take."""
    made_in: list[TransactionStatus] = []
    ensure = pipeline.partitions.ensure

    def watched(parent: str, days: Iterable[int]) -> None:
        missing = {day for day in days if (parent, day) not in pipeline.partitions._known}
        made_in.extend(pipeline.connection.info.transaction_status for _ in missing)
        ensure(parent, days)

    pipeline.partitions.ensure = watched  # type: ignore[method-assign]
    days = [now_us() - day * DAY_US for day in range(3)]
    pipeline.store([entry("1-3", block(*(event(f"e{day}", occurred_us=day) for day in days)))])
    assert made_in == [TransactionStatus.IDLE] * 3
    assert len(stored_ids(database_url)) == 3
