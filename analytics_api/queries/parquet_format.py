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
        self._rows: list[Row] = []
        self._kept_bytes = 0
        self._writer = pq.ParquetWriter(pa.PythonFile(_Sink(self._written), mode="w"), _SCHEMA, compression="zstd")

    def head(self) -> bytes:
        return self._taken()

    def page(self, rows: list[Row]) -> bytes:
        self._rows += rows
        self._kept_bytes += sum(len(row["payload"]) + len(row["context"]) for row in rows)
        if len(self._rows) >= _GROUP_ROWS or self._kept_bytes >= _GROUP_BYTES:
            self._write_group()
        return self._taken()

    def tail(self) -> bytes:
        self._write_group()
        self._writer.close()
        return self._taken()

    def _write_group(self) -> None:
        if self._rows:
            columns = {name: [row[name] for row in self._rows] for name in COLUMNS}
            self._writer.write_table(pa.table(columns, schema=_SCHEMA), row_group_size=len(self._rows))
        self._rows, self._kept_bytes = [], 0

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
