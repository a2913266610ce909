"""Where a command goes on a cluster, and what its client makes of what the nodes tell."""

import pytest
import redis
from redis.exceptions import AskError, ClusterCrossSlotError, ClusterDownError, MovedError, ResponseError, TryAgainError

from deploy.cluster.pipelines import by_node, of_one_slot, unfinished
from deploy.cluster.slots import (
    HOME_SLOT,
    Node,
    read_slot_map,
    slot_of_command,
    slot_of_key,
    slots_of_pipeline,
)
from deploy.cluster.topology import ShardAwayError, Topology, seeds
from shared.redis_keys import ShardKeys

ASKED, OTHER = Node("10.0.0.1", 7000), Node("10.0.0.2", 7001)
KEY = ShardKeys(1).events.stream
SLOT = 9842
REPLY = [
    [5001, 16383, [b"10.0.0.2", 7001, b"id-2"], [b"10.0.0.3", 7002, b"id-3"]],
    [0, 5000, [None, 7000, b"id-1", []]],
]


def test_slots_are_those_that_redis_computes() -> None:
    assert [slot_of_key(f"weir:{{{shard}}}:events") for shard in range(3)] == [13907, SLOT, 5649]
    assert slot_of_key("123456789") == 12739  # the example of Redis's specification
    assert ShardKeys(0).reconcile.startswith("weir:{0}")
    assert slot_of_key(ShardKeys(0).reconcile) == HOME_SLOT


@pytest.mark.parametrize(
    "command",
    [
        ("HGET", KEY, "field"),
        ("XINFO GROUPS", KEY.encode()),
        ("FCALL", "weir_publish", 2, KEY, ShardKeys(1).ids, b"weir:{5}:no-key"),
        ("EVAL", "return 1", 1, KEY),
        ("XREADGROUP", "GROUP", "weir", "p1", "COUNT", 1, "BLOCK", 100, b"STREAMS", KEY, ">"),
        ("XREAD", b"COUNT", 8, b"STREAMS", KEY, "0-0"),
    ],
)
def test_a_command_goes_to_the_slot_of_its_first_key(command: tuple[object, ...]) -> None:
    assert slot_of_command(command) == SLOT


@pytest.mark.parametrize(
    "command",
    [("TIME",), ("INFO", "memory"), ("WAIT", 1, 1500), ("SCAN", 0, "MATCH", "weir:*"), ("FUNCTION LOAD", "#!")],
)
def test_a_command_without_a_key_has_no_slot_and_goes_with_those_around_it(command: tuple[object, ...]) -> None:
    assert slot_of_command(command) is None
    assert slots_of_pipeline([(command, {}), (("XLEN", KEY), {}), (command, {})]) == [SLOT] * 3
    assert slots_of_pipeline([(command, {})]) == [HOME_SLOT]


def test_a_transaction_over_two_shards_is_refused_before_it_is_sent() -> None:
    of_one_slot([(("TIME",), {}), (("XLEN", KEY), {})])
    with pytest.raises(ClusterCrossSlotError):
        of_one_slot([(("XLEN", KEY), {}), (("XLEN", ShardKeys(2).events.stream), {})])


def test_a_pipeline_is_shared_out_and_only_what_was_led_elsewhere_is_sent_again() -> None:
    commands = [(("FCALL", "f", 1, KEY), {}), (("WAIT", 1, 9), {}), (("XLEN", ShardKeys(2).events.stream), {})]
    nodes = {SLOT: ASKED, 5649: OTHER}
    assert by_node(commands, range(3), nodes.__getitem__) == {ASKED: [0, 1], OTHER: [2]}
    moved = MovedError(f"{SLOT} 10.0.0.2:7001")
    assert unfinished(commands, [moved, 0, 5]) == [0, 1]
    assert unfinished(commands, [b"", 1, 5]) == []


def test_a_slot_map_knows_who_serves_what_and_who_did_not_say_where_it_is() -> None:
    found = read_slot_map(REPLY, ASKED)
    assert [found.primary(slot) for slot in (0, 5000, 5001, 16383)] == [ASKED, ASKED, OTHER, OTHER]
    assert found.known == {ASKED, OTHER, Node("10.0.0.3", 7002)}
    assert read_slot_map(REPLY[1:], ASKED).primary(SLOT) is None
    assert found.with_moved(SLOT, ASKED).primary(SLOT) == ASKED


def test_a_url_names_several_nodes_that_share_what_else_stands_in_it() -> None:
    url = "rediss+cluster://user:p%40ss@a.example:7000,[::1]:7001,b.example?ssl_ca_certs=ca.pem"
    assert seeds(url) == [Node("a.example", 7000), Node("::1", 7001), Node("b.example", 6379)]
    assert Topology(url).url_of(Node("::1", 7001)) == "rediss://user:p%40ss@[::1]:7001?ssl_ca_certs=ca.pem"


def known(reply: object = REPLY) -> Topology:
    topology = Topology("redis+cluster://10.0.0.1:7000,10.0.0.9:7000")
    topology.adopt(reply, ASKED)
    return topology


def test_a_topology_is_asked_again_after_a_node_led_elsewhere_or_failed() -> None:
    topology = known()
    assert not topology.wants_look()
    topology.learn(MovedError(f"{SLOT} :7000"), ASKED)  # it names no host: its own
    assert topology.primary(SLOT) == ASKED
    assert topology.wants_look()
    topology.adopt(REPLY, ASKED)
    with pytest.raises(redis.TimeoutError), topology.watching(ASKED):
        raise redis.TimeoutError
    assert topology.wants_look()
    assert list(topology.to_ask())[-1] == ASKED  # those that failed come last
    assert not topology.wants_look()  # not at once again


@pytest.mark.parametrize(
    "error", [ClusterDownError("Hash slot not served"), TryAgainError("x"), AskError(f"{SLOT} 10.0.0.2:7001")]
)
def test_a_slot_that_is_not_to_be_had_now_is_an_outage_like_any_other(error: ResponseError) -> None:
    topology = known()
    with pytest.raises(redis.ConnectionError), topology.watching(ASKED):
        raise error
    with pytest.raises(ShardAwayError):
        topology.judge(ASKED, [b"fine", error])
    assert topology.wants_look()
    with pytest.raises(ShardAwayError, match="serves slot"):
        known(REPLY[1:]).primary(SLOT)


def test_other_errors_and_moves_stay_what_they_are() -> None:
    topology = known()
    with pytest.raises(ResponseError, match="WRONGTYPE"), topology.watching(ASKED):
        raise ResponseError("WRONGTYPE")
    topology.judge(ASKED, [ResponseError("no such key")])
    assert not topology.wants_look()
    topology.judge(ASKED, [MovedError(f"{SLOT} 10.0.0.1:7000")])
    assert topology.primary(SLOT) == ASKED
