"""``audit.json`` is read once, into typed values: what is damaged is named by its place, and what is written comes back."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from audit_documents import DOCUMENTS, Document, hostile, minimal, put, put_text, rich
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from fastrace.audit.document import Audit, Estimate, read
from fastrace.cli.report import report as command
from fastrace.console.words import clean
from fastrace.digest import document_digest
from fastrace.errors import RunError, UsageError
from fastrace.report import write

SCHEMA_FILE = Path(__file__).parents[2] / "docs" / "audit.schema.json"
VALIDATOR = Draft202012Validator(json.loads(SCHEMA_FILE.read_text(encoding="utf-8")))
Place = tuple[str | int, ...]
FREE = ("arguments", "environment")  # what is in these is for the page to print, of any type
# Objects whose keys are names from the archive or of the audit: msgspec writes [...] for the key.
TABLES = ("window", "numbers", "seconds")
# What JSON can hold that no field has.
WRONG = ({"no": {"such": "field"}}, [[["deep"]]])
OTHERS = (None, True, -1, 7, 1.5, "text", "", [], [1.5, 2.5], ["text"], {}, *WRONG)


@cache
def short_json() -> str:
    """The rich document with three cells, as text: fast enough to be read some hundred times."""
    document = rich()
    cells = {cell["experiment"]: cell for cell in document["cells"]}
    document["cells"] = [cells[experiment] for experiment in ("A1", "C1a", "C1s")]
    document["cells"][0]["classes"][0]["p"] = 0.5
    document["location"]["scan"] = [cells["C1s"]["id"]]
    return json.dumps(document)


def short() -> Document:
    return json.loads(short_json())


def places(value: Any, here: Place = ()) -> Iterator[Place]:
    """Everything inside a document, objects and lists as well as what they hold."""
    if here:
        yield here
    if here and here[-1] in FREE:
        return
    for key, one in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(one, (*here, key))


def at(document: Any, place: Place) -> Any:
    for key in place:
        document = document[key]
    return document


def put_in(document: Document, place: Place, value: Any) -> Document:
    at(document, place[:-1])[place[-1]] = value
    return document


def written(place: Place) -> str:
    """``cells[3].estimate.value``, as the message names it."""
    text = ""
    for k, key in enumerate(place):
        if k and place[k - 1] in TABLES:
            text += "[...]"
        else:
            text += f"[{key}]" if isinstance(key, int) else f".{key}"
    return text.removeprefix(".")


def refusal(folder: Path, document: Document) -> str:
    with pytest.raises(RunError) as caught:
        read(put(folder, document))
    message = str(caught.value)
    start = f"{folder / 'audit.json'}: damaged: "
    assert message.startswith(start)
    assert "\n" not in message
    return message.removeprefix(start)


# ---- what is no audit


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
        ('{"schema": 1}', "has schema 1, this fastrace reads schema 4; run `fastrace audit` again, or use the version that"),
        ('{"schema": 5}', "has schema 5, this fastrace reads schema 4"),
        ('{"schema": 4}', "has no digest, so its numbers cannot be believed; restore it from a copy, or run `fastrace"),
        ('{"schema": 4, "digest": 5}', "changed after it was written"),
        (json.dumps({"schema": 4, "digest": document_digest({"schema": 4}, without="digest")}),
         "damaged: the document: object missing required field `fastrace`"),
    ],
)  # fmt: skip
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


@pytest.mark.parametrize("depth", [500, 900, 5000])
def test_a_document_that_is_nested_too_deep_is_refused(tmp_path: Path, depth: int) -> None:
    document = json.dumps(put_in(minimal(), ("arguments",), {"nested": "here"}))
    put_text(tmp_path, document.replace('"here"', "[" * depth + "]" * depth))
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(1000)  # as Python begins: what other tests import may have raised it
    try:
        with pytest.raises(RunError, match="recursion"):
            read(tmp_path)
    finally:
        sys.setrecursionlimit(before)


# ---- damage


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_type_anywhere_is_named_by_its_place(tmp_path: Path, wrong: Any) -> None:
    for place in set(places(short())) - {("schema",)}:  # another schema is refused with a sentence of its own
        if place[-1] in FREE and isinstance(wrong, dict):
            continue
        message = refusal(tmp_path, put_in(short(), place, wrong))
        assert message.startswith(written(place)), (place, message)


@pytest.mark.parametrize(
    ("place", "value", "named"),
    [
        (("dataset", "size"), [256], "dataset.size"),
        (("dataset", "size"), [0, 256], "dataset.size[0]"),
        (("dataset", "images"), "many", "dataset.images"),
        (("dataset", "images"), -1, "dataset.images"),
        (("dataset", "patients"), None, "dataset.patients"),
        (("dataset", "window", "lut"), 1.5, "dataset.window[...]"),
        (("questions",), {}, "questions"),
        (("questions", 0, "mark"), 3, "questions[0].mark"),
        (("questions", 0, "id"), "Q8", "questions[0].id"),
        (("cells", 0, "estimate", "value"), "high", "cells[0].estimate.value"),
        (("cells", 0, "estimate", "n_patients"), 1.5, "cells[0].estimate.n_patients"),
        (("cells", 0, "mode"), "retrained", "cells[0].mode"),
        (("cells", 3, "band"), [0.1], "cells[3].band"),
        (("cells", 3, "x"), True, "cells[3].x"),
        (("cells", 3, "x"), 10**400, "cells[3].x"),
        (("controls", 1, "status"), "passed", "controls[1].status"),
        (("target",), None, "target"),
        (("limits",), [1], "limits[0]"),
        (("self_reported",), "yes", "self_reported"),
    ],
)
def test_damage_is_named_by_its_place(tmp_path: Path, place: Place, value: Any, named: str) -> None:
    assert refusal(tmp_path, put_in(rich(), place, value)).startswith(f"{named}: ")


def fields() -> Iterator[tuple[Place, str]]:
    """An object inside the document, and a field of it."""
    for place in set(places(short())) - {("schema",)}:
        if isinstance(place[-1], str) and not (len(place) > 1 and place[-2] in TABLES):
            yield place[:-1], place[-1]


def test_a_missing_field_is_named(tmp_path: Path) -> None:
    for place, field in fields():
        document = short()
        del at(document, place)[field]
        if VALIDATOR.is_valid({**document, "digest": "0" * 32}):  # it may be missing
            read(put(tmp_path, document))
        else:
            start = f"{written(place) or 'the document'}: object missing required field `{field}`"
            assert refusal(tmp_path, document).startswith(start)


def test_an_unknown_field_is_named(tmp_path: Path) -> None:
    for place in {place for place, _ in fields()}:
        if place[-1:] in (("paper",), ("released_code",)):  # a dataclass of fastrace.modality, where msgspec skips them
            continue
        message = refusal(tmp_path, put_in(short(), (*place, "unexpected"), "text"))
        assert message.startswith(f"{written(place) or 'the document'}: object contains unknown field `unexpected`")


def test_the_seven_questions_the_ids_of_cells_and_the_scan_must_agree(tmp_path: Path) -> None:
    document = short()
    document["questions"].reverse()
    assert "questions: expected Q1 to Q7 in order" in refusal(tmp_path, document)
    document = short()
    document["cells"].append(document["cells"][0])
    assert "cells: an id occurs twice" in refusal(tmp_path, document)
    document = put_in(short(), ("location", "scan"), ["C1s/band:1:2/nobody"])
    assert "location.scan: names a cell that does not exist" in refusal(tmp_path, document)


def test_a_suppressed_estimate_that_holds_a_number_is_refused(tmp_path: Path) -> None:
    # What is suppressed must not reach a page, a chart or a table, whoever wrote the document.
    hidden = Estimate(**short()["cells"][0]["classes"][0]["estimate"]).hidden()
    for key in ("value", "low", "high", "n_patients", "n_positive", "n_images"):
        one = {**msgspec.to_builtins(hidden), key: 0 if key.startswith("n_") else 0.77}
        message = refusal(tmp_path, put_in(short(), ("cells", 0, "classes", 0, "estimate"), one))
        assert message.startswith("cells[0].classes[0].estimate: suppressed, but holds numbers")


@pytest.mark.parametrize("place", [("classes", 0), ("flow", 0), ("flow", 0, "left_out", 0)])
def test_a_suppressed_group_that_holds_patients_is_refused(tmp_path: Path, place: tuple[str | int, ...]) -> None:
    document = put_in(put_in(rich(), (*place, "suppressed"), True), (*place, "patients"), 7)
    assert ": suppressed, but holds a number of patients" in refusal(tmp_path, document)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("cells", 0, "estimate", "value"), 9e9),
        (("cells", 0, "p"), -0.1),
        (("cells", 1, "x"), 1e308),
        (("dataset", "mm_per_pixel"), -0.195),
        (("dataset", "mm_per_pixel"), 5e-324),
    ],
)
def test_numbers_that_cannot_be_drawn_are_refused(tmp_path: Path, place: tuple[str | int, ...], value: float) -> None:
    assert written(place) in refusal(tmp_path, put_in(rich(), place, value))


# ---- what is read


def test_numbers_that_json_does_not_know_are_undefined(tmp_path: Path) -> None:
    for number in ("NaN", "Infinity", "-Infinity", "1e999"):
        document = put_in(rich(), ("cells", 0, "estimate", "value"), "the number")
        put_text(tmp_path, json.dumps(document).replace('"the number"', number))
        assert read(tmp_path).cells[0].estimate.value is None


def test_hostile_text_is_cleaned_wherever_it_stands(tmp_path: Path) -> None:
    plain = msgspec.to_builtins(read(put(tmp_path, hostile())))
    text = json.dumps(plain, ensure_ascii=False)
    assert clean(plain) == plain
    assert not re.search("[\u202a-\u202e\u2066-\u2069\ud800-\udfff]", text)
    assert "<script>alert('x')</script>" in plain["target"]  # the writers of HTML escape it


@pytest.mark.parametrize("name", sorted(DOCUMENTS))
def test_what_is_written_is_read_again_as_it_was(tmp_path: Path, name: str) -> None:
    audit = read(put(tmp_path, DOCUMENTS[name]()))
    (tmp_path / "audit.json").write_bytes(audit.to_json())
    again = read(tmp_path)
    assert again == audit
    assert again.to_json() == audit.to_json()


def test_numbers_and_text_of_other_libraries_are_written_as_such() -> None:
    environment = {"torch": torch.__version__, "share": np.float64(0.1), "undefined": math.nan}
    audit = msgspec.structs.replace(msgspec.convert(short(), Audit), environment=environment)
    written = json.loads(audit.to_json())["environment"]
    assert written == {"torch": str(torch.__version__), "share": 0.1, "undefined": None}
    with pytest.raises(TypeError, match="ndarray cannot be written to an audit; expected text or a number"):
        msgspec.structs.replace(audit, environment={"scores": np.zeros(3)}).to_json()


def test_only_a_failed_control_voids_an_audit(reports: dict[str, Path]) -> None:
    assert read(reports["rich"]).failed == ()
    assert [control.id for control in read(reports["failed control"]).failed] == ["planted"]


# ---- the schema


def bare(schema: Any) -> Any:
    """A schema without its descriptions and the order of alternatives, which differ between versions of msgspec."""
    if isinstance(schema, dict):
        return {key: bare(one) for key, one in schema.items() if key != "description"}
    return sorted(map(bare, schema), key=str) if isinstance(schema, list) else schema


def test_the_schema_in_docs_is_up_to_date() -> None:
    made = subprocess.run([sys.executable, "-m", "fastrace.audit.document"], capture_output=True, text=True, check=True)
    how = "make it again: python -m fastrace.audit.document > docs/audit.schema.json"
    assert bare(json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))) == bare(json.loads(made.stdout)), how


@pytest.mark.parametrize("name", sorted(DOCUMENTS))
def test_an_independent_validator_accepts_what_is_read_and_what_is_written(tmp_path: Path, name: str) -> None:
    VALIDATOR.check_schema(VALIDATOR.schema)
    document = DOCUMENTS[name]()
    VALIDATOR.validate(json.loads((put(tmp_path, document) / "audit.json").read_text()))
    VALIDATOR.validate(json.loads(read(put(tmp_path, document)).to_json()))


@given(st.sampled_from(list(places(short()))), st.sampled_from(OTHERS))
def test_the_reader_refuses_what_the_independent_validator_refuses(
    tmp_path_factory: pytest.TempPathFactory, place: Place, value: Any
) -> None:
    folder = tmp_path_factory.getbasetemp() / "one"
    document = put_in(short(), place, value)
    # Rules about several places at once JSON Schema cannot express: ids and scan, the seven, what is suppressed.
    several = place[-1] in ("id", "scan", "suppressed") or "scan" in place or place in (("cells",), ("questions",))
    valid = VALIDATOR.is_valid({**document, "digest": "0" * 32})
    if valid and not several:
        read(put(folder, document))
    elif not valid:
        with pytest.raises(RunError):
            read(put(folder, document))


# ---- the command


def test_the_command_prints_the_page_and_needs_one_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "fastrace-work" / "mammo" / "audit", minimal())
    monkeypatch.chdir(tmp_path)
    for arguments in (["fastrace-work/mammo/audit"], ["--modality", "mammo"]):
        done = CliRunner().invoke(command, arguments)
        assert done.exit_code == 0, done.output
        assert done.stdout == "fastrace-work/mammo/audit/report.html\n"
    for arguments in ([], ["fastrace-work/mammo/audit", "--modality", "mammo"]):
        assert isinstance(CliRunner().invoke(command, arguments).exception, UsageError)
