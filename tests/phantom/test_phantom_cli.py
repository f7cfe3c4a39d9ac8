"""``fastrace phantom`` on the command line."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from phantom_reader import dicom_files

from fastrace.cli.main import main
from fastrace.cli.phantom import phantom
from fastrace.phantom import truth_path


def examples():
    page = CliRunner().invoke(phantom, ["--help"]).output
    return [line.strip() for line in page.splitlines() if line.strip().startswith("fastrace phantom")]


def test_the_first_example_of_the_help_page_makes_what_it_describes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(phantom, shlex.split(examples()[0])[2:])
    assert result.exit_code == 0
    out = Path("phantom")
    assert len(dicom_files(out)) == 48
    assert "48 images (MG, 256x192) of 24 patients (12 A, 12 B) in phantom" in result.stdout
    assert str(truth_path(out)) in result.stdout
    assert truth_path(out).exists()


@pytest.mark.parametrize("example", examples()[1:])
def test_every_other_example_runs(example, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = shlex.split(example)[2:]
    result = CliRunner().invoke(phantom, words)
    assert result.exit_code == 0, result.output
    truth = json.loads(truth_path(Path(words[words.index("--out") + 1])).read_text())
    assert truth["spec"]["patients"] == 12


def test_every_option_has_an_example():
    shown = {word for example in examples() for word in shlex.split(example)}
    assert {parameter.opts[0] for parameter in phantom.params} <= shown


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (["--band", "20"], "LOW:HIGH"),
        (["--band", "a:b"], "LOW:HIGH"),
        (["--size", "512"], "HxW"),
        (["--band", "40:20"], "0 < low < high"),
        (["--modality", "ct"], "mammo"),
        (["--kind", "shape"], "texture"),
        (["--kind", "intensity", "--band", "3:5"], "follows from the anatomy"),
        (["--kind", "patch", "--patch", "0.1:0.2"], "TOP:BOTTOM:LEFT:RIGHT"),
        (["--patch", "0.1:0.5:0.1:0.5"], "use kind patch"),
        (["--confounder", "age"], "NAME:AUC"),
        (["--confounder", "weight:0.7"], "density, age, scanner"),
        (["--confounder", "age:1"], "less than 1"),
    ],
)
def test_a_wrong_option_ends_with_code_2_and_makes_nothing(option, message, tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["phantom", "--out", str(tmp_path / "out"), *option])
    assert stop.value.code == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_command_module_loads_nothing_heavy():
    code = "import sys, fastrace.cli.phantom; print([m for m in ('numpy', 'scipy', 'pydicom', 'torch') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
