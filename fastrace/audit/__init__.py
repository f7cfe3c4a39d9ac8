"""The audit: is the attribute readable, and where in frequency, with controls that show whether to believe it.

``asked`` holds the options, ``protocol`` the experiments as data; ``features`` and ``networks`` are what a probe is given,
``probe`` reads it; ``tables`` passes over the images once; ``cells`` answers one experiment; ``locate`` says where;
``planted``, ``tabular`` and ``controls`` test the audit itself; ``document`` puts it into words; ``run`` does it all.
"""

from fastrace.audit.asked import Audit
from fastrace.audit.run import audit

__all__ = ["Audit", "audit"]
