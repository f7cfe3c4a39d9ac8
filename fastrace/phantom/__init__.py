"""A synthetic DICOM archive with a leak of known size and place: the demo, the control and the load generator.

``spec`` is the request; ``anatomy``, ``texture`` and ``leaks`` compute the pixels; ``confounders`` and ``patients``
make the patients; ``conventions`` are the ways in which vendors store images; ``render`` puts an image together, in memory;
``write`` and ``archive`` make the files; ``observer`` and ``detector`` give the AUC at which the leak can be read, before and
after display; ``record`` is the truth. No data of patients are used: the two groups are called "A" and "B" and mean nothing.
"""

from fastrace.phantom.archive import make, truth_path
from fastrace.phantom.detector import observer_auc
from fastrace.phantom.observer import ideal_auc
from fastrace.phantom.record import Record, truth
from fastrace.phantom.render import PhantomImages, Rendered, images, render, sample, stand_in
from fastrace.phantom.spec import CONFOUNDERS, DEFAULT_STRENGTH, KINDS, PHANTOMS, PhantomSpec

__all__ = [
    "CONFOUNDERS",
    "DEFAULT_STRENGTH",
    "KINDS",
    "PHANTOMS",
    "PhantomImages",
    "PhantomSpec",
    "Record",
    "Rendered",
    "ideal_auc",
    "images",
    "make",
    "observer_auc",
    "render",
    "sample",
    "stand_in",
    "truth",
    "truth_path",
]
