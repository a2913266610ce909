"""The crash table of ARCHITECTURE.md, row by row: each fault strikes while producers post, and the oracle judges.

`make faults` does the same with all kinds of faults, at random and for long.
"""

import asyncio
from collections.abc import Iterator
from random import Random
from zlib import crc32

import pytest

from stream_processor.crash_points import CrashPoint
from tests.fault_proxy import Strike
from tests.faults import poison
from tests.faults.attempts import Outcome
from tests.faults.fault import all_faults
from tests.faults.oracle import judge
from tests.faults.posting import Manner, Poster
from tests.faults.run import await_flow, drain, inject
from tests.faults.scene import Scene, scene
from tests.faults.sent_events import EventMaker

EVENTS_PER_SECOND = 1500


class UnderFire:
    """The system, hurt once a test; what earlier tests stored must still be there."""

    def __init__(self, target: Scene) -> None:
        self._scene = target

    def survives(self, *names: str) -> None:
        """The faults strike at once; then nothing is lost, nothing is there twice or stuck, and all totals agree."""
        broken: list[str] = []
        name = " with ".join(names)
        producers = self._scene.start_producers(name, EVENTS_PER_SECOND)
        try:
            await_flow(self._scene, self._scene.settled())
            injected = inject(self._scene, [all_faults()[one] for one in names], crc32(name.encode()))
            self._scene.links.heal()
            broken += self._scene.revive()
            await_flow(self._scene, self._scene.settled())
        finally:
            producers.stop()
        assert producers.failed is None
        assert all(has_struck for _, has_struck in injected), injected
        drain(self._scene, broken)
        assert broken + judge(self._scene).violations == []


@pytest.fixture(scope="module")
def _scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with scene(tmp_path_factory.mktemp("faults"), on_small_disks=False) as target:
        yield target


@pytest.fixture
def weir(_scene: Scene) -> UnderFire:
    return UnderFire(_scene)


def test_a_gateway_that_dies_leaves_nothing_half_done(weir: UnderFire) -> None:
    weir.survives("gateway_killed")


def test_events_that_never_reached_redis_are_sent_again(weir: UnderFire) -> None:
    weir.survives("publish_request_lost")


def test_events_whose_answer_from_redis_was_lost_are_stored_once(weir: UnderFire) -> None:
    weir.survives("publish_answer_lost")


def test_events_whose_answer_to_the_client_was_lost_are_stored_once(weir: UnderFire) -> None:
    weir.survives("client_answer_lost")


def test_redis_killed_brings_back_what_it_acknowledged(weir: UnderFire) -> None:
    weir.survives("redis_killed")


def test_redis_emptied_loses_only_what_was_waiting_and_stores_no_repeat(weir: UnderFire) -> None:
    weir.survives("redis_emptied")


def test_entries_of_a_processor_that_dies_before_commit_are_stored_by_another(weir: UnderFire) -> None:
    weir.survives("crash_before_commit")


def test_entries_of_a_processor_that_dies_after_commit_while_its_link_breaks_are_not_stored_again(
    weir: UnderFire,
) -> None:
    weir.survives("crash_after_commit", "settlement_answer_lost")


def test_failed_events_of_a_processor_that_dies_before_it_moves_them_are_moved_by_another(weir: UnderFire) -> None:
    weir.survives("crash_before_parking")


def test_a_processor_that_hangs_and_wakes_up_changes_nothing(weir: UnderFire) -> None:
    weir.survives("processor_stopped")


def test_postgresql_killed_keeps_what_it_committed(weir: UnderFire) -> None:
    weir.survives("postgres_killed")


def test_a_commit_whose_answer_was_lost_counts_once(weir: UnderFire) -> None:
    weir.survives("commit_answer_lost")


def test_settled_entries_whose_answer_was_lost_are_settled_once(weir: UnderFire) -> None:
    weir.survives("settlement_answer_lost")


def test_redis_at_its_memory_limit_refuses_and_recovers(weir: UnderFire) -> None:
    weir.survives("redis_full")


def test_redis_and_postgresql_killed_at_once_keep_what_they_said(weir: UnderFire) -> None:
    weir.survives("redis_killed", "postgres_killed")


def test_a_request_whose_answer_from_redis_was_lost_is_not_refused_for_the_limit(_scene: Scene) -> None:
    """It was kept, and counted; its repeat would be one too many. 429 would say that nothing was kept."""
    key = _scene.make_key("twice-a-minute", rate_limit=2)

    async def post_twice() -> list[Outcome]:
        poster = Poster("twice-a-minute", key, [_scene.links.client_gateway[0].url], _scene.log, Random(1))
        maker = EventMaker("limited", Random(1))
        first = await poster.post([maker.make()], Manner())
        _scene.links.gateway_redis[0].strike(b"weir_publish", Strike.LOSE_ANSWER)
        return [first, await poster.post([maker.make()], Manner())]

    assert asyncio.run(post_twice()) == [Outcome.OK, Outcome.UNKNOWN]
    broken: list[str] = []
    drain(_scene, broken)
    assert broken + judge(_scene).violations == []


def test_a_crash_point_means_nothing_outside_of_tests(_scene: Scene) -> None:
    for processor in _scene.processors:
        processor.stop()
    alone = _scene.new_processor("alone")
    alone.start(ENVIRONMENT="development", WEIR_CRASH_POINT=CrashPoint.AFTER_READ)
    try:
        poison.put_good(_scene, Random(1))
        broken: list[str] = []
        drain(_scene, broken)
        assert broken == []
        assert alone.running
    finally:
        alone.stop()
        for processor in _scene.processors:
            processor.start()
