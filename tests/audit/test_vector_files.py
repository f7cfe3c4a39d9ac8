"""Files of embeddings: every form of the same vectors reads as the same, and what is none is refused in one line."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fastrace.audit.readers import vectors as module
from fastrace.audit.readers.vector_files import open_vectors
from fastrace.errors import UsageError

TYPES = ("float16", "float32", "float64", "int8", "uint16", "int64")


def ids(n: int) -> list[str]:
    return [f"00{number}" for number in range(n)]


def lists(file: Path, values: np.ndarray) -> str:
    pq.write_table(pa.table({"study_id": ids(len(values)), "vector": list(values)}), file, row_group_size=7)
    return str(file)


def fixed_lists(file: Path, values: np.ndarray) -> str:
    array = pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])
    pq.write_table(pa.table({"vector": array, "study_id": ids(len(values))}), file)
    return str(file)


def wide(file: Path, values: np.ndarray) -> str:
    frame = pd.DataFrame(values, columns=[f"emb.{n}" for n in range(values.shape[1])])
    frame.assign(study_id=ids(len(values)), group_code=1, race="x").to_parquet(file)
    return str(file)


def beside(file: Path, values: np.ndarray) -> str:
    np.save(file.with_suffix(".npy"), values)
    pd.DataFrame({"study_id": ids(len(values))}).to_csv(file.with_suffix(".csv"), index=False)
    return str(file.with_suffix(".npy"))


def named(file: Path, values: np.ndarray) -> str:
    np.save(file.with_suffix(".npy"), np.asfortranarray(values))
    pd.DataFrame({"study_id": ids(len(values))}).to_parquet(file.with_name("keys=of.parquet"))
    return f"{file.with_suffix('.npy')}={file.with_name('keys=of.parquet')}"


FORMS = (lists, fixed_lists, wide, beside, named)


@pytest.mark.parametrize("form", FORMS, ids=[form.__name__ for form in FORMS])
@given(shape=st.tuples(st.integers(1, 40), st.integers(1, 9)), dtype=st.sampled_from(TYPES), seed=st.integers(0, 99))
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_form_of_the_same_vectors_reads_as_the_same(
    tmp_path: Path, form: Callable[[Path, np.ndarray], str], shape: tuple[int, int], dtype: str, seed: int
) -> None:
    values = (100 * np.random.default_rng(seed).random(shape)).astype(dtype)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "PIECE_BYTES", 8 * 5 * shape[1])  # pieces of five rows
        patch.setattr(module, "COLUMNS_AT_ONCE", 4)
        found = open_vectors(form(tmp_path / "v.parquet", values))
        pieces = list(found.pieces())
    together = np.full(shape, np.nan, np.float32)
    for row, column, piece in pieces:
        together[row : row + len(piece), column : column + piece.shape[1]] = piece
    np.testing.assert_array_equal(together, values.astype(np.float32))
    assert sum(piece.size for *_, piece in pieces) == values.size
    assert (found.kind, found.column, found.ids) == ("study", "study_id", tuple(ids(shape[0])))
    assert found.name == "v"


def test_numbers_beside_the_vectors_are_no_part_of_them(tmp_path: Path) -> None:
    found = open_vectors(wide(tmp_path / "v.parquet", np.ones((4, 3))))
    assert found.columns == ("emb.0", "emb.1", "emb.2")
    assert found.left == ("group_code",)


@pytest.mark.parametrize(
    ("columns", "keys", "expected"),
    [
        (("subject_id", "study_id", "dicom_id"), (), ("image", "dicom_id")),
        (("subject_id", "study_id", "dicom_id"), ("patient=subject_id",), ("patient", "subject_id")),
        (("subject_id", "image_key", "path"), (), ("image_key", "image_key")),
        (("AccessionNumber", "mrn"), (), ("patient", "mrn")),
        (("who",), ("patient=who", "image=of_another_file"), ("patient", "who")),
    ],
)
def test_the_most_specific_key_that_a_dataset_holds_names_the_rows(
    tmp_path: Path, columns: tuple[str, ...], keys: tuple[str, ...], expected: tuple[str, str]
) -> None:
    table = pa.table({**{name: ids(3) for name in columns}, "vector": list(np.ones((3, 2)))})
    pq.write_table(table, tmp_path / "v.parquet")
    found = open_vectors(str(tmp_path / "v.parquet"), keys)
    assert (found.kind, found.column) == expected


def saved(file: Path, array: np.ndarray) -> str:
    np.save(file, array, allow_pickle=True)
    pd.DataFrame({"patient_id": ids(len(array))}).to_csv(file.with_suffix(".csv"), index=False)
    return str(file)


def table(file: Path, **columns: object) -> str:
    pq.write_table(pa.table(columns), file)
    return str(file)


def cut(folder: Path) -> str:
    whole = Path(lists(folder / "v.parquet", np.ones((50, 9))))
    whole.write_bytes(whole.read_bytes()[:-30])
    return str(whole)


def pickled(folder: Path) -> str:
    (folder / "v.pkl").write_bytes(pickle.dumps([1.0]))
    return str(folder / "v.pkl")


def npz(folder: Path) -> str:
    np.savez(folder / "v.npz", np.ones((3, 3)))
    return str(folder / "v.npz")


def claims_much(folder: Path) -> str:
    """A header of 40 bytes that promises an exabyte."""
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000, 1000000000), }".ljust(117) + b"\n"
    (folder / "v.npy").write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(64))
    return str(folder / "v.npy")


def long_header(folder: Path) -> str:
    header = b"{" * 60000 + b"\n"
    (folder / "v.npy").write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    return str(folder / "v.npy")


def text(folder: Path) -> str:
    (folder / "v.csv").write_text("patient_id,f0\n1,2\n")
    return str(folder / "v.csv")


def without_keys(folder: Path) -> str:
    np.save(folder / "v.npy", np.ones((3, 3)))
    return str(folder / "v.npy")


def shorter_keys(folder: Path) -> str:
    pd.DataFrame({"patient_id": ids(2)}).to_csv(folder / "v.csv", index=False)
    return without_keys(folder)


NAN = np.array([[1, 2], [3, np.nan], [5, 6.0]])
REFUSED: dict[str, tuple[Callable[[Path], str], str]] = {
    "truncated": (cut, "cannot be read"),
    "not there": (lambda folder: str(folder / "v.npy"), "no such file"),
    "a folder": (str, "cannot be read"),
    "empty": (lambda folder: str([(folder / "v.npy").write_bytes(b""), folder / "v.npy"][1]), "is empty"),
    "pickle": (pickled, "may run code"),
    "npz": (npz, "numpy.save('v.npy', numpy.load('v.npz')[NAME])"),
    "text": (text, "to_parquet('v.parquet')"),
    "objects": (lambda folder: saved(folder / "v.npy", np.array([["a", None]], dtype=object)), "cannot be read"),
    "texts": (lambda folder: saved(folder / "v.npy", np.array([["a", "b"]])), "expected numbers, [rows, dimensions]"),
    "one axis": (lambda folder: saved(folder / "v.npy", np.ones(4)), "shape (4,)"),
    "no rows of npy": (lambda folder: saved(folder / "v.npy", np.ones((0, 4))), "0 rows"),
    "no rows": (lambda folder: lists(folder / "v.parquet", np.ones((0, 4))), "vector"),
    "a huge shape": (claims_much, "cannot be read"),
    "a huge header": (long_header, "cannot be read"),
    "too wide": (lambda folder: saved(folder / "v.npy", np.ones((1, 16385), np.int8)), "at most 16384"),
    "no table": (without_keys, "=KEYS"),
    "another table": (shorter_keys, "has 2 rows, v.npy has 3"),
    "NaN": (lambda folder: lists(folder / "v.parquet", NAN), "row 2, number 2 of its vector"),
    "NaN in a column": (lambda folder: wide(folder / "v.parquet", NAN), "row 2, number 2 of its vector"),
    "too large": (lambda folder: beside(folder / "v", np.array([[1e300, 0]])), "row 1, number 1"),
    "missing": (
        lambda folder: table(folder / "v.parquet", patient_id=["1", "2"], vector=[[1.0, 2.0], None]),
        "row 2 has no vector",
    ),
    "of another length": (
        lambda folder: table(folder / "v.parquet", patient_id=["1", "2"], vector=[[1.0, 2.0], [1.0]]),
        "row 2 has 1 numbers, the first row 2",
    ),
    "two lists": (
        lambda folder: table(folder / "v.parquet", patient_id=["1"], first=[[1.0]], second=[[1.0]]),
        "several could be: 'first', 'second'",
    ),
    "two series": (
        lambda folder: table(folder / "v.parquet", patient_id=["1"], f0=[1.0], f1=[1.0], visit1=[1]),
        "'f' and a number (2), 'visit' and a number (1)",
    ),
    "no series": (lambda folder: table(folder / "v.parquet", patient_id=["1"], age=[1.0]), "cannot be told"),
    "texts in columns": (lambda folder: table(folder / "v.parquet", patient_id=["1"], f0=["1"]), "cannot be told"),
    "no key": (lambda folder: table(folder / "v.parquet", who=["1"], f0=[1.0]), "--key patient=COLUMN"),
    "accession": (lambda folder: table(folder / "v.parquet", accession=["1"], f0=[1.0]), "which no dataset holds"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_file_of_embeddings_is_refused_in_one_line(tmp_path: Path, name: str) -> None:
    make, words = REFUSED[name]
    with pytest.raises(UsageError) as refused:
        list(open_vectors(make(tmp_path)).pieces())
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 600


def test_a_file_that_lost_rows_while_it_was_read_is_refused(tmp_path: Path) -> None:
    found = open_vectors(beside(tmp_path / "v", np.ones((9, 4))))
    beside(tmp_path / "v", np.ones((8, 4)))
    with pytest.raises(UsageError, match="holds 32 numbers, 9 ids and 4 numbers each"):
        list(found.pieces())


@given(start=st.sampled_from([b"PAR1", b"\x93NUMPY\x01\x00", b"\x93NUMPY\x03\x00", b""]), rest=st.binary(max_size=200))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_random_bytes_are_refused(tmp_path: Path, start: bytes, rest: bytes) -> None:
    (tmp_path / "v.npy").write_bytes(start + rest)
    pd.DataFrame({"patient_id": ids(2)}).to_csv(tmp_path / "v.csv", index=False)
    with pytest.raises(UsageError):
        list(open_vectors(str(tmp_path / "v.npy")).pieces())
