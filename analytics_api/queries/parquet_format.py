"""Events as Parquet; imported only where pyarrow is installed (the extra ``parquet``)."""

from io import BytesIO
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from analytics_api.queries.export_formats import COLUMNS
from analytics_api.reader import Row

_GROUP_ROWS: Final = 20_000
_GROUP_BYTES: Final = 8 * 1024 * 1024
_SCHEMA: Final = pa.schema(
    [(name, pa.timestamp("us", tz="UTC") if name.endswith("_at") else pa.string()) for name in COLUMNS]
)


class ParquetFormat:
    """Row groups of at most 20,000 events or about 8 MiB. Without its last bytes no reader takes the file."""

    media_type = "application/vnd.apache.parquet"
    suffix = "parquet"

    def __init__(self) -> None:
        self._written = BytesIO()
        self._kept: list[pa.RecordBatch] = []
        self._writer = pq.ParquetWriter(pa.PythonFile(_Sink(self._written), mode="w"), _SCHEMA, compression="zstd")

    def head(self) -> bytes:
        return self._taken()

    def page(self, rows: list[Row]) -> bytes:
        columns = [[row[name] for row in rows] for name in COLUMNS]
        self._kept.append(pa.record_batch(columns, schema=_SCHEMA))
        if sum(batch.num_rows for batch in self._kept) >= _GROUP_ROWS or self._kept_bytes() >= _GROUP_BYTES:
            self._write_group()
        return self._taken()

    def tail(self) -> bytes:
        self._write_group()
        self._writer.close()
        return self._taken()

    def _write_group(self) -> None:
        if self._kept:
            group = pa.Table.from_batches(self._kept)
            self._kept = []
            self._writer.write_table(group, row_group_size=group.num_rows)

    def _kept_bytes(self) -> int:
        total: int = sum(batch.nbytes for batch in self._kept)
        return total

    def _taken(self) -> bytes:
        piece = self._written.getvalue()
        self._written.seek(0)
        self._written.truncate()
        return piece


class _Sink:
    """A file that only grows: tells its length as Parquet needs it, though what was written is already gone."""

    closed = False

    def __init__(self, buffer: BytesIO) -> None:
        self._buffer = buffer
        self._length = 0

    def write(self, data: bytes) -> int:
        self._buffer.write(data)
        self._length += len(data)
        return len(data)

    def tell(self) -> int:
        return self._length

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        self.closed = True

    def writable(self) -> bool:
        return True

    def readable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False
