"""Processors that come, go and race for the same entries, and events that no processor can store."""

from random import Random

from tests.fault_proxy import Way
from tests.faults import poison
from tests.faults.fault import fault, last
from tests.faults.scene import Scene


@fault("poison events on the stream, alone and among good ones")
def poison_events(scene: Scene, chance: Random) -> str:
    entries = chance.randint(1, 5)
    for _ in range(entries):
        poison.put(scene, chance, poisons=chance.randint(1, 3))
    return f"{entries} entries"


@fault("processors race: two more claim what is pending for a tenth of a second, while COMMIT takes longer")
def processors_racing(scene: Scene, chance: Random) -> None:
    racers = [scene.new_processor(f"racer-{number}") for number in (1, 2)]
    for racer in racers:
        racer.start(WEIR_CLAIM_IDLE_SECONDS="0.1")
    scene.links.processor_postgres.delay(0.1, Way.ANSWERS)
    try:
        last(chance.uniform(3, 6))
    finally:
        scene.links.processor_postgres.resume()
        drained = [racer.stop() for racer in racers]
    assert all(drained), "a processor did not end when asked to"


@fault("processors are scaled from 1 to 4 and back, under load")
def processors_scaled(scene: Scene, chance: Random) -> None:
    first, *others = scene.processors
    more = [scene.new_processor(f"more-{number}") for number in (1, 2)]
    del first
    drained = [processor.stop() for processor in others]
    last(chance.uniform(0.5, 1.5))
    for processor in (*others, *more):
        processor.start()
    last(chance.uniform(2, 4))
    drained += [processor.stop() for processor in (*others, *more)]
    last(chance.uniform(0.5, 1.5))
    for processor in others:
        processor.start()
    assert all(drained), "a processor did not end when asked to"
