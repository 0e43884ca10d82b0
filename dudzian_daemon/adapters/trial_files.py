"""Rows of a search as Parquet parts in a folder: each part is whole or not there, so what is kept survives any end of the process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, Final

from dudzian_daemon.adapters.files import ensure_dir, os_errors, write_atomic
from dudzian_daemon.domain.errors import ConfigError

_GLOB: Final = "part-*.parquet"


class TrialFiles:
    """The parts `part-000001.parquet` and so on below `folder`, which any reader of Parquet takes as one table."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def parts(self) -> list[Path]:
        """The parts that are there, oldest first."""
        return sorted(self.folder.glob(_GLOB))

    def read(self) -> list[dict[str, Any]]:
        """All rows, oldest first. Raises `ConfigError` naming a part that cannot be read."""
        import pyarrow as pa  # type: ignore[import-untyped] # pyarrow ships no annotations
        import pyarrow.parquet as pq  # type: ignore[import-untyped] # pyarrow ships no annotations

        rows: list[dict[str, Any]] = []
        for part in self.parts:
            try:
                rows += pq.ParquetFile(part, page_checksum_verification=True).read().to_pylist()
            except (OSError, pa.ArrowException) as error:
                msg = f"{part}: expected results of a sweep, found what cannot be read ({' '.join(str(error).split())}); move it away"
                raise ConfigError(msg) from None
        return rows

    def append(self, rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> None:
        """Write the rows as one more part, with the types of `columns` (`text`, `whole`, `number`, `flag`)."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        types = {"text": pa.string(), "whole": pa.int64(), "number": pa.float64(), "flag": pa.bool_()}
        schema = pa.schema([(name, types[kind]) for name, kind in columns.items()])
        table = pa.Table.from_pylist([_fitting(row, columns) for row in rows], schema=schema)
        buffer = BytesIO()
        pq.write_table(table, buffer, compression="zstd", write_page_checksum=True)
        with os_errors(self.folder):
            ensure_dir(self.folder)
            number = int(self.parts[-1].stem.removeprefix("part-")) + 1 if self.parts else 1
            write_atomic(self.folder / f"part-{number:06d}.parquet", buffer.getvalue())


def _fitting(row: Mapping[str, Any], columns: Mapping[str, str]) -> dict[str, Any]:
    """The row's values as the columns take them: a number or flag in a column of texts is its text."""
    return {name: str(value) if columns[name] == "text" and value is not None else value for name, value in row.items() if name in columns}
