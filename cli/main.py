"""The command `fastrace`: commands are imported when used, so that `fastrace --help` needs no torch."""

from __future__ import annotations

import importlib
import os
import signal
import sys
import traceback
from typing import Any

import click

from fastrace import __version__
from fastrace.cli.stop import stoppable
from fastrace.errors import FastraceError

# Command -> (module, one line for `fastrace --help`), in the order of a working day.
COMMANDS: dict[str, tuple[str, str]] = {
    "preprocess": ("fastrace.cli.preprocess", "Turn DICOM or raster files and a table of labels into a dataset."),
    "verify": ("fastrace.cli.verify", "Check a dataset, a run or an audit against its digests."),
    "train": ("fastrace.cli.train", "Train a classifier of an attribute and test it by patient."),
    "evaluate": ("fastrace.cli.evaluate", "Score a run on a dataset, or scores made elsewhere."),
    "audit": ("fastrace.cli.audit", "Test whether an attribute is readable from images, and where, with controls."),
    "report": ("fastrace.cli.report", "Write the page, figures and tables of an audit."),
    "phantom": ("fastrace.cli.phantom", "Make a synthetic DICOM archive with a leak of known size and place."),
    "demo": ("fastrace.cli.demo", "Phantoms, preprocess, train, audit, report: one to five minutes."),
    "bench": ("fastrace.cli.bench", "Measure fastrace against the other libraries that are installed."),
    "doctor": ("fastrace.cli.doctor", "Show what is installed and which kernel runs where."),
}


class _Lazy(click.Group):
    """A group that imports a command's module when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = getattr(importlib.import_module(COMMANDS[cmd_name][0]), cmd_name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="fastrace")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.pass_context
def cli(ctx: click.Context, debug: bool) -> None:
    """Audit whether deep models can read a patient attribute from your images, and where it lives.

    An instrument for custodians of imaging data: reports are aggregates, no command scores single patients.

    \b
    Example:
      fastrace demo
      fastrace preprocess ARCHIVE --modality mammo --labels labels.csv
      fastrace train --modality mammo
    """
    ctx.obj = debug
    if ctx.invoked_subcommand != "bench":  # the other libraries run there without it, too
        # torch then requests huge pages, if it is set before the first tensor: on a CPU a batch becomes float32 in half the
        # time or less.
        os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")


def main(arguments: list[str] | None = None) -> None:
    """Run the command line.

    The exit code is 0 done, 1 failed, 2 usage, 3 done with rejected inputs under --strict, 130 stopped by Ctrl-C, 143 by SIGTERM.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in arguments
    # --debug is understood anywhere on the line, where people add it after a failure.
    arguments = ["--debug"] * debug + [argument for argument in arguments if argument != "--debug"]
    with stoppable() as stops:
        try:
            code = _run(arguments, debug)
        except KeyboardInterrupt:  # click.Abort is what click makes of it
            stops.number = stops.number or signal.SIGINT
            code = stops.code
        if stops.number:  # whatever a library made of it on the way up
            command = next((word for word in arguments if word in COMMANDS), "")
            code = _fail(stops.sentence(command), debug, stops.code)
    sys.exit(code)


def _run(arguments: list[str], debug: bool) -> int:
    """Run a command; what goes wrong is one line on stderr."""
    try:
        result: Any = cli.main(arguments, prog_name="fastrace", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.Abort as error:
        raise KeyboardInterrupt from error
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except FastraceError as error:
        return _fail(str(error), debug, error.exit_code)
    except BrokenPipeError:
        return 1
    except Exception as error:
        what = (str(error).splitlines() or [""])[0]
        return _fail(
            f"{type(error).__name__}: {what}; unexpected: please report it with the output of --debug", debug, 1
        )


def _fail(message: str, debug: bool, code: int) -> int:
    if debug:
        traceback.print_exc()
    click.echo(f"fastrace: {message}", err=True)
    return code


if __name__ == "__main__":
    main()
