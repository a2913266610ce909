"""The system under fire: servers, gateways and processors as processes, and a proxy in every link between them."""

import asyncio
import secrets
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import psycopg
import redis
from psycopg import Connection
from psycopg.rows import TupleRow

from deploy.connections import sync_redis
from deploy.embedded.local_address import free_port
from deploy.embedded.postgres_server import EmbeddedPostgres
from deploy.embedded.redis_server import EmbeddedRedis
from deploy.migrations import migrate
from shared.api_keys import Scope
from shared.key_store import create_key
from shared.redis_keys import ShardKeys
from tests.fault_proxy import FaultProxy
from tests.faults.attempts import AttemptLog
from tests.faults.losses import Losses
from tests.faults.producers import CLIENTS, LIMIT, MARK, Producers
from tests.faults.service import Service
from tests.faults.small_disk import SmallDisk

CLAIM_IDLE_SECONDS = 2.0
REDIS_TIMEOUT_SECONDS = 1.0
STOPPED_SECONDS = 6.5
"""Longer than every time-out of the processes here: a processor's of Redis is 3 s longer than the one above."""
KEYS = ShardKeys(0)
_READY_SECONDS = 30.0
_REGULAR_PROCESSORS = 2


@dataclass
class Links:
    """The proxies, by who talks to whom."""

    client_gateway: list[FaultProxy] = field(default_factory=list)
    gateway_redis: list[FaultProxy] = field(default_factory=list)
    processor_redis: FaultProxy = field(init=False)
    processor_postgres: FaultProxy = field(init=False)

    @property
    def all(self) -> list[FaultProxy]:
        return [*self.client_gateway, *self.gateway_redis, self.processor_redis, self.processor_postgres]

    def heal(self) -> None:
        for proxy in self.all:
            proxy.resume()


@dataclass
class Scene:
    """What a fault may do something to."""

    folder: Path
    redis: EmbeddedRedis
    postgres: EmbeddedPostgres
    links: Links
    gateways: list[Service]
    processors: list[Service]
    gateway_ports: list[int]
    environment: dict[str, str]
    disks: dict[str, SmallDisk]
    losses: Losses
    log: AttemptLog
    producers: Producers = field(init=False)
    keys: dict[str, str] = field(default_factory=dict)

    def make_key(self, client_id: str, rate_limit: int | None = None) -> str:
        """A client's key, which is a secret to be found nowhere."""
        pepper = self.environment["SECRET_KEY"].encode()
        key = self.keys[client_id] = asyncio.run(_make_key(self.postgres.url, pepper, client_id, rate_limit))
        self.log.secrets.add(key.rpartition("_")[2])
        return key

    def start_producers(self, seed: str, events_per_second: float) -> Producers:
        """New ones, which send events of their own; the same seed sends the same."""
        gateways = [proxy.url for proxy in self.links.client_gateway]
        self.producers = Producers(seed, self.keys, gateways, self.log, events_per_second)
        self.producers.start()
        return self.producers

    def redis_client(self) -> "redis.Redis":
        """Past all proxies."""
        return sync_redis(self.redis.url, 30)

    def database(self) -> Connection[TupleRow]:
        """As the owner, past all proxies, and able to write whatever is set."""
        return psycopg.connect(
            self.postgres.url, autocommit=True, connect_timeout=10, options="-c default_transaction_read_only=off"
        )

    def new_processor(self, name: str) -> Service:
        """One more, not started."""
        return Service(name, ["processor", "run"], self.environment, self.folder)

    def settled(self) -> int:
        """Events that were ever stored or given up, in this life of Redis."""
        with self.redis_client() as client:
            return int(client.hget(KEYS.events.totals, "settled") or 0)

    def backlog(self) -> dict[str, tuple[int, int, int]]:
        """Entries there, and events added and settled, of each stream."""
        with self.redis_client() as client:
            return {keys.name: (client.xlen(keys.stream), *_totals(client, keys.totals)) for keys in KEYS.streams}

    def is_drained(self) -> bool:
        return all(not entries and added == settled for entries, added, settled in self.backlog().values())

    def revive(self) -> list[str]:
        """Start again what ended though nobody killed it; what that was."""
        ended = [news for service in self.services if (news := service.ended_by_itself) is not None]
        for server in (self.redis, self.postgres):
            if not server.running:
                ended.append(f"{server.name} ended by itself; its log is {server.log}")
                server.start()
        for service in self.services:
            service.start()
        self.await_gateways()
        return ended

    @property
    def services(self) -> list[Service]:
        return [*self.gateways, *self.processors]

    def await_gateways(self) -> None:
        """Returns when both gateways are ready. Raises AssertionError after half a minute."""
        deadline = time.monotonic() + _READY_SECONDS
        for port, gateway in zip(self.gateway_ports, self.gateways, strict=True):
            while not _is_ready(port):
                assert time.monotonic() < deadline, f"{gateway.name} is not ready: {gateway.ended_by_itself}"
                time.sleep(0.05)


@contextmanager
def scene(folder: Path, *, on_small_disks: bool) -> Iterator[Scene]:
    """Everything up, and nobody posting yet."""
    with ExitStack() as stack:
        disks = {}
        for name in ("redis", "postgres") if on_small_disks else ():
            disks[name] = stack.enter_context(SmallDisk(folder / f"disk-{name}"))
        places = {name: disks[name].folder / name if name in disks else folder / name for name in ("redis", "postgres")}
        redis_server = stack.enter_context(EmbeddedRedis(places["redis"]))
        postgres = stack.enter_context(
            EmbeddedPostgres(places["postgres"], extra_config={"max_wal_size": "1GB", "min_wal_size": "80MB"})
        )
        migrate(postgres.url)
        set_up = _set_up(stack, folder, redis_server, postgres, disks)
        for service in set_up.services:
            service.start()
        set_up.await_gateways()
        set_up.log.secrets.add(MARK)
        for client_id in CLIENTS:
            set_up.make_key(client_id, LIMIT if client_id == CLIENTS[-1] else None)
        yield set_up


def _set_up(
    stack: ExitStack, folder: Path, redis_server: EmbeddedRedis, postgres: EmbeddedPostgres, disks: dict[str, SmallDisk]
) -> Scene:
    def proxy(url: str) -> FaultProxy:
        return stack.enter_context(FaultProxy(url))

    links = Links()
    links.processor_redis, links.processor_postgres = proxy(redis_server.url), proxy(postgres.url)
    environment = {
        "PYTHONUNBUFFERED": "1",
        "ENVIRONMENT": "test",
        "DATABASE_URL": links.processor_postgres.url,
        "REDIS_URL": links.processor_redis.url,
        "SECRET_KEY": secrets.token_hex(32),
        "RATE_LIMIT_REQUESTS_PER_MINUTE": "0",
        "WEIR_DATA_DIR": str(folder / "data"),
        "WEIR_CLAIM_IDLE_SECONDS": str(CLAIM_IDLE_SECONDS),
        "WEIR_REDIS_TIMEOUT_MS": str(int(REDIS_TIMEOUT_SECONDS * 1000)),
        "WEIR_LOG_FORMAT": "json",
    }
    gateways, ports = [], []
    for number in (1, 2):
        port = free_port()
        links.gateway_redis.append(proxy(redis_server.url))
        links.client_gateway.append(proxy(f"http://127.0.0.1:{port}"))
        own = {"REDIS_URL": links.gateway_redis[-1].url, "DATABASE_URL": postgres.url, "WEIR_GATEWAY_PORT": str(port)}
        gateways.append(Service(f"gateway-{number}", ["gateway", "run"], environment | own, folder))
        ports.append(port)
    made = Scene(folder, redis_server, postgres, links, gateways, [], ports, environment, disks, Losses(), AttemptLog())
    made.processors = [made.new_processor(f"processor-{number}") for number in range(1, _REGULAR_PROCESSORS + 1)]
    stack.callback(lambda: [service.kill() for service in made.services])
    return made


async def _make_key(database_url: str, pepper: bytes, client_id: str, rate_limit: int | None) -> str:
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        _, key = await create_key(
            connection, pepper, client_id=client_id, name="producer", scopes=frozenset({Scope.INGEST}),
            rate_limit=rate_limit,
        )  # fmt: skip
    return key


def _totals(client: "redis.Redis", key: str) -> tuple[int, int]:
    added, settled = client.hmget(key, ["added", "settled"])
    return int(added or 0), int(settled or 0)


def _is_ready(port: int) -> bool:
    try:
        return httpx2.get(f"http://127.0.0.1:{port}/readyz", timeout=3).status_code == 200
    except httpx2.HTTPError:
        return False
