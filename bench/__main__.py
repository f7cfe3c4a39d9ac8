"""`python -m fastrace.bench [NAME...] [--quick] [--write]`: what `fastrace bench` does, and what it cannot do: --write.

`--write` puts the rows, with the machine they were measured on, into bench/results (cpu.json, cpu.md) and the rows that
have a target into README.md; only in a checkout. The last line printed is the rows as one JSON document.
"""

from __future__ import annotations

import json
import sys

from fastrace.bench.run import ours_wrong, require_checkout, run, write
from fastrace.bench.table import terminal
from fastrace.errors import FastraceError, UsageError

OPTIONS = {"--quick", "--write"}


def main(arguments: list[str]) -> int:
    """Measure and print."""
    try:
        options = {argument for argument in arguments if argument.startswith("-")}
        if options - OPTIONS:
            raise UsageError(
                f"no option {', '.join(sorted(options - OPTIONS))}; there are {', '.join(sorted(OPTIONS))}"
            )
        if options == OPTIONS:
            raise UsageError("--write keeps a full run: leave out --quick")
        if "--write" in options:
            require_checkout()
        names = [argument for argument in arguments if argument not in options]
        document = run(names, "--quick" in options, lambda line: print(f"bench: {line}", file=sys.stderr, flush=True))
    except FastraceError as error:
        print(f"bench: {error}", file=sys.stderr)
        return error.exit_code
    print(terminal(document))
    print(json.dumps(document["rows"], allow_nan=False))
    if "--write" in options:
        write(document)
    return 1 if ours_wrong(document) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
