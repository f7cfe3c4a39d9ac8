"""Stored values out of every lossless transfer syntax, by precision and sign: fastrace, pydicom with GDCM, and DCMTK.

Encoders are DCMTK's where it has one (JPEG, JPEG-LS, RLE), so that fastrace never decodes its own codec's output there;
JPEG 2000 and HTJ2K are OpenJPEG's and OpenJPH's through imagecodecs. GDCM runs in a process of its own: it can end the
interpreter, and importing fastrace puts another decoder before it in pydicom.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
from pydicom import uid
from pydicom.encaps import encapsulate

from fastrace.dicom import open_frames
from fastrace.errors import RejectedInput

from .image import write

ROWS, COLUMNS = 24, 31
VARIANTS = ((8, False), (8, True), (10, False), (12, False), (12, True), (14, True), (16, False), (16, True))
DECODERS = ("fastrace", "pydicom", "DCMTK")


@dataclass(frozen=True)
class Syntax:
    """A transfer syntax, who encodes it, and DCMTK's program that decodes it."""

    uid: uid.UID
    encoder: tuple[str, ...]
    decoder: str | None = None


SYNTAXES = {
    "JPEG Lossless, predictor 1": Syntax(uid.JPEGLosslessSV1, ("dcmcjpeg", "+e1"), "dcmdjpeg"),
    "JPEG Lossless, predictor 6": Syntax(uid.JPEGLossless, ("dcmcjpeg", "+el", "+sv", "6"), "dcmdjpeg"),
    "JPEG-LS": Syntax(uid.JPEGLSLossless, ("dcmcjpls", "+el"), "dcmdjpls"),
    "RLE": Syntax(uid.RLELossless, ("dcmcrle",), "dcmdrle"),
    "JPEG 2000": Syntax(uid.JPEG2000Lossless, ("imagecodecs",)),
    "HTJ2K": Syntax(uid.HTJ2KLossless, ("imagecodecs",)),
}

_PYDICOM = """
import sys, numpy, pydicom
for line in sys.stdin:
    path = line.strip()
    print(path, flush=True)
    ds = pydicom.dcmread(path)
    plugins = pydicom.pixels.get_decoder(ds.file_meta.TransferSyntaxUID).available_plugins
    if "gdcm" in plugins or "pydicom" in plugins:
        ds.pixel_array_options(decoding_plugin="gdcm" if "gdcm" in plugins else "pydicom")
        numpy.save(path + ".npy", ds.pixel_array)
    else:
        open(path + ".none", "w").close()
"""


def no_gdcm() -> str | None:
    """Return what to install where GDCM is missing."""
    return None if importlib.util.find_spec("gdcm") else "gdcm is missing: pip install python-gdcm"


def noise(bits: int, signed: bool) -> np.ndarray:
    """Return a gradient with noise over the whole range of the bits, its least and its largest value included, int64."""
    rng = np.random.default_rng(bits)
    values = (np.arange(ROWS * COLUMNS) * ((1 << bits) - 1) // (ROWS * COLUMNS - 1)).reshape(ROWS, COLUMNS)
    values = np.clip(values + rng.integers(-(1 << bits - 4), 1 << bits - 4, values.shape), 0, (1 << bits) - 1)
    values[0, 0], values[-1, -1] = 0, (1 << bits) - 1
    return values - (1 << bits - 1) if signed else values


def encode(syntax: Syntax, values: np.ndarray, bits: int, signed: bool, path: Path) -> Path:
    """Write the values compressed."""
    described = {
        "Rows": ROWS,
        "Columns": COLUMNS,
        "BitsAllocated": 8 if bits == 8 else 16,
        "BitsStored": bits,
        "PixelRepresentation": int(signed),
    }
    plain = write(path.with_suffix(".plain"), [int(v) for v in values.ravel()], described)
    if syntax.encoder[0] != "imagecodecs":
        subprocess.run([*syntax.encoder, str(plain), str(path)], check=True, capture_output=True, timeout=60)
        return path
    words = values.astype(f"{'i' if signed else 'u'}{1 if bits == 8 else 2}")
    if syntax.uid == uid.JPEG2000Lossless:
        stream = imagecodecs.jpeg2k_encode(words, level=0, codecformat="j2k", reversible=True, bitspersample=bits)
    else:
        stream = imagecodecs.htj2k_encode(words, reversible=True)
    ds = pydicom.dcmread(plain)
    ds.file_meta.TransferSyntaxUID = syntax.uid
    ds.PixelData = encapsulate([bytes(stream)])
    ds["PixelData"].VR = "OB"
    ds.save_as(path, enforce_file_format=True)
    return path


def decode() -> dict[tuple[str, str], list[str]]:
    """Return what each decoder makes of each variant: (syntax, decoder) -> one word per variant."""
    found: dict[tuple[str, str], list[str]] = {}
    with tempfile.TemporaryDirectory() as folder:
        files = {
            (name, variant): encode(syntax, noise(*variant), *variant, Path(folder) / f"{i}_{variant[0]}_{variant[1]}")
            for i, (name, syntax) in enumerate(SYNTAXES.items())
            for variant in VARIANTS
        }
        _run_pydicom(list(files.values()))
        for (name, variant), path in files.items():
            values = noise(*variant)
            for decoder, answer in zip(
                DECODERS, (_fastrace(path), _pydicom(path), _dcmtk(SYNTAXES[name], path)), strict=True
            ):
                found.setdefault((name, decoder), []).append(_judge(answer, values))
    return found


def _judge(answer: np.ndarray | str, values: np.ndarray) -> str:
    if isinstance(answer, str):
        return answer
    differing = int((answer.astype(np.int64) != values).sum())
    return "equal" if not differing else f"{differing} differ"


def _fastrace(path: Path) -> np.ndarray | str:
    try:
        frame = open_frames(path, voi="full").frame(0)
    except RejectedInput as error:
        return error.reason
    words = frame.display.words
    return words.values()[words.patterns(frame.pixels)]


def _run_pydicom(paths: list[Path]) -> None:
    """Decode all files in one process, and go on with the next one where it ends early."""
    while paths:
        listed = "\n".join(str(path) for path in paths)
        done = subprocess.run(
            [sys.executable, "-c", _PYDICOM], input=listed, capture_output=True, text=True, timeout=120
        )
        if done.returncode == 0:
            return
        reached = len(done.stdout.split())
        if not reached:
            raise RuntimeError(done.stderr)
        paths = paths[reached:]


def _pydicom(path: Path) -> np.ndarray | str:
    if Path(f"{path}.none").exists():
        return "no decoder"
    saved = Path(f"{path}.npy")
    return np.load(saved) if saved.exists() else "failed"


def _dcmtk(syntax: Syntax, path: Path) -> np.ndarray | str:
    if syntax.decoder is None:
        return "no decoder"
    plain = path.with_suffix(".decoded")
    done = subprocess.run([syntax.decoder, str(path), str(plain)], capture_output=True, timeout=60)
    return pydicom.dcmread(plain).pixel_array if done.returncode == 0 else "refused"


def render(found: dict[tuple[str, str], list[str]]) -> str:
    """Return the section of the page."""
    named = [f"{bits} {'signed' if signed else 'unsigned'}" for bits, signed in VARIANTS]
    lines = [
        "## Compressed transfer syntaxes",
        "",
        f"Stored values of {len(SYNTAXES) * len(VARIANTS)} images of {ROWS} x {COLUMNS} pixels over the range of their bits,",
        "against those that were encoded. DCMTK encodes where it can (JPEG Lossless, JPEG-LS, RLE), imagecodecs the others.",
        "pydicom decodes with GDCM, RLE by itself.",
        "",
        f"| syntax | decoder | {' | '.join(named)} |",
        f"|---|---|{'--:|' * len(VARIANTS)}",
    ]
    return (
        "\n".join([*lines, *(f"| {name} | {who} | {' | '.join(cells)} |" for (name, who), cells in found.items())])
        + "\n"
    )
