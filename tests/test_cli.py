"""The command line: cheap help with runnable examples, one line for each error, exit codes that scripts can rely on."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from fastrace.cli.main import COMMANDS, cli, main

FASTRACE = [sys.executable, "-m", "fastrace.cli"]


def test_help_loads_neither_torch_nor_pandas() -> None:
    code = (
        "import sys\n"
        "from fastrace.cli.main import main\n"
        "try:\n"
        "    main(['--help'])\n"
        "except SystemExit:\n"
        "    pass\n"
        "print(sorted({'torch', 'pandas', 'numpy', 'numba'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.rstrip().endswith("[]")


@pytest.mark.parametrize("name", COMMANDS)
def test_each_help_shows_an_example_whose_options_exist(name: str) -> None:
    result = CliRunner().invoke(cli, [name, "--help"])
    assert result.exit_code == 0
    examples = [line.split() for line in result.output.splitlines() if line.strip().startswith(f"fastrace {name}")]
    assert examples, "no example"
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    known = {option for parameter in command.params for option in parameter.opts}
    for example in examples:
        assert {word for word in example if word.startswith("--")} <= known


def test_doctor_names_every_kernel() -> None:
    done = subprocess.run([*FASTRACE, "doctor", "--json"], capture_output=True, text=True, check=False)
    report = json.loads(done.stdout)
    assert done.returncode == 0
    assert report["healthy"]
    named = {finding["what"] for finding in report["findings"]}
    assert {"C++ kernels on CPU", "noise on CPU", "CUDA"} <= named
    text = subprocess.run([*FASTRACE, "doctor"], capture_output=True, text=True, check=True).stdout
    assert "decode" in text


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nonsense"], 2, "No such command"),
        (["preprocess"], 2, "Missing argument"),
        (["verify", "nowhere"], 1, "fastrace: nowhere: no dataset here"),
    ],
)
def test_errors_are_one_line_with_an_exit_code(
    arguments: list[str], code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == code
    errors = capsys.readouterr().err
    assert words in errors
    assert "Traceback" not in errors


def test_debug_shows_the_traceback_wherever_it_stands(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["verify", "nowhere", "--debug"])
    assert "Traceback" in capsys.readouterr().err


def test_the_console_script_called_by_path_compiles_at_first_use_with_a_bare_path(tmp_path: Path) -> None:
    """The environment is not activated: nothing of it is on PATH, only the system's compiler."""
    script = Path(sys.executable).parent / "fastrace"
    environment = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": str(tmp_path),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }
    done = subprocess.run(
        [str(script), "doctor", "--json"], capture_output=True, text=True, check=False, cwd=tmp_path, env=environment
    )
    assert done.returncode == 0, done.stderr
    states = {finding["what"]: finding["state"] for finding in json.loads(done.stdout)["findings"]}
    origin = states["C++ kernels on CPU"].split("; ")[1]
    assert origin.startswith(("installed with the package", "compiled at first use"))
    if origin.startswith("compiled"):
        assert any(file.is_file() for file in (tmp_path / "cache").rglob("*"))
