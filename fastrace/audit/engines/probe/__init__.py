"""The linear probe: ridge on features, cross-fitted over patients, with a permutation test that fits again."""

from fastrace.audit.engines.probe.probe import Probe
from fastrace.audit.engines.probe.ridge import Regressions
from fastrace.audit.engines.probe.scaling import standardise

__all__ = ["Probe", "Regressions", "standardise"]
