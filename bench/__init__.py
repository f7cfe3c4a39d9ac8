"""Measurements against named peers: interleaved, with spread and error, losses shown (installed as `fastrace.bench`)."""

# One module each, with `rows(quick)`. The quick ones together take less than a minute on two cores.
NAMES = ("window", "bandpass", "noise", "decode", "ranking", "pipeline")
QUICK_NAMES = ("window", "bandpass", "noise", "decode", "ranking")
