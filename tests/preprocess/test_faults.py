"""The real command is killed, stopped and damaged; afterwards the same command ends with the bytes of an undisturbed run.

Five moments here, a hundred by `python -m fastrace.bench.studies.faults`; the code is the same.
"""

from __future__ import annotations

import pytest

from fastrace.bench.studies import fault_kinds as kinds
from fastrace.bench.studies.faults import FAULTS, Fault, Undisturbed, try_fault, undisturbed

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    return undisturbed(tmp_path_factory.mktemp("faults"), files=200)


def check(fault: Fault, tries: int, plain: Undisturbed) -> None:
    said: list[str] = []
    row = try_fault(fault, tries, plain, 1, said.append)
    assert said == []
    assert (row.lost, row.duplicated, row.differing_bytes, row.complaints) == (0, 0, 0, 0)
    assert row.tries > 0, "every run ended before its fault"


def test_killed_at_five_random_moments(plain: Undisturbed) -> None:
    check(Fault("killed", kinds.killed, in_a_row=5), 5, plain)


@pytest.mark.parametrize("do", [kinds.terminated, kinds.interrupted])
def test_stopped_it_leaves_nothing_and_says_how_to_go_on(plain: Undisturbed, do: object) -> None:
    fault = next(fault for fault in FAULTS if fault.do is do)
    check(fault, 2, plain)


@pytest.mark.parametrize(
    "name",
    ["a worker is killed twice at one file", "a codec hangs at one file", "MemoryError at one file",
     "a file is changed between scan and read", "two runs on one output", "a byte of a finished shard changes",
     "a part is cut short"],
)  # fmt: skip
def test_the_same_command_mends_it(plain: Undisturbed, name: str) -> None:
    check(next(fault for fault in FAULTS if fault.name == name), 1, plain)


def test_the_comparison_sees_a_lost_image_and_a_changed_byte(plain: Undisturbed) -> None:
    """A matrix of zeros means something only if it can be other than zero."""

    def spoil(stage: kinds.Stage) -> bool:
        stage.finish()
        labels = stage.archive.parent / "labels.csv"
        stage.undo.callback(labels.write_text, labels.read_text())
        text = labels.read_text().replace("P00000003,B", "P00000003,A")
        labels.write_text("\n".join(line for line in text.splitlines() if not line.startswith("P00000005")) + "\n")
        for folder in (stage.out, stage.private / "parts", stage.private):
            for file in folder.iterdir():
                if file.is_file() and file.name != "salt":
                    file.unlink()
        return True

    row = try_fault(Fault("spoilt", spoil), 1, plain, 2, lambda _: None)
    assert (row.tries, row.lost, row.duplicated) == (1, 2, 0)  # both images of a patient without a label
    assert row.differing_bytes > 0
    names = content_names(plain)
    assert {"/index.parquet", "/dataset.json", "/README.md", ".private/sources.parquet"} < set(names)
    assert sum("images-" in name for name in names) > 4


def content_names(plain: Undisturbed) -> list[str]:
    """Shards, index, facts, datasheet; three private files."""
    return sorted(plain.content)
