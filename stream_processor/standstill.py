"""Whether a loop may go on: it stands still while its stream is held, and when it halted by itself.

Two reasons, told apart by whom going on would harm:
  * a hold, in Redis, stops all processors of the stream until a person resumes it. Operators pause so; and so halts a
    processor that saw too many events fail: what is started in its place must not go on failing them;
  * a halt of this processor alone: a schema or grants that are not what its release needs, entries of a later release,
    a defect. Another release may be served well, so the others go on, and take over what this one held; it tries again
    by itself, and at once when a person resumes the stream.
"""

import threading
import time
from typing import Final

import redis
import structlog
from redis.exceptions import RedisError

from shared.errors import HaltError, TooManyFailures
from shared.processor_status import ProcessorState
from shared.redis_keys import StreamKeys
from shared.stream_hold import Hold, HoldKind, StreamHolds
from stream_processor.outages import Outages

log = structlog.get_logger()

LOOK_SECONDS: Final = 0.5
TRY_AGAIN_SECONDS: Final = 30.0
"""A halt of one processor alone is looked at anew after so long: its cause may have been mended by a migration."""


class Standstill:
    """Of one loop. ``look`` serves its reader, ``is_halted`` its writer, all else the thread that runs the two."""

    def __init__(
        self, client: "redis.Redis", keys: StreamKeys, consumer: str, outages: Outages, stop: threading.Event
    ) -> None:
        self._holds = StreamHolds(client)
        self._keys = keys
        self._consumer = consumer
        self._outages = outages
        self._stop = stop
        self._hold: Hold | None = None
        self._halt: HaltError | None = None
        self._halted_at = 0.0
        self._resumes = 0
        self._next_look = 0.0

    def look(self) -> bool:
        """Whether the stream is held; asks Redis every LOOK_SECONDS at most. Raises redis.RedisError."""
        now = time.monotonic()
        if now >= self._next_look:
            self._hold, self._resumes = self._holds.read(self._keys)
            self._next_look = now + LOOK_SECONDS
        return self._hold is not None

    @property
    def is_halted(self) -> bool:
        """Whether nothing more is to be written, as far as was seen: a pause lets what is in hand be stored."""
        return self._hold is not None and self._hold.kind is HoldKind.HALTED

    def halt(self, error: HaltError) -> None:
        """The loop ended with this."""
        log.error("loop.halted", stream=self._keys.stream, error=str(error), next="weir processors resume")
        self._halt, self._halted_at = error, time.monotonic()
        self._outages.note(error)

    def await_free(self) -> None:
        """Block until the loop may go on, or is to stop; waits for Redis for as long as it is away."""
        told: Hold | None = None
        while not self._stop.is_set():
            try:
                self._look_anew()
                self._outages.end(self._keys.name, "redis")
            except (RedisError, OSError) as error:
                self._outages.begin(self._keys.name, "redis", error)
                log.warning("redis.away", stream=self._keys.stream, error=f"{type(error).__name__}: {error}")
            else:
                if self._hold is None and self._halt is None:
                    break
                if self._hold is not None and self._hold != told:
                    log.warning("stream.held", stream=self._keys.stream, hold=self._hold.sentence)
                    told = self._hold
            self._tell()
            self._stop.wait(LOOK_SECONDS)
        self._outages.go_on(self._keys)
        if told is not None and not self._stop.is_set():
            log.info("stream.resumed", stream=self._keys.stream)

    def _look_anew(self) -> None:
        if isinstance(self._halt, TooManyFailures):  # what is known to all is no halt of this processor alone
            self._holds.hold(self._keys, HoldKind.HALTED, self._consumer, str(self._halt))
            self._halt = None
        self._hold, resumes = self._holds.read(self._keys)
        if resumes != self._resumes or time.monotonic() - self._halted_at >= TRY_AGAIN_SECONDS:
            self._halt = None
        self._resumes = resumes

    def _tell(self) -> None:
        if self._hold is not None:
            state = ProcessorState.PAUSED if self._hold.kind is HoldKind.PAUSED else ProcessorState.HALTED
            self._outages.stand(self._keys, state, self._hold.sentence)
        elif self._halt is not None:
            sentence = f"stream {self._keys.name} of shard {self._keys.shard} is halted here: {self._halt}"
            self._outages.stand(self._keys, ProcessorState.HALTED, sentence)
