"""``python -m tests.conformance``: run all cases and write ``docs/conformance.md``."""

from __future__ import annotations

import sys

from .page import MODULES, PAGE, render, run
from .readers import NO_DCMTK, versions

if versions()["DCMTK"] == "missing":
    sys.exit(NO_DCMTK)
rows = {title: run(cases) for title, cases in MODULES.items()}
faults = [fault for listed in rows.values() for row in listed for fault in row.faults]
PAGE.write_text(render(rows))
sys.exit("\n".join(faults) or 0)
