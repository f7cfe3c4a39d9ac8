"""The scan depends on no name, follows no loop, misses no file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fastrace.errors import UsageError
from fastrace.preprocess.scan import listing_hash, scan


def names(*sources: Path, **options: list[Path]) -> list[str]:
    return [source.relative for source in scan(sources, **options)]


def test_every_regular_file_is_listed_whatever_its_name(tmp_path: Path) -> None:
    for name in ("b/IM1", "a.txt", "b/.hidden", "a/z.DCM", "b/ü\n.dcm"):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"x")
    assert names(tmp_path) == sorted(["b/IM1", "a.txt", "b/.hidden", "a/z.DCM", "b/ü\n.dcm"], key=os.fsencode)


def test_a_file_reached_twice_is_counted_once_and_loops_end(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").write_bytes(b"x")
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    (tmp_path / "again").symlink_to(tmp_path / "a" / "file")
    assert names(tmp_path, tmp_path / "a") == ["a/file"]


def test_what_is_no_regular_file_is_listed_without_a_size(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    found = scan([tmp_path])
    assert {source.relative: source.size for source in found} == {"dangling": -1, "fifo": -1}


def test_files_given_as_options_are_no_inputs(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("x")
    (tmp_path / "image").write_text("x")
    assert names(tmp_path, leave_out=[tmp_path / "labels.csv"]) == ["image"]


def test_a_missing_source_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file or folder"):
        scan([tmp_path / "nowhere"])


def test_a_file_that_is_no_dicomdir_is_refused(tmp_path: Path) -> None:
    (tmp_path / "DICOMDIR").write_text("hello")
    with pytest.raises(UsageError, match="not a readable DICOMDIR"):
        scan([tmp_path / "DICOMDIR"])


def test_the_listing_hash_notices_added_and_changed_files(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    before = listing_hash(scan([tmp_path]))
    assert listing_hash(scan([tmp_path])) == before
    (tmp_path / "b").write_text("x")
    added = listing_hash(scan([tmp_path]))
    (tmp_path / "b").write_text("longer")
    assert len({before, added, listing_hash(scan([tmp_path]))}) == 3
