"""`python -m fastrace.bench` is `fastrace bench`, for an environment whose commands are not on the path."""

import runpy
import sys

if __name__ == "__main__":
    sys.argv[1:1] = ["bench"]
    runpy.run_module("fastrace.cli", run_name="__main__", alter_sys=True)
