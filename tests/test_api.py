"""The Python API: costs nothing to import, is typed, and does what the README shows in eight lines."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fastrace import api
from fastrace.errors import FastraceError, RunError, UsageError

README = Path(__file__).parent.parent / "README.md"


def run(program: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program], cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True
    )


def test_importing_it_costs_nothing(tmp_path: Path) -> None:
    program = (
        "import sys; import fastrace; from fastrace import api\n"
        "heavy = {'torch', 'numpy', 'pandas', 'scipy', 'numba', 'pydicom', 'timm', 'msgspec'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "dir(api); api.Audit, api.Progress\n"
        "assert 'torch' not in sys.modules"
    )
    done = run(program, tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", api.__all__)
def test_every_name_is_there_and_documented(name: str) -> None:
    found = getattr(api, name)
    assert found.__doc__
    assert not found.__doc__.startswith(f"{name}(")  # as a dataclass without a docstring has it
    if inspect.isfunction(found):
        signature = inspect.signature(found)
        assert signature.return_annotation is not inspect.Signature.empty
        assert all(one.annotation is not inspect.Parameter.empty for one in signature.parameters.values())


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'classify'"):
        api.classify  # noqa: B018


@pytest.mark.slow
def test_the_lines_of_the_readme_run(tmp_path: Path) -> None:
    text = README.read_text()
    (program,) = re.findall(r"<!-- api -->\n```python\n(.*?)```", text, flags=re.DOTALL)
    assert len([line for line in program.splitlines() if line.strip()]) <= 9  # eight, and the guard of worker processes
    file = tmp_path / "first_audit.py"
    file.write_text(program)
    done = subprocess.run(
        [sys.executable, file.name],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "patient-level AUC" in done.stdout
    audit = api.read_audit(tmp_path / "audit")
    assert [question.id for question in audit.questions] == ["Q1", "Q2", "Q3", "Q4", "Q5", "Q6", "Q7"]
    assert (tmp_path / "audit" / "report.html").is_file()
    assert api.Dataset.open(tmp_path / "data").index["patient_key"].nunique() == audit.dataset.patients


@pytest.mark.parametrize("command", ["audit", "train", "evaluate"])
def test_a_refusal_needs_no_torch(tmp_path: Path, command: str) -> None:
    arguments = "'run', 'data'" if command == "evaluate" else "'data', 'out', target='race'"
    program = (
        "import sys\nfrom fastrace import api\nfrom fastrace.errors import FastraceError\n"
        f"try:\n    api.{command}({arguments})\nexcept FastraceError as error:\n    print(error)\n"
        "assert 'torch' not in sys.modules"
    )
    done = run(program, tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.strip().splitlines()) == 1


def test_options_that_cannot_be_used_are_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--modality knee"):
        api.preprocess([tmp_path], tmp_path / "data", modality="knee")
    with pytest.raises(UsageError, match="--band"):
        api.phantom(tmp_path / "archive", kind="intensity", band=(10, 20))
    with pytest.raises(RunError, match="no finished audit"):
        api.report(tmp_path)
    with pytest.raises(FastraceError, match="data"):
        api.audit(tmp_path / "data", tmp_path / "audit")


def test_type_checkers_see_what_functions_take_and_return(tmp_path: Path) -> None:
    file = tmp_path / "use.py"
    file.write_text(
        "from fastrace import api\n"
        "made = api.preprocess(['archive'], 'data', modality='mammo')\n"
        "audit: api.Audit = api.audit(made.data, 'audit', target='race')\n"
        "reveal_type(audit.questions[0].estimate)\n"
        "api.audit(made.data, 'audit', seed='zero')\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--no-error-summary", "--follow-imports=silent", str(file)],
        cwd=README.parent,
        capture_output=True,
        text=True,
    )
    assert 'Revealed type is "fastrace.audit.document.Estimate | None"' in done.stdout, done.stdout
    assert 'Argument "seed" to "audit" has incompatible type "str"; expected "int"' in done.stdout
    assert done.stdout.count("error:") == 1, done.stdout


def test_text_where_several_are_taken_is_one_of_them(tmp_path: Path) -> None:
    from fastrace.preprocess.recipe import job_for

    # As a sequence "CHEST" would be five body parts, of which C and T stand in nearly every other.
    assert api._several("CHEST") == ("CHEST",)
    assert api._several(tmp_path) == (tmp_path,)
    assert api._several(["a", "b"]) == ("a", "b")
    assert job_for((tmp_path,), tmp_path, "hand", body_parts=api._several("CHEST")).recipe.body_parts == (
        "HAND",
        "CHEST",
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [({"voi": "foo"}, "foo"), ({"jobs": 0}, "--jobs 0"), ({"jobs": -1}, "--jobs -1")],
)
def test_preprocess_refuses_what_workers_would_stumble_over(
    tmp_path: Path, options: dict[str, object], message: str
) -> None:
    (tmp_path / "archive").mkdir()
    with pytest.raises(UsageError, match=message):
        api.preprocess(tmp_path / "archive", tmp_path / "data", modality="any", **options)  # type: ignore[arg-type]
    assert not (tmp_path / "data").exists()
