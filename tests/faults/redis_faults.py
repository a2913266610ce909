"""Redis without data, without memory, without disk."""

from random import Random

from tests.faults.fault import fault, last
from tests.faults.scene import Scene


@fault("Redis is emptied: streams, groups, totals and the early filter are gone")
def redis_emptied(scene: Scene, chance: Random) -> str:
    """While PostgreSQL cannot be heard, so that some events wait: in the stream, and in the processors' hands."""
    scene.links.processor_postgres.pause()
    last(chance.uniform(0, 1.5))
    with scene.redis_client() as client:
        lost = scene.losses.empty(client)
    scene.links.processor_postgres.resume()
    return f"{lost} events with it"


@fault("Redis is at its maxmemory: it takes nothing in, and hands out what it has")
def redis_full(scene: Scene, chance: Random) -> None:
    with scene.redis_client() as client:
        client.config_set("maxmemory", max(int(client.info("memory")["used_memory"]) - 100_000, 1))
        try:
            last(chance.uniform(1, 5))
        finally:
            client.config_set("maxmemory", 0)


@fault("the disk under Redis is full", small_disk=True)
def redis_disk_full(scene: Scene, chance: Random) -> None:
    disk = scene.disks["redis"]
    disk.fill()
    try:
        last(chance.uniform(2, 6))
    finally:
        disk.free()
