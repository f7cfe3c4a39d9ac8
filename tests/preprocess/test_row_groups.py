"""Tables written piece by piece: the bytes depend on the rows alone, and pandas reads what it would have written itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from fastrace.dataset import INDEX_COLUMNS
from fastrace.files import write_parquet
from fastrace.preprocess import row_groups
from fastrace.preprocess.overview import index_rows, with_types
from fastrace.preprocess.row_groups import RowGroups, Types

COLUMNS = {"group": {"kind": "categorical"}, "score": {"kind": "numeric"}}


def rows(count: int) -> pd.DataFrame:
    """Rows of parts: half of the columns are missing in the first half, some everywhere."""
    random = np.random.default_rng(0)
    late = np.arange(count) >= count // 2
    found: dict[str, object] = dict.fromkeys(INDEX_COLUMNS)
    found.update(
        image_key=[f"{n:032x}" for n in range(count)],
        patient_key=[f"{n // 3:032x}" for n in range(count)],
        view=["PA" if n else None for n in late],
        sex=pd.Series([None] * count, dtype=object),
        burned_in=[bool(n % 2) if late[n] else None for n in range(count)],
        bits_stored=[12 if n else None for n in late],
        age_years=np.where(late, random.uniform(20, 80, count), np.nan),
        shard=np.arange(count) // 100, row=np.arange(count) % 100, frame=0, source_rows=32, source_columns=32,
    )  # fmt: skip
    found["label:group"] = [("A", "B")[n % 2] for n in range(count)]
    found["label:score"] = [None if n % 5 else n / 3 for n in range(count)]
    return pd.DataFrame(found, columns=[*INDEX_COLUMNS, "label:group", "label:score"])


def streamed(frame: pd.DataFrame, piece: int, file: Path) -> bytes:
    types = Types()
    pieces = [index_rows(frame.iloc[n : n + piece], COLUMNS) for n in range(0, len(frame), piece)]
    for one in pieces:
        types.see(one)
    with RowGroups(file, types.with_pandas(lambda empty: with_types(empty, COLUMNS))) as written:
        for one in pieces:
            written.add(one)
    return file.read_bytes()


@pytest.mark.parametrize("piece", [1, 7, 64, 150, 400])
def test_bytes_do_not_depend_on_the_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, piece: int) -> None:
    monkeypatch.setattr(row_groups, "ROWS", 64)
    frame = rows(300)
    assert streamed(frame, piece, tmp_path / "a") == streamed(frame, 300, tmp_path / "b")
    assert [file.name for file in tmp_path.iterdir() if file.suffix == ".part"] == []


@pytest.mark.parametrize("piece", [7, 300])
def test_pandas_reads_what_it_would_have_written_itself(tmp_path: Path, piece: int) -> None:
    frame = rows(300)
    streamed(frame, piece, tmp_path / "streamed.parquet")
    write_parquet(index_rows(frame, COLUMNS), tmp_path / "whole.parquet")
    found, expected = (pd.read_parquet(tmp_path / name) for name in ("streamed.parquet", "whole.parquet"))
    assert_frame_equal(found, expected)
    assert found.dtypes.to_dict() == expected.dtypes.to_dict()


def test_what_goes_wrong_in_between_leaves_the_old_file(tmp_path: Path) -> None:
    before = streamed(rows(10), 10, tmp_path / "index")
    types = Types()
    types.see(index_rows(rows(10), COLUMNS))

    def stopped() -> None:
        with RowGroups(tmp_path / "index", types.schema) as written:
            written.add(index_rows(rows(10), COLUMNS))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert (tmp_path / "index").read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["index"]
