"""The reader's half of a loop: it prepares a batch and hands it over, while the writer stores the one before."""

import queue
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from typing import Final

import structlog
from redis.exceptions import RedisError

from stream_processor.backoff import Backoff
from stream_processor.company import company_ms
from stream_processor.config import ProcessorConfig
from stream_processor.crash_points import CrashPoint, reach
from stream_processor.entries import Prepared, Source, StreamEntry
from stream_processor.in_hand import InHand
from stream_processor.losses import Losses
from stream_processor.metrics import ProcessorMetrics
from stream_processor.standstill import Standstill
from stream_processor.stream_reader import MAX_ENTRIES, StreamReader, is_group_lost
from stream_processor.trial_gate import TrialGate

log = structlog.get_logger()

BLOCK_MS: Final = 1000
_HAND_OVER_SECONDS: Final = 0.2


class BatchReader:
    """Runs in one thread. It holds one batch beside the writer's and the queue's, each within the bounds of a batch."""

    def __init__(
        self,
        config: ProcessorConfig,
        source: Source,
        reader: StreamReader,
        losses: Losses,
        batches: "queue.Queue[Prepared | None]",
        in_hand: InHand,
        metrics: ProcessorMetrics,
        stop: threading.Event,
        writer_over: threading.Event,
        standstill: Standstill,
        gate: TrialGate,
        *,
        tries_alone: bool,
    ) -> None:
        self._config = config
        self._source = source
        self._stream = source.keys.stream
        self._reader = reader
        self._batches = batches
        self._in_hand = in_hand
        self._losses = losses
        self._lost = metrics.lost.labels(source.keys.name)
        self._claimed = metrics.claimed.labels(source.keys.name)
        self._outages = metrics.outages
        self._stop = stop
        self._writer_over = writer_over
        self._standstill = standstill
        self._gate = gate
        self._most_deliveries = config.max_attempts if tries_alone else sys.maxsize
        self._next_claim = self._next_keep = 0.0
        self._last_read = 0.0
        # nothing here waits for longer than it takes until entries in hand are to be kept
        self._keep_seconds = config.claim_idle_seconds / 3
        self._block_ms = max(1, int(min(BLOCK_MS, self._keep_seconds * 1000)))
        self._hand_over_seconds = min(_HAND_OVER_SECONDS, self._keep_seconds)

    def run(self) -> None:
        """Read until stopped or held, waiting for as long as Redis is away; then, in any case, tell the writer to end.

        Raises HaltError when an entry is of a later release.
        """
        try:
            self._read_forever()
        finally:
            self._hand_over(None)

    def _read_forever(self) -> None:
        backoff = Backoff(self._stop.wait)
        fresh_connection = True
        while not self._is_over():
            try:
                if self._standstill.look():
                    return
                if fresh_connection:
                    self._reader.create_group()
                    self._take_own_pending()
                    fresh_connection = False
                self._read_round()
                self._outages.end(self._source.keys.name, "redis")
                backoff.reset()
            except (RedisError, OSError) as error:
                self._note_trouble(error)
                fresh_connection = True
                backoff.pause()

    def _is_over(self) -> bool:
        return self._stop.is_set() or self._writer_over.is_set()

    def _may_take(self) -> bool:
        """Whether to take more of what is pending, of which there may be much."""
        return not self._is_over() and not self._standstill.look()

    def _note_trouble(self, error: Exception) -> None:
        if is_group_lost(error):
            log.error("group.lost", stream=self._stream, next="Redis lost its data; the group is made again at 0")
            return
        self._outages.begin(self._source.keys.name, "redis", error)
        log.warning("redis.away", stream=self._stream, error=f"{type(error).__name__}: {error}")

    def _read_round(self) -> None:
        self._keep_when_due()
        self._claim_when_due()
        entries = self._read_batch()
        if entries:
            reach(CrashPoint.AFTER_READ)
            self._prepare_and_hand_over(entries)

    def _read_batch(self) -> list[StreamEntry]:
        """New entries up to the bounds of a batch; waits a little for company, to be worth a transaction."""
        max_events, max_bytes = self._config.batch_events, self._config.batch_bytes
        entries = self._reader.read_new(max_events, max_bytes) or self._reader.wait_for_new(self._block_ms)
        if not entries:
            return []
        events, size = _measure(entries)
        more_is_there = len(entries) >= MAX_ENTRIES
        if events < max_events and size < max_bytes and not more_is_there:
            quiet_ms = (time.monotonic() - self._last_read) * 1000
            self._stop.wait(company_ms(self._config.batch_age_ms, events, quiet_ms) / 1000)
            more_is_there = True
        while more_is_there and events < max_events and size < max_bytes:
            more = self._reader.read_new(max_events - events, max_bytes - size)
            entries += more
            events, size = _measure(entries)
            more_is_there = len(more) >= MAX_ENTRIES
        self._last_read = time.monotonic()
        return entries

    def _take_own_pending(self) -> None:
        """Hand over the own pending entries that are not in hand: those whose replies were lost."""
        after = ""
        while self._may_take():
            in_hand = self._in_hand.ids()
            page = self._reader.own_pending(after)
            if not page:
                return
            after = list(page)[-1]
            lost = {entry_id: count for entry_id, count in page.items() if entry_id not in in_hand}
            self._take_lost(lost)
            taken = self._claim(lost, 0)
            if taken:
                log.info("entries.pending_again", stream=self._stream, entries=taken)

    def _claim_when_due(self) -> None:
        """Take over what other consumers have left, and look what was taken from the stream, and who is gone."""
        now = time.monotonic()
        if now < self._next_claim:
            return
        self._next_claim = now + self._config.claim_idle_seconds / 4
        self._claim_idle(self._config.claim_idle_seconds)
        self._note_losses()

    def _claim_idle(self, idle_seconds: float) -> None:
        """All of it, batch by batch, at the writer's pace."""
        after = ""
        while self._may_take():
            in_hand = self._in_hand.ids()
            page = self._reader.idle_pending(int(idle_seconds * 1000), after)
            if not page:
                return
            after = list(page)[-1]
            left = {entry_id: count for entry_id, count in page.items() if entry_id not in in_hand}
            self._take_lost(left)
            taken = self._claim(left, int(idle_seconds * 1000))
            if taken:
                log.info("entries.claimed", stream=self._stream, entries=taken)
                self._claimed.inc(taken)

    def _take_lost(self, entry_ids: Iterable[str]) -> None:
        lost = self._losses.take_lost(entry_ids)
        if lost:
            log.error(
                "entries.lost", stream=self._stream, entries=len(lost), ids=lost,
                next="another hand has deleted or trimmed them, unread: find it; weir reconcile names what is missing",
            )  # fmt: skip

    def _note_losses(self) -> None:
        events = self._losses.write_off()
        if events:
            self._lost.inc(events)
            log.error("events.lost", stream=self._stream, events=events, next="see entries.lost, and weir reconcile")
        for name in self._losses.remove_gone():
            log.info("consumer.removed", stream=self._stream, consumer=name)

    def _claim(self, deliveries: Mapping[str, int], idle_ms: int) -> int:
        """Claim these entries, in as many batches as their sizes ask for; how many there were."""
        taken = 0
        while deliveries and self._may_take():
            entries = self._reader.claim(deliveries, idle_ms, self._config.batch_events, self._config.batch_bytes)
            if not entries:
                break
            taken += len(entries)
            self._prepare_and_hand_over(entries)
            ids = list(deliveries)
            left = ids[ids.index(entries[-1].entry_id) + 1 :]
            deliveries = {entry_id: deliveries[entry_id] for entry_id in left}
        return taken

    def _prepare_and_hand_over(self, entries: list[StreamEntry]) -> None:
        self._in_hand.add(entries)
        usual = [entry for entry in entries if entry.deliveries <= self._most_deliveries]
        if usual:
            self._hand_over(self._prepare(usual))
        for entry in entries:
            if entry.deliveries > self._most_deliveries:
                log.warning("entry.suspected", stream=self._stream, entry=entry.entry_id, deliveries=entry.deliveries)
                self._hand_over(Prepared([entry], None, suspect=True))

    def _prepare(self, entries: list[StreamEntry]) -> Prepared:
        """Prepare a batch, but not while a suspect is tried: a death must be the doing of one of the two."""
        while not self._gate.enter(self._hand_over_seconds):
            self._keep_in_hand()
        try:
            return self._source.sink.prepare(entries)
        finally:
            self._gate.leave()

    def _hand_over(self, prepared: Prepared | None) -> None:
        """Give a batch to the writer; while it is busy, keep what is in hand from being taken over."""
        while not self._writer_over.is_set():
            try:
                self._batches.put(prepared, timeout=self._hand_over_seconds)
                return
            except queue.Full:
                self._keep_in_hand()

    def _keep_in_hand(self) -> None:
        try:
            self._keep_when_due()
        except (RedisError, OSError) as error:
            self._note_trouble(error)

    def _keep_when_due(self) -> None:
        """Entries wait here for as long as PostgreSQL is away: they are in good hands all the while."""
        now = time.monotonic()
        if now < self._next_keep or self._gate.stuck_seconds() > self._config.claim_idle_seconds:
            return
        self._next_keep = now + self._keep_seconds
        self._reader.keep(list(self._in_hand.ids()))


def _measure(entries: Iterable[StreamEntry]) -> tuple[int, int]:
    """Events and bytes, as the function ``take`` counts them."""
    sizes = [(max(entry.events, 1), len(entry.blob or b"")) for entry in entries]
    return sum(events for events, _ in sizes), sum(size for _, size in sizes)
