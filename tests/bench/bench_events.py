"""The events of the benchmarks, about 250 bytes each, for both sides of a comparison."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from zlib import crc32

from deploy.load.synthetic_events import SyntheticShape, synthetic_tails

_PAYLOAD_BYTES = 172
"""With id, type and punctuation the whole event is about 250 bytes."""
_SEED = 1


def bench_tails() -> list[bytes]:
    """Events from the id's closing quote on; always the same."""
    return synthetic_tails(SyntheticShape(_PAYLOAD_BYTES, _SEED))


def tails_file(folder: Path) -> Path:
    """The tails, one a line, for wrk."""
    path = folder / "tails.txt"
    if not path.exists():
        path.write_bytes(b"\n".join(bench_tails()) + b"\n")
    return path


def copy_rows(first: int, count: int) -> Iterator[str]:
    """Rows of the floor in COPY's text format: what a processor would store of the same events."""
    shapes = [json.loads(b'{"event_id":"%b' % tail) for tail in bench_tails()]
    kinds = [(shape["event_type"], json.dumps(shape["payload"], separators=(",", ":"))) for shape in shapes]
    now = datetime.now(UTC).isoformat()
    context = '{"gateway":"host-1234-abcd","address":"127.0.0.1","request_id":"%024x","user_agent":"wrk"}'
    for number in range(first, first + count):
        event_type, payload = kinds[number % len(kinds)]
        crc = crc32(payload.encode()) - 2**31
        cells = (
            "bench",
            f"b0123abcd-1-{number:09}",
            event_type,
            now,
            now,
            payload,
            context % (number // 500),
            str(crc),
        )
        yield "\t".join(cells) + "\n"
