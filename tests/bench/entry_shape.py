"""Why one stream entry holds all events of a publisher's call: `python -m tests.bench.entry_shape`.

The same events go through Redis as an entry each (one function call adding 500, XREADGROUP COUNT 2000, XACK and XDEL
of every id) and packed (one entry a call). CPU of the server and of the client, encoding and decoding included, in µs
an event; and the server's memory for an event, waiting and pending.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from zlib import crc32

import msgspec
import redis
from rich.console import Console
from rich.table import Table

from deploy.embedded.redis_server import EmbeddedRedis
from shared.redis_keys import GROUP
from shared.stream_entry import EventFrame
from tests.bench.bench_events import bench_tails
from tests.bench.process_costs import cpu_seconds
from tests.bench.stack import KINDS

_CALL_EVENTS = 500
_STREAM = "bench"
_HERE = Path(__file__).parent
_encode = msgspec.msgpack.Encoder().encode
_decode_one = msgspec.msgpack.Decoder(EventFrame).decode
_decode_all = msgspec.msgpack.Decoder(list[EventFrame]).decode

Frames = list[tuple[str, str, int | None, bytes, int]]
Entries = Sequence[tuple[bytes, dict[bytes, bytes]]]


class Shape(Protocol):
    """One way to put events into stream entries."""

    name: str
    function: str
    read_entries: int
    """COUNT of XREADGROUP: 2,000 events either way."""

    def arguments(self, frames: Frames) -> list[Any]: ...

    def decode(self, entries: Entries) -> int:
        """Decodes every event of the entries; how many there were."""


class EachShape:
    name = "an entry an event"
    function = "bench_entry_each"
    read_entries = 2000

    def arguments(self, frames: Frames) -> list[Any]:
        return [_encode(frame) for frame in frames]

    def decode(self, entries: Entries) -> int:
        return len([_decode_one(fields[b"e"]) for _, fields in entries])


class PackedShape:
    name = "an entry a call"
    function = "bench_entry_packed"
    read_entries = 4

    def arguments(self, frames: Frames) -> list[Any]:
        return [len(frames), _encode(frames)]

    def decode(self, entries: Entries) -> int:
        return sum(len(_decode_all(fields[b"e"])) for _, fields in entries)


@dataclass(frozen=True)
class Cost:
    """µs of CPU an event, and bytes of server memory an event."""

    add_server: float
    add_client: float
    take_server: float
    take_client: float
    waiting_bytes: float
    pending_bytes: float

    @property
    def in_all(self) -> float:
        return self.add_server + self.add_client + self.take_server + self.take_client


def measure(server: EmbeddedRedis, shape: Shape, events: int) -> Cost:
    """Adds all events, reads and decodes them all, then acknowledges and deletes them. Blocking."""
    client = redis.Redis.from_url(server.unix_url)
    client.flushall()
    client.function_load((_HERE / f"{shape.function.removeprefix('bench_')}.lua").read_text(), replace=True)
    client.xgroup_create(_STREAM, GROUP, id="0", mkstream=True)
    calls = list(_calls(events))
    empty = _memory(client)
    with _Meter(server.pid, events) as adding:
        for frames in calls:
            client.fcall(shape.function, 1, _STREAM, *shape.arguments(frames))
    waiting = _memory(client)
    with _Meter(server.pid, events) as reading:
        batches = _read_all(client, shape, events)
    pending = _memory(client)
    with _Meter(server.pid, events) as settling:
        for ids in batches:
            pipeline = client.pipeline(transaction=False)
            pipeline.xack(_STREAM, GROUP, *ids)
            pipeline.xdel(_STREAM, *ids)
            pipeline.execute()
    return Cost(
        adding.server_us,
        adding.client_us,
        reading.server_us + settling.server_us,
        reading.client_us + settling.client_us,
        (waiting - empty) / events,
        (pending - empty) / events,
    )


def _read_all(client: "redis.Redis", shape: Shape, events: int) -> list[list[bytes]]:
    batches, decoded = [], 0
    while decoded < events:
        reply: Any = client.xreadgroup(GROUP, "reader", {_STREAM: ">"}, count=shape.read_entries)
        [entries] = [entries for _, entries in reply]
        decoded += shape.decode(entries)
        batches.append([entry_id for entry_id, _ in entries])
    assert decoded == events
    return batches


def _calls(events: int) -> Iterator[Frames]:
    tails = bench_tails()
    for first in range(0, events, _CALL_EVENTS):
        frames: Frames = []
        for number in range(first, first + _CALL_EVENTS):
            payload = tails[number % len(tails)].partition(b'"payload":')[2][:-1]
            frames.append((f"b0123abcd-1-{number:09}", "page.viewed", None, payload, crc32(payload)))
        yield frames


def _memory(client: "redis.Redis") -> int:
    return int(client.info("memory")["used_memory"])


class _Meter:
    """CPU of the server and of this process while the block runs, in µs an event."""

    def __init__(self, server_pid: int, events: int) -> None:
        self._pid, self._events = server_pid, events
        self.server_us = self.client_us = 0.0

    def __enter__(self) -> "_Meter":
        self._server, self._client = cpu_seconds(self._pid), time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.server_us = (cpu_seconds(self._pid) - self._server) / self._events * 1e6
        self.client_us = (time.process_time() - self._client) / self._events * 1e6


def main() -> None:
    """Prints one table: both shapes on both servers, the middle of three runs each."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.entry_shape", description=__doc__)
    parser.add_argument("--events", type=int, default=100_000)
    events = parser.parse_args().events // _CALL_EVENTS * _CALL_EVENTS
    shapes: tuple[Shape, ...] = (EachShape(), PackedShape())
    table = Table("server", "shape", "add: server", "add: client", "take: server", "take: client", "CPU in all, µs")
    table.add_column("memory waiting, bytes")
    table.add_column("pending, bytes")
    for name, binary in KINDS.values():
        with tempfile.TemporaryDirectory() as folder, EmbeddedRedis(Path(folder), binary=binary()) as server:
            for shape in shapes:
                runs = sorted((measure(server, shape, events) for _ in range(3)), key=lambda cost: cost.in_all)
                table.add_row(name, shape.name, *_cells(runs[1]))
    Console(width=160).print(table)


def _cells(cost: Cost) -> Iterator[str]:
    figures = (cost.add_server, cost.add_client, cost.take_server, cost.take_client, cost.in_all)
    yield from (f"{figure:.2f}" for figure in figures)
    yield from (f"{figure:.0f}" for figure in (cost.waiting_bytes, cost.pending_bytes))


if __name__ == "__main__":
    main()
