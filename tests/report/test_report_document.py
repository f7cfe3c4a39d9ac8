"""A document that is missing, damaged or of another schema gives one clear error; a sparse one is read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from audit_documents import minimal, put, rich
from click.testing import CliRunner

from fastrace.cli.report import report as command
from fastrace.errors import RunError, UsageError
from fastrace.report import write
from fastrace.report.reading import load


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no finished audit here .audit.json is missing.; make one with `fastrace audit`"),
        ("", "cannot be read"),
        ("{", "cannot be read"),
        ("\x00\x01", "cannot be read"),
        ("[" * 100_000, "cannot be read"),
        ("[]", "not an audit of fastrace"),
        ("{}", "not an audit of fastrace"),
        ('{"schema": 2}', "has schema 2, this fastrace reads schema 1"),
        ('{"schema": 1}', "damaged: dataset is not an object"),
    ],
)
def test_what_is_no_audit_is_refused_in_one_line(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / "audit.json").write_text(content)
    with pytest.raises(RunError, match=message) as caught:
        write(tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "report.html").exists()


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    file = put(tmp_path, minimal()) / "audit.json"
    with pytest.raises(RunError, match="not a folder"):
        write(file)


@pytest.mark.parametrize(
    ("path", "value", "place"),
    [
        (("dataset", "size"), [256], "dataset.size"),
        (("dataset", "size"), [0, 256], "dataset.size"),
        (("dataset", "images"), "many", "dataset.images"),
        (("questions",), {}, "questions"),
        (("questions", 0, "mark"), 3, r"questions\[0\].mark"),
        (("primary", 0, "estimate", "value"), "high", r"primary\[0\].estimate.value"),
        (("primary", 0, "estimate", "n_patients"), 1.5, r"primary\[0\].estimate.n_patients"),
        (("cells", 3, "band"), [0.1], r"cells\[3\].band"),
        (("cells", 3, "x"), True, r"cells\[3\].x"),
        (("cells", 3, "x"), 10**400, r"cells\[3\].x"),
        (("target",), None, "target"),
        (("limits",), [1], "limits"),
        (("controls_ok",), "yes", "controls_ok"),
    ],
)
def test_damage_is_named_by_its_place(tmp_path: Path, path: tuple[Any, ...], value: Any, place: str) -> None:
    document = rich()
    inner: Any = document
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    with pytest.raises(RunError, match=rf"damaged: {place} is not"):
        load(put(tmp_path, document))


def test_every_key_can_be_missing_or_null_without_a_crash(tmp_path: Path) -> None:
    for key in rich():
        for change in ("missing", "null"):
            document = rich()
            if change == "missing":
                del document[key]
            else:
                document[key] = None
            try:
                load(put(tmp_path, document))
            except RunError:
                assert key in ("schema", "dataset", "target")


def test_numbers_that_json_does_not_know_are_undefined(tmp_path: Path) -> None:
    document = rich()
    document["primary"][0]["estimate"]["value"] = float("nan")
    text = json.dumps(document)
    assert "NaN" in text
    (tmp_path / "audit.json").write_text(text)
    assert load(tmp_path).cells[0].estimate.value is None


def test_a_cell_that_does_not_say_its_x_has_it_from_its_degradation(tmp_path: Path) -> None:
    document = rich()
    for cell in document["cells"]:
        cell["x"] = None
    audit = load(put(tmp_path, document))
    assert [cell.x for cell in audit.of("C2b", features="built-in")] == [0.05, 0.1, 0.2]


def test_a_suppressed_number_is_dropped_even_where_the_document_holds_one(tmp_path: Path) -> None:
    document = rich(("A", "B", "C"))
    document["primary"][0]["classes"][0].update(suppressed=True, value=0.77, n_patients=40)
    one = load(put(tmp_path, document)).cells[0].classes[0].estimate
    assert (one.value, one.low, one.n_patients, one.n_positive, one.suppressed) == (None, None, None, None, True)


def test_the_command_prints_the_page_and_needs_one_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "fastrace-work" / "mammo" / "audit", minimal())
    monkeypatch.chdir(tmp_path)
    for arguments in (["fastrace-work/mammo/audit"], ["--modality", "mammo"]):
        done = CliRunner().invoke(command, arguments)
        assert done.exit_code == 0, done.output
        assert done.stdout == "fastrace-work/mammo/audit/report.html\n"
    for arguments in ([], ["fastrace-work/mammo/audit", "--modality", "mammo"]):
        assert isinstance(CliRunner().invoke(command, arguments).exception, UsageError)
