"""The four programs, each used as its documentation says: a file and a frame -> display values in 16-bit steps.

fastrace      `open_frames`, then the window kernel at the image's own size: what a dataset would hold
pydicom       `apply_modality_lut`, `apply_voi_lut`, `apply_presentation_lut`
highdicom     `Image.get_frame` with its default output range 0 to 1; real-world values are not for display
DCMTK         ``dcmj2pnm`` as a process, 16 bits, overlays hidden, the first VOI LUT or the first window of the file

pydicom and highdicom return the output of the modality transform where there is no VOI, and pydicom scales windows to it:
it is divided by the range that the stored bits can express, as C.11.6.1 says of the range of the preceding step.
"""

from __future__ import annotations

import shutil
import subprocess
import warnings
from pathlib import Path

import highdicom
import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.pixels import apply_modality_lut, apply_presentation_lut, apply_voi_lut

from fastrace.dicom import open_frames
from fastrace.errors import RejectedInput

from .case import Case

WHITE = 65535


class NoImage(Exception):
    """A program shows nothing; the text is what it says."""


def ours(path: Path, case: Case) -> np.ndarray:
    """Return what fastrace would store at the image's own size."""
    from fastrace.kernels.window import window

    try:
        frame = open_frames(path, voi=case.voi).frame(case.number - 1)
    except RejectedInput as error:
        raise NoImage(error.reason) from None
    return window([frame.pixels], [frame.transfer]).numpy()[0].astype(np.float64)


def with_pydicom(path: Path, case: Case) -> np.ndarray:
    """Return the output of pydicom's three functions, scaled from its range."""
    ds = pydicom.dcmread(path)
    try:
        pixels = ds.pixel_array
        if ds.get("NumberOfFrames", 1) > 1:
            pixels = pixels[case.number - 1]
        outputs = apply_modality_lut(pixels, ds)
        shown = apply_voi_lut(outputs, ds)
        low, high = (0, 2 ** ds.VOILUTSequence[0].LUTDescriptor[2] - 1) if _has_lut(ds) else _range(ds, ds)
        inverted = ds.get("PresentationLUTShape", "").strip().upper() == "INVERSE"
        shown = apply_presentation_lut(shown, ds).astype(np.float64)
    except Exception as error:  # whatever a library raises is its answer
        raise NoImage(_name(error)) from error
    return _grey((shown - (0 if inverted else low)) / (high - low) * WHITE)


def with_highdicom(path: Path, case: Case) -> np.ndarray:
    """Return highdicom's frame with every grayscale transform of the file."""
    try:
        image = highdicom.imread(path)
        shown = image.get_frame(
            case.number,
            apply_real_world_transform=False,
            apply_modality_transform=None,
            apply_voi_transform=None,
            apply_presentation_lut=True,
        )
    except Exception as error:
        raise NoImage(_name(error)) from error
    low, high = (0, 1) if _has_voi(image) else _range(image, _rescale(image))
    return _grey((shown.astype(np.float64) - low) / (high - low) * WHITE)


def with_dcmtk(path: Path, case: Case) -> np.ndarray:
    """Return the 16-bit output of dcmj2pnm."""
    ds = pydicom.dcmread(path, stop_before_pixels=True)
    voi = ["+Wl", "1"] if _has_lut(ds) else ["+Wi", "1"] if ds.get("WindowCenter") is not None else []
    options = ["-q", "-O", *voi, "+opw", "+F", str(case.number)]
    done = subprocess.run(["dcmj2pnm", *options, str(path)], capture_output=True, timeout=60)
    words = done.stdout.decode("ascii", "replace").split()
    if done.returncode or not words:
        raise NoImage("no output")
    columns, rows, largest = (int(word) for word in words[1:4])
    samples = 3 if words[0] == "P3" else 1
    return _grey(
        np.array(words[4:], np.float64).reshape(rows, columns, samples).squeeze(2 if samples == 1 else ())
        / largest
        * WHITE
    )


def no_dcmtk() -> str | None:
    """Return what to install where DCMTK is missing."""
    return None if shutil.which("dcmj2pnm") else "dcmj2pnm is missing: apt install dcmtk"


def versions() -> dict[str, str]:
    """Return the versions of the other programs."""
    said = subprocess.run(["dcmj2pnm", "--version"], capture_output=True, text=True, timeout=60).stdout
    dcmtk = said.split("dcmj2pnm v")[1].split()[0]
    return {"pydicom": pydicom.__version__, "highdicom": highdicom.__version__, "DCMTK": dcmtk}


def _has_lut(ds: Dataset) -> bool:
    first = ds.VOILUTSequence[0] if ds.get("VOILUTSequence") else Dataset()
    return "LUTDescriptor" in first and first.get("LUTData") is not None


def _has_voi(ds: Dataset) -> bool:
    scopes = [ds, *_groups(ds)]
    frames = [item for scope in scopes for item in scope.get("FrameVOILUTSequence", [])]
    return "VOILUTSequence" in ds or any("WindowCenter" in scope for scope in (ds, *frames))


def _groups(ds: Dataset) -> list[Dataset]:
    return [*ds.get("SharedFunctionalGroupsSequence", []), *ds.get("PerFrameFunctionalGroupsSequence", [])]


def _rescale(ds: Dataset) -> Dataset:
    found = [item for scope in _groups(ds) for item in scope.get("PixelValueTransformationSequence", [])]
    return found[0] if found else ds


def _range(ds: Dataset, rescale: Dataset) -> tuple[float, float]:
    """Return what the modality transform makes of the ends of the stored range."""
    if ds.get("ModalityLUTSequence"):
        return 0, 2 ** ds.ModalityLUTSequence[0].LUTDescriptor[2] - 1
    low = -(2 ** (ds.BitsStored - 1)) if ds.PixelRepresentation else 0
    high = low + 2**ds.BitsStored - 1
    if "RescaleSlope" not in rescale or "RescaleIntercept" not in rescale:  # pydicom then applies neither
        return low, high
    ends = sorted(float(rescale.RescaleSlope) * end + float(rescale.RescaleIntercept) for end in (low, high))
    return ends[0], max(ends[1], ends[0] + 1)  # slope 0 has no range


def _grey(shown: np.ndarray) -> np.ndarray:
    """Take equal channels for grey."""
    if shown.ndim < 3:
        return shown
    if (shown != shown[..., :1]).any():
        raise NoImage("colour")
    return shown[..., 0]


def _name(error: Exception) -> str:
    kind = type(error)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"


PROGRAMS = {"fastrace": ours, "pydicom": with_pydicom, "highdicom": with_highdicom, "DCMTK": with_dcmtk}


def read(program: str, path: Path, case: Case) -> np.ndarray | str:
    """Return a program's display values as one row of 16-bit steps, or what it says instead."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the libraries warn of what the cases are made of
        try:
            return np.asarray(PROGRAMS[program](path, case)).reshape(-1)
        except NoImage as said:
            return str(said)
