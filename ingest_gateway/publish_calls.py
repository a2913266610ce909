"""What the calls of one publisher cost and bring: counted once a call, not once a request."""

import time

from shared import metric_definitions as definitions


class PublishCalls:
    """Used from one event loop."""

    def __init__(self) -> None:
        self.seconds = definitions.GATEWAY_PUBLISH_SECONDS.distribution()
        self.events = definitions.GATEWAY_PUBLISH_EVENTS.distribution()
        self.failed = 0

    def done(self, events: int, started: float) -> None:
        """Count a call that Redis answered; ``started`` is of time.perf_counter."""
        self.seconds.add(time.perf_counter() - started)
        self.events.add(events)
