"""Sends a run's requests over several connections until each is settled."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http import HTTPStatus

import msgspec

from deploy.load.gateway_address import GatewayAddress
from deploy.load.http_connection import ExchangeCutError, HttpConnection
from deploy.load.interruptible_sleep import InterruptibleSleep
from deploy.load.load_request import LoadRequest
from deploy.load.pacing import Pace
from deploy.load.tally import Tally
from deploy.load.verdict import Verdict, judge, pause_seconds, retry_after_seconds
from shared.errors import RefusedRequest

_ANSWER_SECONDS = 15.0
_GIVE_UP_SECONDS = 120.0
"""A request that was cut again and again for so long is given up: the gateway is not coming back."""
_STOP_SECONDS = 5.0
_HOPELESS = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED)


class _Trial(msgspec.Struct, frozen=True, gc=False):
    """How one exchange of a request ended."""

    verdict: Verdict
    status: int = 0
    body: bytes = b""
    retry_after: bytes | None = None


class _Problem(msgspec.Struct):
    detail: str = ""
    type: str = ""


@dataclass(slots=True)
class Sender:
    """Sends `requests`, each until it is kept or refused, with the same ids however often.

    429 and 503 wait as told. What was cut, timed out or answered 5xx is sent again, up to two minutes. Setting `stop`
    ends it: requests on their way get 5 s to be answered.
    """

    address: GatewayAddress
    connections: int
    pace: Pace
    tally: Tally
    stop: asyncio.Event
    sleep: InterruptibleSleep = field(init=False)

    def __post_init__(self) -> None:
        self.sleep = InterruptibleSleep(self.stop)

    async def send(self, requests: Iterator[LoadRequest]) -> None:
        """Returns when all are settled, the pace says it is over, or `stop` is set and what was on its way is answered.

        Raises RefusedRequest when the gateway refuses in a way that would meet every other request too.
        """
        connections = [HttpConnection(self.address, _ANSWER_SECONDS) for _ in range(self.connections)]
        # before the clock runs: at a steady rate, what is due meanwhile would be late by the time this takes
        await asyncio.gather(*(connection.open() for connection in connections))
        self.tally.begin()
        try:
            async with asyncio.TaskGroup() as tasks:
                workers = [tasks.create_task(self._work(connection, requests)) for connection in connections]
                watches = [tasks.create_task(self._cancel_late(workers)), tasks.create_task(self.sleep.watch())]
                await asyncio.wait(workers)
                for watch in watches:
                    watch.cancel()
        except* RefusedRequest as refusals:
            raise refusals.exceptions[0] from None
        finally:
            self.tally.ended = time.perf_counter()

    async def _cancel_late(self, workers: list[asyncio.Task[None]]) -> None:
        await self.stop.wait()
        await asyncio.sleep(_STOP_SECONDS)
        for worker in workers:
            worker.cancel()

    async def _work(self, connection: HttpConnection, requests: Iterator[LoadRequest]) -> None:
        try:
            for request in requests:
                if self.stop.is_set() or self.pace.is_over(self.tally.seconds, request.first):
                    return
                due = self.pace.due_seconds(request.first)
                began = time.perf_counter() if due is None else self.tally.began + due
                if due is None or not await self.sleep.stopped_within(began - time.perf_counter()):
                    await self._settle_or_leave(connection, request, began)
        finally:
            connection.close()

    async def _settle_or_leave(self, connection: HttpConnection, request: LoadRequest, began: float) -> None:
        self.tally.sent_events += request.events
        settled = False
        try:
            settled = await self._settle(connection, request, began)
        finally:
            if not settled:
                self.tally.left.append(request)

    async def _settle(self, connection: HttpConnection, request: LoadRequest, began: float) -> bool:
        """Whether it was kept or refused; False when it is left with its fate unknown."""
        failures, cut_before, give_up = 0, False, math.inf
        while (trial := await self._try(connection, request.wire, began)).verdict is not Verdict.KEPT:
            if trial.verdict is Verdict.REFUSED:
                self._refuse(request, trial)
                return True
            if trial.verdict is Verdict.UNKNOWN:
                failures, cut_before = failures + 1, True
                give_up = min(give_up, time.perf_counter() + _GIVE_UP_SECONDS)
            else:
                failures, give_up = 0, math.inf
            pause = pause_seconds(failures) if failures else retry_after_seconds(trial.retry_after)
            if time.perf_counter() > give_up or await self.sleep.stopped_within(pause):
                return False
            began = time.perf_counter()
        self.tally.keep(request, trial.body, cut_before=cut_before)
        return True

    async def _try(self, connection: HttpConnection, wire: bytes, began: float) -> _Trial:
        tally = self.tally
        tally.requests += 1
        try:
            answer = await connection.exchange(wire)
        except ExchangeCutError as error:
            tally.failed(str(error))
            return _Trial(Verdict.UNKNOWN)
        tally.latency.add(time.perf_counter() - began)
        verdict = judge(answer.status)
        if verdict is Verdict.UNKNOWN:
            tally.failed(f"answered {answer.status}")
        elif verdict is Verdict.LATER:
            tally.throttled_requests += 1
        return _Trial(verdict, answer.status, answer.body, answer.retry_after)

    def _refuse(self, request: LoadRequest, trial: _Trial) -> None:
        try:
            problem = msgspec.json.decode(trial.body, type=_Problem)
        except msgspec.DecodeError:
            problem = _Problem("no problem document")
        told = f"{trial.status}: {problem.detail}"
        self.tally.refuse(request, told)
        if trial.status in _HOPELESS:
            told = f"{self.address.url} answered {told}"
            raise RefusedRequest(trial.status, problem.type.rpartition("/")[2], told)
