"""The paths of the two ingest calls."""

from typing import Final

SINGLE: Final = "/api/v1/events/ingest"
BATCH: Final = "/api/v1/events/batch"
PATHS: Final = frozenset((SINGLE, BATCH))
