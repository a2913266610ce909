"""Connections that break at the worst moment: a request was carried out, and its answer never comes."""

import time
from random import Random

from tests.fault_proxy import FaultProxy, Strike, Way
from tests.faults import poison
from tests.faults.fault import fault, last
from tests.faults.posting import ANSWER_SECONDS
from tests.faults.scene import REDIS_TIMEOUT_SECONDS, Scene

_STRIKE_SECONDS = 15.0
_STRIKES = 4


@fault("answers of a gateway are lost on their way to the client")
def client_answer_lost(scene: Scene, chance: Random) -> str:
    return _strike(chance.choice(scene.links.client_gateway), b"POST /api", Strike.LOSE_ANSWER)


@fault("requests of clients are cut before they reach a gateway")
def client_request_lost(scene: Scene, chance: Random) -> str:
    return _strike(chance.choice(scene.links.client_gateway), b"POST /api", Strike.CUT)


@fault("Redis has published a gateway's events, and its answer is lost")
def publish_answer_lost(scene: Scene, chance: Random) -> str:
    return _strike(chance.choice(scene.links.gateway_redis), b"weir_publish", Strike.LOSE_ANSWER)


@fault("a gateway's events are cut off before they reach Redis")
def publish_request_lost(scene: Scene, chance: Random) -> str:
    return _strike(chance.choice(scene.links.gateway_redis), b"weir_publish", Strike.CUT)


@fault("Redis has delivered entries to a processor, and its answer is lost")
def delivery_lost(scene: Scene, chance: Random) -> str:
    return _strike(scene.links.processor_redis, chance.choice((b"weir_take", b"XREADGROUP")), Strike.LOSE_ANSWER)


@fault("Redis has settled entries, and its answer to the processor is lost")
def settlement_answer_lost(scene: Scene, chance: Random) -> str:
    del chance
    return _strike(scene.links.processor_redis, b"weir_settle", Strike.LOSE_ANSWER)


@fault("a processor's settlement does not reach Redis")
def settlement_request_lost(scene: Scene, chance: Random) -> str:
    del chance
    return _strike(scene.links.processor_redis, b"weir_settle", Strike.CUT)


@fault("Redis has moved failed events to the dead stream, and its answer is lost")
def parking_answer_lost(scene: Scene, chance: Random) -> str:
    scene.links.processor_redis.strike(b"weir_park", Strike.LOSE_ANSWER)
    before = scene.links.processor_redis.struck
    poison.put(scene, chance, poisons=2)
    return _await_strikes(scene.links.processor_redis, before, 1)


@fault("COPY is cut off in the middle")
def copy_cut(scene: Scene, chance: Random) -> str:
    del chance
    return _strike(scene.links.processor_postgres, b"PGCOPY\n", Strike.CUT)


@fault("PostgreSQL has committed, and its answer to COMMIT is lost")
def commit_answer_lost(scene: Scene, chance: Random) -> str:
    del chance
    return _strike(scene.links.processor_postgres, b"COMMIT", Strike.LOSE_ANSWER)


@fault("COMMIT does not reach PostgreSQL")
def commit_request_lost(scene: Scene, chance: Random) -> str:
    del chance
    return _strike(scene.links.processor_postgres, b"COMMIT", Strike.CUT)


@fault("every connection of every link is cut at once, again and again")
def all_connections_cut(scene: Scene, chance: Random) -> None:
    for _ in range(chance.randint(2, 6)):
        for proxy in scene.links.all:
            proxy.cut()
        last(chance.uniform(0.05, 0.5))


@fault("a link swallows everything, one way or both, as a network does that drops every packet")
def link_silent(scene: Scene, chance: Random) -> str:
    proxy = chance.choice(scene.links.all)
    ways = chance.choice(((Way.REQUESTS,), (Way.ANSWERS,), tuple(Way)))
    proxy.pause(*ways)
    last(chance.uniform(1, 6))
    proxy.resume()
    return ", ".join(way.value for way in ways)


@fault("Redis and PostgreSQL cannot be reached by the processors at all")
def servers_unreachable(scene: Scene, chance: Random) -> None:
    proxies = [scene.links.processor_redis, scene.links.processor_postgres]
    for proxy in proxies:
        proxy.refuse()
    last(chance.uniform(1, 5))
    for proxy in proxies:
        proxy.resume()


@fault("a gateway answers too late, so clients give up and send again through the other")
def client_gives_up(scene: Scene, chance: Random) -> None:
    proxy = chance.choice(scene.links.client_gateway)
    proxy.delay(ANSWER_SECONDS + 1, Way.ANSWERS)
    last(ANSWER_SECONDS + 2)
    proxy.resume()


@fault("Redis answers a gateway just later than the gateway waits")
def redis_answers_late(scene: Scene, chance: Random) -> None:
    proxy = chance.choice(scene.links.gateway_redis)
    proxy.delay(REDIS_TIMEOUT_SECONDS + 0.2, Way.ANSWERS)
    last(4)
    proxy.resume()


def _strike(proxy: FaultProxy, request_with: bytes, strike: Strike) -> str:
    before = proxy.struck
    for _ in range(_STRIKES):
        proxy.strike(request_with, strike)
    return _await_strikes(proxy, before, _STRIKES)


def _await_strikes(proxy: FaultProxy, before: int, wanted: int) -> str:
    deadline = time.monotonic() + _STRIKE_SECONDS
    while proxy.struck - before < wanted and time.monotonic() < deadline:
        time.sleep(0.01)
    struck = proxy.struck - before
    assert struck, "not one request came that could be struck"
    return f"{struck} times"
