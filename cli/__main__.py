"""`python -m fastrace.cli` is the command `fastrace`."""

from fastrace.cli.main import main

main()
