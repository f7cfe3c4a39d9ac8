"""A table too long for memory, as one parquet file: row group by row group, with bytes that depend on the rows alone.

Parts of a run may have any length; the groups have `ROWS` rows whatever the parts were, and the types of the columns are those of
all parts together: a column that is empty in the first part and text in the second is text.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from fastrace.files import sync_folder

ROWS = 1 << 14
"""Rows of a group: about 15 MB of an index in memory."""


class Types:
    """The types of a table's columns, learned from its pieces; ``see`` all of them before the first is written."""

    def __init__(self) -> None:
        self.schema = pa.schema([])

    def see(self, piece: pd.DataFrame) -> None:
        """Take up the types of a piece."""
        found = pa.Schema.from_pandas(piece, preserve_index=False).remove_metadata()
        # As pandas writes them: text is string, whether it is an array of Arrow or of objects here.
        for place, one in enumerate(found):
            if pa.types.is_large_string(one.type):
                found = found.set(place, pa.field(one.name, pa.string()))
        self.schema = pa.unify_schemas([self.schema, found], promote_options="permissive")

    def with_pandas(self, shape: Callable[[pd.DataFrame], pd.DataFrame]) -> pa.Schema:
        """The schema with what pandas needs to read back its own types; ``shape`` gives a frame the types it is written with."""
        empty = shape(self.schema.empty_table().to_pandas())
        return pa.Table.from_pandas(empty, schema=self.schema, preserve_index=False).schema


class RowGroups:
    """Writes the file under another name and renames it at the end; a context.

    Parameters
    ----------
    file : Path
    schema : pyarrow.Schema
        Of `Types`.
    """

    def __init__(self, file: Path, schema: pa.Schema) -> None:
        self._file, self._part = file, file.with_name(file.name + ".part")
        self._schema = schema
        self._held: list[pa.Table] = []
        self._rows = 0
        self._writer = pq.ParquetWriter(self._part, schema, compression="zstd")

    def __enter__(self) -> RowGroups:
        return self

    def add(self, piece: pd.DataFrame) -> None:
        """Append rows."""
        table = pa.Table.from_pandas(piece, schema=self._schema, preserve_index=False)
        self._held.append(table.replace_schema_metadata(self._schema.metadata))
        self._rows += len(piece)
        while self._rows >= ROWS:
            self._write(ROWS)

    def _write(self, rows: int) -> None:
        held = pa.concat_tables(self._held)
        self._writer.write_table(held.slice(0, rows).combine_chunks(), row_group_size=ROWS)
        self._held, self._rows = [held.slice(rows)], self._rows - rows

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish the file, or remove what was written where something went wrong."""
        if kind is not None:
            with suppress(OSError):  # a full disk is said once
                self._writer.close()
            self._part.unlink(missing_ok=True)
            return
        if self._rows:
            self._write(self._rows)
        self._writer.close()
        with self._part.open("rb") as file:
            os.fsync(file.fileno())
        self._part.replace(self._file)
        sync_folder(self._file.parent)
