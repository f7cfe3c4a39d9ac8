"""Controls, which must hold before anything is concluded, and baselines for comparison.

``permuted_labels`` and ``planted`` can fail, and then no conclusion is drawn; the others are shown. To add one: a file with
a function of `Material` that returns a `Control`, or None, and the function in `CONTROLS`.
"""

from __future__ import annotations

from fastrace.audit.controls import coverage, permuted_labels, planted, repeat, scanner, tabular
from fastrace.audit.controls.material import Material
from fastrace.audit.document import Control

CONTROLS = (
    permuted_labels.control, planted.control, repeat.control, coverage.control, tabular.acquisition, tabular.covariates,
    scanner.control,
)  # fmt: skip
"""In the order of the report."""


def run_controls(material: Material) -> tuple[Control, ...]:
    """All controls that have something to look at."""
    return tuple(found for control in CONTROLS if (found := control(material)) is not None)
