"""Maintenance on a real database: what is past retention goes, by whoever leads, and nothing else does."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from deploy.cli import run
from stream_processor.maintenance import Maintenance, MaintenanceConfig
from stream_processor.maintenance_metrics import read_notes
from stream_processor.metrics import ProcessorMetrics
from stream_processor.retention import RetentionPolicy
from stream_processor.retention_run import RetentionRun, plan_retention
from tests.analytics_seed import seed_call, seed_failed
from tests.no_settings import forget_settings
from tests.pipeline import (
    DAY_US,
    Pipeline,
    block,
    connect,
    event,
    execute,
    now_us,
    put,
    rows,
    stored_ids,
    value,
)
from tests.processor_process import ProcessorProcess
from tests.waiting import eventually

DAY = timedelta(days=1)
POLICY = RetentionPolicy(event_days=90, audit_days=30, failed_event_days=60, rollup_days=400)


def never(_seconds: float) -> bool:
    return False


def clock() -> datetime:
    return datetime.now(UTC)


def day_ago(days: int) -> date:
    return (clock() - days * DAY).date()


@pytest.fixture
def pipeline(redis_url: str, database_url: str) -> Iterator[Pipeline]:
    pipeline = Pipeline(redis_url, database_url)
    yield pipeline
    pipeline.close()


def store(pipeline: Pipeline, *ids_and_ages: tuple[str, int]) -> None:
    """Events, each so many days old."""
    put(pipeline.redis, block(*(event(id_, occurred_us=now_us() - age * DAY_US) for id_, age in ids_and_ages)))
    pipeline.pass_on()


def maintenance(database_url: str, **changes: Any) -> Maintenance:
    config = MaintenanceConfig(policy=POLICY, **{"days_ahead": 2, **changes})
    return Maintenance(config, lambda: connect(database_url), ProcessorMetrics().maintenance)


def make_due(database_url: str) -> None:
    """As if the last run was some days ago, and the clock has gone on evenly since."""
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "INSERT INTO maintenance VALUES ('retention', now() - interval '3 days') "
            "ON CONFLICT (task) DO UPDATE SET at = excluded.at"
        )


def partitions(database_url: str) -> set[str]:
    found = rows(database_url, "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent IN "
                 "('events'::regclass, 'audit_logs'::regclass)")  # fmt: skip
    return {name for (name,) in found}


def detached(database_url: str) -> list[str]:
    return [name for (name,) in rows(database_url, "SELECT relname FROM pg_class WHERE relname LIKE 'expired%%' "
                                     "AND relkind = 'r'")]  # fmt: skip


def ids(database_url: str) -> list[str]:
    return [event_id for (event_id,) in rows(database_url, "SELECT event_id FROM event_ids ORDER BY 1")]


def test_what_is_past_its_retention_goes_and_nothing_else(pipeline: Pipeline, database_url: str) -> None:
    store(pipeline, ("today", 0), ("last", 90), ("over", 92), ("old", 95))
    for age in (0, 30, 32):
        seed_call(database_url, at=clock() - age * DAY)
    for age in (1, 59, 61):
        seed_failed(database_url, event_id=f"f{age}", last_failed_at=clock() - age * DAY)
    seed_failed(database_url, event_id="replayed", last_failed_at=clock() - 70 * DAY, replayed_at=clock())
    rolled = value(database_url, "SELECT sum(events) FROM rollup_events_minute")
    make_due(database_url)
    assert maintenance(database_url).round(clock, never)
    assert stored_ids(database_url) == ids(database_url) == ["last", "today"]
    assert value(database_url, "SELECT count(*) FROM audit_logs") == 2
    assert rows(database_url, "SELECT event_id FROM failed_events ORDER BY 1") == [("f1",), ("f59",), ("replayed",)]
    assert value(database_url, "SELECT sum(events) FROM rollup_events_minute") == rolled, "rollups outlive the rows"
    assert detached(database_url) == []
    gone = {f"events_{day_ago(92):%Y%m%d}", f"events_{day_ago(95):%Y%m%d}", f"audit_logs_{day_ago(32):%Y%m%d}"}
    assert not gone & partitions(database_url)
    dropped = rows(database_url, "SELECT parent, day FROM dropped_days")
    assert {f"{parent}_{day:%Y%m%d}" for parent, day in dropped} == gone


def test_an_id_whose_event_was_dropped_may_be_used_again(pipeline: Pipeline, database_url: str) -> None:
    store(pipeline, ("again", 100), ("kept", 1))
    store(pipeline, ("again", 0), ("kept", 0))
    assert value(database_url, "SELECT sum(duplicates)::int FROM rollup_intake_minute") == 2
    make_due(database_url)
    maintenance(database_url).round(clock, never)
    store(pipeline, ("again", 0), ("kept", 0))
    assert value(database_url, "SELECT sum(duplicates)::int FROM rollup_intake_minute") == 3
    assert stored_ids(database_url) == ids(database_url) == ["again", "kept"]


def test_an_event_in_flight_whose_day_was_dropped_meanwhile_is_stored(pipeline: Pipeline, database_url: str) -> None:
    store(pipeline, ("before", 100))
    put(pipeline.redis, block(event("in flight", occurred_us=now_us() - 100 * DAY_US)))
    read = pipeline.read()
    prepared = pipeline.prepare(read)
    make_due(database_url)
    maintenance(database_url).round(clock, never)
    assert stored_ids(database_url) == []
    pipeline.settle(pipeline.store(read))
    assert len(prepared.rows.rows) == 1
    assert stored_ids(database_url) == ids(database_url) == ["in flight"]
    make_due(database_url)
    maintenance(database_url).round(clock, never)
    assert stored_ids(database_url) == ids(database_url) == [], "it goes with its day the next time"


def test_a_redelivered_entry_whose_events_were_dropped_is_not_stored_again(
    pipeline: Pipeline, database_url: str
) -> None:
    put(pipeline.redis, block(event("a", occurred_us=now_us() - 100 * DAY_US)))
    read = pipeline.read()
    pipeline.store(read)
    make_due(database_url)
    maintenance(database_url).round(clock, never)
    assert pipeline.store(read).redelivered == 1
    assert stored_ids(database_url) == []


def test_a_run_that_died_between_two_steps_is_finished_by_the_next(pipeline: Pipeline, database_url: str) -> None:
    store(pipeline, *((f"e{n}", 100) for n in range(20)), ("kept", 1))
    with connect(database_url) as connection:
        connection.execute("SELECT expire_day_partition('events', %s, 90)", (f"events_{day_ago(100):%Y%m%d}",))
        (left,) = detached(database_url)
        assert stored_ids(database_url) == ["kept"]
        connection.execute("SELECT forget_ids(%s, 0, 1)", (left,))
        make_due(database_url)
        maintenance(database_url).round(clock, never)
    assert (ids(database_url), detached(database_url)) == (["kept"], [])


def test_ids_are_forgotten_page_by_page_and_only_those_of_the_dropped_events(
    pipeline: Pipeline, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stream_processor.retention_run.BLOCKS_A_STEP", 2)
    store(pipeline, *((f"e{n:04}", 100) for n in range(1000)), ("kept", 100 - 95))
    with psycopg.connect(database_url) as connection:  # an id that is another event's by now
        connection.execute("UPDATE event_ids SET occurred_at = now() WHERE event_id = 'e0500'")
    seen: list[int] = []
    with connect(database_url) as connection:
        plan = plan_retention(connection, POLICY, clock())
        runs = RetentionRun(
            connection, never, lambda step, done: seen.append(done) if step == "ids forgotten" else None
        )
        assert runs.carry_out(plan, POLICY, clock()).event_ids == 999
    assert len(seen) > 5
    assert ids(database_url) == ["e0500", "kept"]


def test_rollups_go_by_their_own_retention_in_chunks(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream_processor.retention_run.ROWS_A_STEP", 3)
    for age in (399, 402, 500, 501, 502, 503):
        execute(
            database_url, f"INSERT INTO rollup_events_minute VALUES (now() - interval '{age} days', 'a', 't', 1, 1)"
        )
        execute(database_url, f"INSERT INTO rollup_accepted_minute VALUES (now() - interval '{age} days', 'a', 0, 1)")
    with connect(database_url) as connection:
        plan = plan_retention(connection, POLICY, clock())
        done = RetentionRun(connection, never).carry_out(plan, POLICY, clock())
    assert done.rollups == plan.rollups
    assert {name: n for name, n in done.rollups.items() if n} == {
        "rollup_events_minute": 5,
        "rollup_accepted_minute": 5,
    }
    assert value(database_url, "SELECT count(*) FROM rollup_events_minute") == 1
    assert value(database_url, "SELECT at FROM maintenance WHERE task = 'rollups'") == POLICY.rollups_before(clock())


def test_partitions_are_made_ahead_once_a_day(database_url: str) -> None:
    keeper = maintenance(database_url, days_ahead=5)
    keeper.round(clock, never)
    wanted = {f"{parent}_{day_ago(-n):%Y%m%d}" for parent in ("events", "audit_logs") for n in range(6)}
    assert wanted == partitions(database_url)
    execute(database_url, f"DROP TABLE events_{day_ago(-5):%Y%m%d}")
    keeper.round(clock, never)
    assert len(partitions(database_url)) == 11
    execute(database_url, "UPDATE maintenance SET at = at - interval '1 day' WHERE task = 'partitions'")
    keeper.round(clock, never)
    assert wanted == partitions(database_url)


def test_every_processor_tells_what_the_leaders_did_and_what_they_could_not(
    pipeline: Pipeline, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stream_processor.maintenance.MOST_DAYS_A_RUN", 2)
    leader, other = ProcessorMetrics(), ProcessorMetrics()

    def told(metrics: ProcessorMetrics, name: str, **labels: str) -> float:
        found = metrics.registry.get_sample_value(f"weir_{name}", labels)
        assert found is not None
        return found

    def round_of(metrics: ProcessorMetrics, ours: datetime) -> None:
        config = MaintenanceConfig(policy=POLICY, days_ahead=2)
        Maintenance(config, lambda: connect(database_url), metrics.maintenance).round(lambda: ours, never)

    store(pipeline, *((f"e{age}", age) for age in (100, 101, 102)))
    make_due(database_url)
    round_of(leader, clock() + 3650 * DAY)
    assert told(leader, "maintenance_failures_total", reason="clock") == 1
    assert told(leader, "maintenance_last_success_timestamp_seconds", task="retention") < clock().timestamp() - 86_400
    round_of(leader, clock())
    with connect(database_url) as holder:
        holder.execute("SELECT pg_advisory_lock(hashtext('weir.maintenance'))")
        round_of(other, clock())
    for metrics, dropped in ((leader, 2), (other, 0)):
        assert told(metrics, "retention_partitions_dropped_total", table="events") == dropped
        assert told(metrics, "retention_partitions_left") == 1
        for task in ("partitions", "retention"):
            at = told(metrics, "maintenance_last_success_timestamp_seconds", task=task)
            assert abs(at - clock().timestamp()) < 3600
            assert told(metrics, "maintenance_last_duration_seconds", task=task) > 0
    assert told(other, "maintenance_failures_total", reason="postgresql") == 0


def test_retention_by_hand_is_told_as_the_daily_one(weir: Any, pipeline: Pipeline, database_url: str) -> None:
    store(pipeline, ("old", 100))
    weir("retention", "run", "--yes")
    metrics = ProcessorMetrics()
    with connect(database_url) as connection:
        metrics.maintenance.show(read_notes(connection))
    at = metrics.registry.get_sample_value("weir_maintenance_last_success_timestamp_seconds", {"task": "retention"})
    assert at is not None
    assert abs(at - clock().timestamp()) < 3600


def test_one_processor_at_a_time_does_it(pipeline: Pipeline, database_url: str) -> None:
    store(pipeline, ("old", 100))
    make_due(database_url)
    with connect(database_url) as other:
        other.execute("SELECT pg_advisory_lock(hashtext('weir.maintenance'))")
        assert not maintenance(database_url).round(clock, never)
        assert stored_ids(database_url) == ["old"]
    assert maintenance(database_url).round(clock, never)
    assert stored_ids(database_url) == []


def test_what_an_upgrade_finds_waits_for_the_next_time_of_day(pipeline: Pipeline, database_url: str) -> None:
    store(pipeline, ("old", 100))
    assert maintenance(database_url).round(clock, never)
    assert stored_ids(database_url) == ["old"]


def test_a_clock_that_is_not_believed_drops_nothing(pipeline: Pipeline, database_url: str) -> None:
    store(pipeline, ("young", 10), ("old", 100))
    make_due(database_url)
    maintenance(database_url).round(lambda: clock() + 3650 * DAY, never)
    assert stored_ids(database_url) == ["old", "young"], "PostgreSQL's clock says otherwise"
    execute(database_url, "UPDATE maintenance SET at = now() - interval '5 days' WHERE task = 'clock'")
    for _ in range(2):
        maintenance(database_url).round(clock, never)
        assert stored_ids(database_url) == ["old", "young"], "the clock leapt"
    execute(database_url, "UPDATE maintenance SET detail = jsonb_build_object('leapt_at', now() - interval '25 hours') "
            "WHERE task = 'clock'")  # fmt: skip
    maintenance(database_url).round(clock, never)
    assert stored_ids(database_url) == ["young"], "it was watched for a day"


def test_a_run_noted_by_a_clock_that_was_ahead_does_not_end_maintenance_for_years(
    pipeline: Pipeline, database_url: str
) -> None:
    store(pipeline, ("old", 100))
    execute(database_url, "INSERT INTO maintenance SELECT unnest(ARRAY['retention', 'partitions']), '2099-01-01'")
    maintenance(database_url).round(clock, never)
    assert value(database_url, "SELECT max(at) < now() FROM maintenance")


def test_one_run_by_itself_drops_a_few_days_only(
    pipeline: Pipeline, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stream_processor.maintenance.MOST_DAYS_A_RUN", 2)
    store(pipeline, *((f"e{age}", age) for age in (100, 101, 102)))
    make_due(database_url)
    maintenance(database_url).round(clock, never)
    assert stored_ids(database_url) == ["e100"]


REFUSED = (
    "SELECT expire_day_partition('events', 'events_{today}', 0)",
    "SELECT expire_day_partition('events', 'events_{today}', -1000)",
    "SELECT expire_day_partition('events', 'events_{older}', 90)",
    "SELECT expire_day_partition('events', 'api_keys', 0)",
    "SELECT expire_day_partition('event_ids', 'event_ids_0', 0)",
    "SELECT expire_day_partition('audit_logs', 'events_{oldest}', 0)",
    "SELECT detach_day_partition('events', 'events_{oldest}')",
    "SELECT forget_ids('events_{oldest}', 0, 100)",
    "SELECT drop_expired('events_{oldest}')",
    "SELECT drop_expired('api_keys')",
    "SELECT expire_rollups('rollup_events_minute', now(), 10)",
    "SELECT expire_rollups('events', now() - interval '1 year', 10)",
    "DROP TABLE events_{oldest}",
)


def test_the_writer_can_drop_nothing_that_is_not_past_retention_by_postgresqls_clock(
    pipeline: Pipeline, database_url: str
) -> None:
    store(pipeline, ("today", 0), ("older", 50), ("oldest", 100))
    days = {name: f"{day_ago(age):%Y%m%d}" for name, age in (("today", 0), ("older", 50), ("oldest", 100))}
    with connect(database_url) as connection:
        connection.execute("SET TimeZone = 'Pacific/Kiritimati'")
        for statement in REFUSED:
            with pytest.raises(psycopg.Error):
                connection.execute(statement.format(**days).encode())
    assert stored_ids(database_url) == ids(database_url) == ["older", "oldest", "today"]


def test_a_sessions_time_zone_changes_nothing(pipeline: Pipeline, database_url: str) -> None:
    store(pipeline, *((f"e{age}", age) for age in range(88, 94)))
    for zone in ("America/New_York", "Etc/GMT+12", "Pacific/Kiritimati"):
        with connect(database_url) as connection:
            connection.execute("SELECT set_config('TimeZone', %s, false)", (zone,))
            plan = plan_retention(connection, POLICY, clock())
            assert [one.name for one in plan.partitions] == [f"events_{day_ago(age):%Y%m%d}" for age in (93, 92, 91)]
            if zone == "Pacific/Kiritimati":
                RetentionRun(connection, never).carry_out(plan, POLICY, clock())
    assert stored_ids(database_url) == ["e88", "e89", "e90"]


def test_storing_goes_on_while_a_long_reader_keeps_retention_waiting(
    pipeline: Pipeline, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stream_processor.retention_run._TRIES", 4)
    monkeypatch.setattr("stream_processor.retention_run._FIRST_PAUSE_SECONDS", 0.01)
    store(pipeline, ("old", 100), ("today", 0))
    with psycopg.connect(database_url) as reader:
        reader.execute("SELECT count(*) FROM events")  # its lock is held until the transaction ends
        found: list[list[str]] = []

        def retain() -> None:
            with connect(database_url) as connection:
                plan = plan_retention(connection, POLICY, clock())
                found.append(RetentionRun(connection, never).carry_out(plan, POLICY, clock()).put_off)

        thread = threading.Thread(target=retain)
        thread.start()
        stored = 0
        while thread.is_alive():
            store(pipeline, (f"meanwhile {stored}", 0))
            stored += 1
        thread.join()
    assert stored > 0
    assert found == [[f"events_{day_ago(100):%Y%m%d}"]]
    assert len(stored_ids(database_url)) == stored + 2


def test_no_step_of_retention_waits_long_for_a_lock_that_storing_would_wait_behind(database_url: str) -> None:
    found = rows(database_url, "SELECT proname, (SELECT split_part(one, '=', 2) FROM unnest(proconfig) AS one "
                 "WHERE one LIKE 'lock_timeout=%%') FROM pg_proc WHERE proname = ANY (ARRAY['detach_day_partition', "
                 "'expire_day_partition', 'drop_expired'])")  # fmt: skip
    assert dict(found) == {"detach_day_partition": "200ms", "expire_day_partition": "200ms", "drop_expired": "200ms"}


def test_a_leader_that_is_killed_is_followed_by_another(redis_url: str, database_url: str, pipeline: Pipeline) -> None:
    store(pipeline, ("old", 100), ("today", 0))
    make_due(database_url)

    def is_led() -> bool:
        return bool(value(database_url, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted "
                          "AND objid = (hashtext('weir.maintenance')::bigint & 4294967295)::oid"))  # fmt: skip

    with psycopg.connect(database_url) as reader:
        reader.execute("SELECT count(*) FROM events")
        with ProcessorProcess(redis_url, database_url) as leader:
            eventually(is_led, within_seconds=30, what="the first processor leads, and waits for the reader")
            with ProcessorProcess(redis_url, database_url) as heir:
                eventually(lambda: heir.ready, within_seconds=30)
                leader.kill()
                assert stored_ids(database_url) == ["old", "today"]
                reader.commit()
                eventually(lambda: stored_ids(database_url) == ["today"], within_seconds=60)
                eventually(lambda: ids(database_url) == ["today"], within_seconds=30)


@pytest.fixture
def weir(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    database_url: str,
    redis_url: str,
) -> Any:
    forget_settings(monkeypatch, tmp_path)
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("REDIS_URL", redis_url)

    def ask(*arguments: str, exit_code: int = 0) -> Any:
        capsys.readouterr()
        assert run([*arguments]) == exit_code
        printed = capsys.readouterr().out
        return json.loads(printed) if "--json" in arguments and printed else printed

    return ask


def test_a_dry_run_says_what_the_run_does_and_changes_nothing(weir: Any, pipeline: Pipeline, database_url: str) -> None:
    store(pipeline, ("today", 0), *((f"e{n}", 100 + n % 3) for n in range(30)))
    seed_failed(database_url, event_id="f", last_failed_at=clock() - 100 * DAY)
    execute(database_url, "INSERT INTO rollup_events_minute VALUES (now() - interval '500 days', 'a', 't', 1, 1)")
    execute(database_url, "ANALYZE")
    before = partitions(database_url)
    said = weir("retention", "run", "--dry-run", "--json")
    assert partitions(database_url) == before
    assert len(stored_ids(database_url)) == len(ids(database_url)) == 31
    done = weir("retention", "run", "--yes", "--json")
    assert said["partitions"] == done["partitions"] == sorted(before - partitions(database_url))
    assert said["rows_estimated"] == done["event_ids"] == 30
    assert said["failed_events"] == done["failed_events"] == 1
    assert said["rollups"] == done["rollups"]
    assert weir("retention", "run", "--json")["partitions"] == [], "nothing is left, nothing is asked"
    assert "events_2" not in weir("retention", "run", "--dry-run")


def test_retention_by_hand_asks_and_does_not_run_beside_a_processors(
    weir: Any, pipeline: Pipeline, database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    store(pipeline, ("old", 100))
    weir("retention", "run", exit_code=1)
    assert stored_ids(database_url) == ["old"]
    with connect(database_url) as leader:
        leader.execute("SELECT pg_advisory_lock(hashtext('weir.maintenance'))")
        run(["retention", "run", "--yes"])
        assert "a processor does maintenance" in capsys.readouterr().err
    execute(database_url, "INSERT INTO maintenance VALUES ('clock', now() - interval '40 days')")
    run(["retention", "run", "--yes"])
    assert "the clock leapt" in capsys.readouterr().err
    assert stored_ids(database_url) == ["old"]
    weir("retention", "run", "--yes", "--force")
    assert stored_ids(database_url) == []


def test_partitions_are_listed_made_and_dropped_by_hand(
    weir: Any, pipeline: Pipeline, database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    store(pipeline, ("old", 100), ("today", 0))
    old, today = (f"events_{day_ago(age):%Y%m%d}" for age in (100, 0))
    listed = {one["name"]: one for one in weir("partitions", "list", "--table", "events", "--json")}
    assert (listed[old]["is_past_retention"], listed[today]["is_past_retention"]) == (True, False)
    assert listed[old]["from"].startswith(f"{day_ago(100)}T00:00:00")
    assert listed[old]["to"].startswith(f"{day_ago(99)}T00:00:00")
    assert listed[old]["bytes"] > 0
    assert old in weir("partitions", "list")
    made = weir("partitions", "create", "--from", "2030-02-27", "--to", "2030-03-01", "--table", "events", "--json")
    assert made == {"created": ["events_20300227", "events_20300228", "events_20300301"]}
    assert weir("partitions", "create", "--from", "2030-02-27", "--to", "2030-02-28", "--json")["created"] == [
        "audit_logs_20300227",
        "audit_logs_20300228",
    ]
    weir("partitions", "drop", old, exit_code=1)
    weir("partitions", "drop", today, "--yes", exit_code=1)
    weir("partitions", "drop", "api_keys", "--yes", "--force", exit_code=1)
    errors = capsys.readouterr().err
    assert stored_ids(database_url) == ["old", "today"], errors
    assert weir("partitions", "drop", old, "--yes", "--json")["partitions"] == [old]
    assert stored_ids(database_url) == ids(database_url) == ["today"]
    weir("partitions", "drop", today, "--yes", "--force")
    assert stored_ids(database_url) == ids(database_url) == []
    weir("partitions", "create", "--from", "2030-03-02", "--to", "2030-03-01", exit_code=2)


def test_reconcile_agrees_after_retention_and_when_a_dropped_day_comes_back(
    weir: Any, pipeline: Pipeline, database_url: str
) -> None:
    def disagreements() -> set[str]:
        found = weir("reconcile", "--json", exit_code=1)["differences"]
        return {one["kind"] for one in found} - {"balance", "accepted"}

    store(pipeline, ("a", 100), ("b", 100), ("today", 0))
    before = disagreements()
    weir("retention", "run", "--yes")
    store(pipeline, ("late", 100))
    execute(database_url, "INSERT INTO rollup_events_minute VALUES (now() - interval '500 days', 'acme', 't', 7, 1)")
    weir("retention", "run", "--yes")
    store(pipeline, ("later", 100))
    assert disagreements() == before


def test_settings_reach_the_leader(redis_url: str, database_url: str, pipeline: Pipeline) -> None:
    store(pipeline, ("old", 12), ("young", 8))
    make_due(database_url)
    execute(database_url, "INSERT INTO maintenance VALUES ('clock', now())")
    settings = {"EVENT_RETENTION_DAYS": 10, "WEIR_PARTITIONS_AHEAD_DAYS": 12, "WEIR_RETENTION_AT": "00:00"}
    with ProcessorProcess(redis_url, database_url, **settings):
        eventually(lambda: stored_ids(database_url) == ["young"], within_seconds=30)
        assert f"events_{day_ago(-12):%Y%m%d}" in partitions(database_url)
