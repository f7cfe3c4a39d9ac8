"""``python -m tests.conformance``: run all cases and write ``docs/conformance.md``."""

from __future__ import annotations

import sys

from . import compressed
from .page import MODULES, PAGE, render, run
from .readers import no_dcmtk

if absent := no_dcmtk() or compressed.no_gdcm():
    sys.exit(absent)
rows = {title: run(cases) for title, cases in MODULES.items()}
faults = [fault for listed in rows.values() for row in listed for fault in row.faults]
PAGE.write_text(render(rows) + "\n" + compressed.render(compressed.decode()))
sys.exit("\n".join(faults) or 0)
