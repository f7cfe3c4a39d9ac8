"""A synthetic DICOM archive with a leak of known size and place: the demo, the control and the load generator.

``spec`` says what is asked for; ``anatomy`` and ``texture`` compute the pixels; ``conventions`` are the ways in which
vendors store them; ``write`` makes the files; ``observer`` knows how well the leak can be read; ``archive`` puts them
together. No patient is behind any of it: the two groups are called "A" and "B" and mean nothing.
"""

from fastrace.phantom.archive import make, truth_path
from fastrace.phantom.observer import ideal_auc, observer_auc
from fastrace.phantom.spec import KINDS, MODALITIES, PhantomSpec

__all__ = ["KINDS", "MODALITIES", "PhantomSpec", "ideal_auc", "make", "observer_auc", "truth_path"]
