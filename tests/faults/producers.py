"""Producers: several clients that post in their own ways, in one event loop on a thread of its own."""

import asyncio
import secrets
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from random import Random

from shared.api_keys import format_key, new_public_id, new_secret
from tests.faults.attempts import AttemptLog, Outcome
from tests.faults.pace import Pace
from tests.faults.posting import BATCH, Manner, Poster
from tests.faults.sent_events import EventMaker, SentEvent

CLIENTS = ("acme", "blue-river", "carrier:9", "limited")
"""The last one's key has a low rate limit, so that some of what is refused is refused for that."""
LIMIT = 30
MARK = f"planted{secrets.token_hex(4)}"
"""How every secret begins that is sent where it must not be kept."""
_MAX_BATCH = 400


class Producers:
    """All of them together. ``start``, ``stop`` and ``post`` from any thread but their own."""

    def __init__(
        self, seed: str, keys: Mapping[str, str], gateways: Sequence[str], log: AttemptLog, events_per_second: float
    ) -> None:
        self.log = log
        self._seed = seed
        self._keys = keys
        self._gateways = gateways
        self._pace = Pace(events_per_second)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._run(),), name="producers")
        self.failed: BaseException | None = None

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ask all to end, and wait until what is in flight has its answer or has none."""
        self._loop.call_soon_threadsafe(self._pace.stop)
        self._thread.join(60)
        assert not self._thread.is_alive(), "the producers do not end"

    def post(self, client_id: str, events: Sequence[SentEvent], *, within_seconds: float = 60) -> None:
        """For a fault that needs events of its own: post them until they are acknowledged."""
        poster = self._poster(client_id, Random(events[0].event_id))

        async def acknowledged() -> None:
            outcome = await poster.post_until_known(events, Manner(), self._pace)
            assert outcome is Outcome.OK, f"events of a fault itself are not taken: {outcome}"

        asyncio.run_coroutine_threadsafe(acknowledged(), self._loop).result(within_seconds)

    async def _run(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for number, client_id in enumerate((*CLIENTS[:3], CLIENTS[0])):
                    group.create_task(self._post_batches(client_id, f"b{number}"))
                group.create_task(self._post_singles(CLIENTS[1]))
                group.create_task(self._wait_for_storage(CLIENTS[2]))
                group.create_task(self._exceed_the_limit(CLIENTS[3]))
                group.create_task(self._try_without_a_key())
        except BaseException as error:  # noqa: BLE001  for the thread that asks
            self.failed = error

    def _poster(self, client_id: str, random: Random) -> Poster:
        return Poster(client_id, self._keys[client_id], self._gateways, self.log, random)

    async def _each(
        self, name: str, client_id: str, step: Callable[[Poster, EventMaker, Random], Awaitable[None]]
    ) -> None:
        random = Random(f"{self._seed}:{name}")
        poster, maker = self._poster(client_id, random), EventMaker(f"{self._seed}-{name}", random)
        while not self._pace.stopping:
            await step(poster, maker, random)
        poster.close()

    async def _post_batches(self, client_id: str, name: str) -> None:
        earlier: list[SentEvent] = []

        async def step(poster: Poster, maker: EventMaker, random: Random) -> None:
            events = [maker.make() for _ in range(random.randint(1, _MAX_BATCH))]
            manner = Manner(lines=random.random() < 0.3, lenient=random.random() < 0.3)
            if random.random() < 0.1:
                events.insert(random.randrange(len(events)), maker.invalid())
            if not await self._pace.take(len(events)):
                return
            outcome = await poster.post_until_known(events, manner, self._pace)
            if outcome is Outcome.OK and len(events) > 1:
                earlier[:] = [*earlier[-20:], events[0]]
            if earlier and random.random() < 0.2:
                repeats = [event if random.random() < 0.5 else maker.repeat(event) for event in earlier]
                await poster.post_until_known(repeats, Manner(), self._pace)

        await self._each(name, client_id, step)

    async def _post_singles(self, client_id: str) -> None:
        async def step(poster: Poster, maker: EventMaker, random: Random) -> None:
            event = maker.invalid() if random.random() < 0.05 else maker.make()
            if await self._pace.rest(0.05):
                await poster.post_until_known([event], Manner(single=True), self._pace)
                if random.random() < 0.05 and "payload" in event.wire:
                    await poster.post_until_known([event], Manner(single=True), self._pace)

        await self._each("s", client_id, step)

    async def _wait_for_storage(self, client_id: str) -> None:
        async def step(poster: Poster, maker: EventMaker, random: Random) -> None:
            events = [maker.make() for _ in range(random.randint(1, 5))]
            if await self._pace.rest(0.2):
                await poster.post_until_known(events, Manner(wait_seconds=2), self._pace)

        await self._each("w", client_id, step)

    async def _exceed_the_limit(self, client_id: str) -> None:
        async def step(poster: Poster, maker: EventMaker, random: Random) -> None:
            del random
            if await self._pace.rest(0.5):
                await poster.post_until_known([maker.make()], Manner(), self._pace)

        await self._each("l", client_id, step)

    async def _try_without_a_key(self) -> None:
        """Unknown keys and wrong words, in every place where a careless client puts them."""

        async def step(poster: Poster, maker: EventMaker, random: Random) -> None:
            if not await self._pace.rest(0.7):
                return
            secret, word = MARK + new_secret()[len(MARK) :], MARK + secrets.token_hex(12)
            headers, path = random.choice([
                ({"Authorization": f"Bearer {format_key(new_public_id(), secret)}"}, BATCH),
                ({"X-API-Key": format_key(new_public_id(), secret)}, BATCH),
                ({"X-API-Key": word}, BATCH),
                ({"Authorization": f"Basic {word}"}, BATCH),
                ({"Authorization": f"Bearer {word}"}, f"{BATCH}?api_key={word}&token={word}"),
            ])  # fmt: skip
            event = maker.make()
            url = random.choice(self._gateways)
            body = Manner().body([event])
            status, _ = await poster.exchange(url, "POST", path, {"Content-Type": "application/json", **headers}, body)
            self.log.note(poster.client_id, [event.named], Outcome.REFUSED if status in (0, 401, 503) else Outcome.OK)

        await self._each("k", CLIENTS[0], step)
