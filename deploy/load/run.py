"""One run: send, watch, wait until all is stored, sum up."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import psycopg

from deploy.load.event_source import EventSource
from deploy.load.gateway_address import GatewayAddress
from deploy.load.http_connection import ExchangeCutError, HttpConnection
from deploy.load.load_request import load_requests, made_ahead
from deploy.load.pacing import Pace
from deploy.load.sender import Sender
from deploy.load.stored_watch import StoredWatch
from deploy.load.summary import Storage, Summary, stored_seconds, summarise
from deploy.load.tally import Tally
from shared.errors import Outage

_LOOK_SECONDS = 0.2
_STALL_SECONDS = 30.0
"""Waiting ends when nothing more has been stored for so long."""
_REACH_SECONDS = 5.0

Show = Callable[[Tally, int | None], None]


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """What is sent, where to, how many events a request, over how many connections, and how fast."""

    source: EventSource
    address: GatewayAddress
    batch: int
    connections: int
    pace: Pace


class LoadRun:
    """A run that can be stopped; it then sums up what it did so far."""

    def __init__(self, plan: LoadPlan, watch: StoredWatch | None, show: Show) -> None:
        self._plan = plan
        self._watch = watch
        self._show = show
        self._tally = Tally()
        self._stop = asyncio.Event()
        self._settled: int | None = None
        self._stopped_by: int | None = None

    def stop(self, signal_number: int) -> None:
        """Ends sending and waiting soon; the summary tells by which signal."""
        self._stopped_by = self._stopped_by or signal_number
        self._stop.set()

    async def run(self, key: str, client_id: str | None) -> Summary:
        """Sends all, waits until it is stored. Raises Outage, RefusedRequest before or while sending."""
        plan = self._plan
        await _reach(plan.address)
        if self._watch is not None:
            await self._watch.begin()
        requests = made_ahead(load_requests(plan.source, plan.batch, plan.address, key))
        _calm_collector()
        sender = Sender(plan.address, plan.connections, plan.pace, self._tally, self._stop)
        looking = asyncio.create_task(self._look_on())
        cpu_before = time.process_time()
        try:
            await sender.send(requests)
            cpu_seconds = time.process_time() - cpu_before
            await self._wait_until_stored()
        finally:
            looking.cancel()
            with suppress(asyncio.CancelledError):
                await looking
        return summarise(
            self._tally,
            await self._storage(),
            url=plan.address.url,
            client_id=client_id,
            cpu_seconds=cpu_seconds,
            stopped_by=self._stopped_by,
        )

    async def _look_on(self) -> None:
        while True:
            if self._watch is not None:
                with suppress(psycopg.OperationalError):  # the next look, or the last, may succeed
                    self._settled = await self._watch.settled()
            self._show(self._tally, self._settled)
            await asyncio.sleep(_LOOK_SECONDS)

    async def _wait_until_stored(self) -> None:
        """Until the rollups have counted every accepted event; at most 30 s without any progress."""
        settled, deadline = -1, 0.0
        while self._watch is not None and (self._settled or 0) < self._tally.accepted and not self._stop.is_set():
            if self._settled != settled:
                settled, deadline = self._settled or 0, time.monotonic() + _STALL_SECONDS
            if time.monotonic() > deadline:
                return
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), _LOOK_SECONDS / 2)

    async def _storage(self) -> Storage | None:
        if self._watch is None:
            return None
        try:
            settled = await self._watch.settled()
            fate, times = await self._watch.fate(self._tally), await self._watch.times()
        except psycopg.OperationalError:
            return None
        self._show(self._tally, settled)
        return Storage(fate, times, settled, stored_seconds(self._tally.began_at, times))


def _calm_collector() -> None:
    """Let the collector pass over the requests made ahead: looking at them all takes longer than any answer."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 1000)


async def _reach(address: GatewayAddress) -> None:
    connection = HttpConnection(address, _REACH_SECONDS)
    try:
        await connection.exchange(address.head("GET", "/healthz", None, 0))
    except ExchangeCutError as error:
        remedy = "start `weir up`, or name a running gateway by --url"
        raise Outage("gateway", f"{address.url} does not answer ({error}): {remedy}") from None
    finally:
        connection.close()
