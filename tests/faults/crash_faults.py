"""A processor that dies between two of its steps, at a named point."""

from random import Random

from stream_processor.crash_points import CrashPoint
from tests.faults import poison
from tests.faults.fault import fault
from tests.faults.scene import Scene

_DEATH_SECONDS = 30.0
_PARKING = (CrashPoint.BEFORE_PARKING, CrashPoint.AFTER_PARKING)


@fault("a processor dies when it has read entries and done nothing with them")
def crash_after_read(scene: Scene, chance: Random) -> str:
    return _die_at(scene, chance, CrashPoint.AFTER_READ)


@fault("a processor dies in the middle of COPY")
def crash_in_copy(scene: Scene, chance: Random) -> str:
    return _die_at(scene, chance, CrashPoint.IN_COPY)


@fault("a processor dies before COMMIT")
def crash_before_commit(scene: Scene, chance: Random) -> str:
    return _die_at(scene, chance, CrashPoint.BEFORE_COMMIT)


@fault("a processor dies after COMMIT")
def crash_after_commit(scene: Scene, chance: Random) -> str:
    return _die_at(scene, chance, CrashPoint.AFTER_COMMIT)


@fault("a processor dies before it acknowledges what it knows to be committed")
def crash_before_acknowledging(scene: Scene, chance: Random) -> str:
    return _die_at(scene, chance, CrashPoint.BEFORE_ACKNOWLEDGING)


@fault("a processor dies before it moves failed events to the dead stream")
def crash_before_parking(scene: Scene, chance: Random) -> str:
    return _die_at(scene, chance, CrashPoint.BEFORE_PARKING)


@fault("a processor dies after it has moved the first of its failed events to the dead stream")
def crash_after_parking(scene: Scene, chance: Random) -> str:
    return _die_at(scene, chance, CrashPoint.AFTER_PARKING)


def _die_at(scene: Scene, chance: Random, point: CrashPoint) -> str:
    """All others are stopped first, so that this one comes to the point."""
    for processor in scene.processors:
        processor.stop()
    if point in _PARKING:
        poison.put(scene, chance)
        poison.put(scene, chance)
    else:
        poison.put_good(scene, chance)
    doomed = scene.new_processor("doomed")
    doomed.start(WEIR_CRASH_POINT=point)
    try:
        assert doomed.wait(_DEATH_SECONDS), f"no processor reached {point}: {doomed.log.read_text()[-500:]}"
        assert doomed.exit_code == -9, f"{doomed.ended_by_itself}"
    finally:
        doomed.kill()
        for processor in scene.processors:
            processor.start()
    return point.value
