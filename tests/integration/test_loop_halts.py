"""A loop whose reader or writer fails: it stands still, loses nothing, and tries again."""

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from shared.processor_status import ProcessorState
from stream_processor.entries import Prepared, StreamEntry
from stream_processor.metrics import ProcessorMetrics
from tests.integration.test_stream_loop import ended, loop_of
from tests.pipeline import Pipeline, block, event, pending, put, stored_ids, wait_until_drained
from tests.waiting import eventually


@pytest.fixture
def pipeline(redis_url: str, database_url: str) -> Iterator[Any]:
    made = Pipeline(redis_url, database_url)
    yield made
    made.close()


def halted(metrics: ProcessorMetrics) -> str:
    """Why the loop stands still, once it does."""
    eventually(lambda: metrics.outages.state is ProcessorState.HALTED)
    return metrics.outages.held


def test_a_reader_that_fails_halts_the_loop_and_loses_nothing(redis_url: str, database_url: str, pipeline: Any) -> None:
    def failing(entries: Sequence[StreamEntry]) -> Prepared:
        raise ZeroDivisionError("a defect of ours")

    pipeline.sink.prepare = failing
    put(pipeline.redis, block(event("a")))
    loop, stop = loop_of(pipeline, redis_url, database_url)
    loop.start()
    assert "ZeroDivisionError" in halted(pipeline.metrics)
    assert ended(loop, stop)
    assert pending(pipeline.redis) == 1


def test_a_loop_that_halted_tries_again_by_itself(
    redis_url: str, database_url: str, pipeline: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stream_processor.standstill.TRY_AGAIN_SECONDS", 0.5)
    write, failures = pipeline.sink.write, iter((ZeroDivisionError(), ZeroDivisionError()))

    def failing_twice(*given: Any, **named: Any) -> Any:
        for error in failures:
            raise error
        return write(*given, **named)

    pipeline.sink.write = failing_twice
    put(pipeline.redis, block(event("a")))
    loop, stop = loop_of(pipeline, redis_url, database_url)
    loop.start()
    wait_until_drained(pipeline.redis)
    assert ended(loop, stop)
    assert stored_ids(database_url) == ["a"]
    assert pipeline.metrics.outages.state is ProcessorState.RUNNING


def test_a_writer_that_fails_halts_the_loop_though_the_reader_waits_for_it(
    redis_url: str, database_url: str, pipeline: Any
) -> None:
    def failing(*_: Any, **__: Any) -> Any:
        eventually(lambda: pending(pipeline.redis) == 6)  # until the reader holds a batch that nobody will take
        raise ZeroDivisionError("a defect of ours")

    pipeline.sink.write = failing
    for n in range(20):
        put(pipeline.redis, block(event(f"e{n}")))
    loop, stop = loop_of(pipeline, redis_url, database_url, batch_events=2)
    loop.start()
    assert "ZeroDivisionError" in halted(pipeline.metrics)
    assert ended(loop, stop)
    assert stored_ids(database_url) == []
