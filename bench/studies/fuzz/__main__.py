"""`python -m fastrace.bench.studies.fuzz`."""

import sys

from fastrace.bench.studies.fuzz.run import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
