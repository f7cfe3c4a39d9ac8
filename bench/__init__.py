"""Measurements against named peers: interleaved, with spread and error, losses shown (installed as `fastrace.bench`)."""

# One module each, with `rows(quick)`, in the order in which they are measured.
GROUPS: dict[str, tuple[str, ...]] = {
    "kernels": ("window", "bandpass", "sweep", "noise", "patches", "gather"),
    "decode": ("decode",),
    "stats": ("ranking",),
    "pipeline": ("pipeline",),
    "train": ("train",),
}
NAMES = tuple(name for names in GROUPS.values() for name in names)
# These together take less than a minute on two cores.
QUICK_NAMES = tuple(name for name in NAMES if name not in ("pipeline", "train"))
