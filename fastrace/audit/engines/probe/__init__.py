"""The linear probe: ridge on features, cross-fitted over patients, with a permutation test that fits again."""

from fastrace.audit.engines.probe.probe import Probe
from fastrace.audit.engines.probe.ridge import Fit, Fits

__all__ = ["Fit", "Fits", "Probe"]
