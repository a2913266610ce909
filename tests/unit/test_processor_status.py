"""What is made of heartbeats and of what Redis knows of consumers, and of what the loops tell."""

from prometheus_client import CollectorRegistry, Gauge

from shared.processor_status import ProcessorState, statuses
from shared.redis_keys import ShardKeys
from shared.stream_status import ConsumerStatus
from stream_processor.outages import Outages
from stream_processor.trial_gate import TrialGate


def test_a_heartbeat_and_the_consumers_of_all_streams_are_one_processor() -> None:
    beats = {"a": {"host": "h", "state": "running", "rate": "2.5", "last_error": ""}}
    consumers = [ConsumerStatus("a", "events", 0, 3, 0.5), ConsumerStatus("a", "audit", 0, 1, 0.2)]
    (found,) = statuses(beats, consumers)
    assert (found.name, found.host, found.state, found.rate) == ("a", "h", "running", 2.5)
    assert (found.pending, found.idle_seconds, found.last_error) == (4, 0.2, None)


def test_a_consumer_without_a_heartbeat_is_gone_and_a_heartbeat_needs_no_consumer() -> None:
    gone, halted = statuses({"b": {"state": "halted", "last_error": "x"}}, [ConsumerStatus("a", "dead", 0, 0, 99)])
    assert (gone.name, gone.state, gone.rate) == ("a", ProcessorState.GONE, None)
    assert (halted.name, halted.state, halted.idle_seconds) == ("b", ProcessorState.HALTED, None)


def test_a_processor_waits_for_as_long_as_one_of_its_loops_does() -> None:
    outages = Outages(Gauge("g", "A gauge.", ["stream", "server"], registry=CollectorRegistry()))
    assert outages.state is ProcessorState.RUNNING
    for stream in ("events", "audit"):
        outages.begin(stream, "postgresql", OSError("postgresql://u:hunter2@h/d is away"))
    outages.end("events", "postgresql")
    assert outages.state is ProcessorState.WAITING_FOR_POSTGRESQL
    outages.end("audit", "postgresql")
    assert outages.state is ProcessorState.RUNNING
    assert "hunter2" not in outages.last_error


def test_a_processor_stands_still_for_as_long_as_one_of_its_loops_does() -> None:
    outages = Outages(Gauge("g", "A gauge.", ["stream", "server"], registry=CollectorRegistry()))
    first, second = ShardKeys(0).events, ShardKeys(1).events
    outages.stand(first, ProcessorState.PAUSED, "for a while")
    assert (outages.state, outages.held) == (ProcessorState.PAUSED, "for a while")
    outages.stand(second, ProcessorState.HALTED, "postgresql://u:hunter2@h/d\nis another's")
    assert outages.state is ProcessorState.HALTED
    assert outages.held.endswith("is another's; for a while")
    assert "hunter2" not in outages.held
    outages.go_on(second)
    outages.go_on(first)
    assert (outages.state, outages.held) == (ProcessorState.RUNNING, "")


def test_while_an_event_is_tried_nothing_else_is_prepared() -> None:
    gate = TrialGate()
    with gate.trial():
        assert not gate.enter(0)
        assert gate.stuck_seconds() > 0
    assert gate.stuck_seconds() == 0
    assert gate.enter(0)
