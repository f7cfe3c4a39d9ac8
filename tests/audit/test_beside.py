"""Tables beside one another, against numpy's concatenation."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fastrace.audit.readers.beside import Beside


@given(st.integers(0, 10**6), st.lists(st.integers(0, 6), min_size=1, max_size=4), st.integers(1, 9))
def test_rows_and_columns_are_those_of_the_tables_side_by_side(seed: int, widths: list[int], patients: int) -> None:
    rng = np.random.default_rng(seed)
    tables = [rng.standard_normal((patients, width), dtype=np.float32) for width in widths]
    columns = [np.flatnonzero(rng.random(width) < 0.6) for width in widths]
    whole = np.concatenate([table[:, some] for table, some in zip(tables, columns, strict=True)], axis=1)
    beside = Beside(tables, columns)
    assert beside.shape == whole.shape
    rows = rng.integers(0, patients, 5)
    np.testing.assert_array_equal(beside[rows], whole[rows])
    inside = rng.random(whole.shape[1]) < 0.5
    np.testing.assert_array_equal(beside.chosen(inside)[rows], whole[rows][:, inside])
