"""Whatever a file claims: memory and time are bounded before they are spent, and the image is read where it is there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicom_files import encode, smooth, write
from hostile_files import HOSTILE, nested
from hypothesis import given
from hypothesis import strategies as st
from pydicom import uid

from fastrace.dicom import deflated, open_frames
from fastrace.dicom.bounds import LEAST_MEMORY, check_structure, memory_limit
from fastrace.dicom.deflated import Inflating
from fastrace.errors import RejectedInput

# The reader in a process with a limit of its own, and how much it took at its peak, above its base.
READER = """
import json, resource, sys, time
from pathlib import Path
from fastrace.dicom import open_frames
from fastrace.errors import RejectedInput
from fastrace.execute.limits import limit_memory

def peak():
    return next(int(line.split()[1]) >> 10 for line in open("/proc/self/status") if line.startswith("VmHWM:"))

limit_memory(1 << 30)
for path in map(Path, json.loads(sys.stdin.read())):
    before, started = peak(), time.process_time()
    try:
        found = ["read", str(open_frames(path).frame(0).pixels.shape)]
    except RejectedInput as error:
        found = [error.reason, error.message]
    print(json.dumps([path.name, *found, peak() - before, time.process_time() - started]))
"""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, str, int, float]]:
    """Name -> reason, message, MiB above what came before, seconds."""
    folder = tmp_path_factory.mktemp("hostile")
    for name, (make, _, _) in HOSTILE.items():
        make(folder / name)
    paths = json.dumps([str(folder / name) for name in HOSTILE])
    done = subprocess.run([sys.executable, "-c", READER], input=paths, capture_output=True, text=True, check=True)
    return {name: tuple(rest) for name, *rest in map(json.loads, done.stdout.splitlines())}  # type: ignore[misc]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_file_that_claims_much_costs_little(name: str, outcomes: dict[str, tuple[str, str, int, float]]) -> None:
    _, expected, part = HOSTILE[name]
    reason, message, mebibytes, seconds = outcomes[name]
    assert reason == (expected or "read"), message
    assert part in message
    assert mebibytes < 200
    assert seconds < 10


def test_a_tiff_of_60000_samples_is_refused(cases: Path) -> None:
    with pytest.raises(RejectedInput, match="60000 samples"):
        open_frames(cases / "hostile" / "tiff_spp60000.tif")


def test_a_sequence_in_place_of_a_number_is_a_bad_header(cases: Path) -> None:
    with pytest.raises(RejectedInput, match=r"\(0028,0101\)") as caught:
        open_frames(cases / "hostile" / "fuzz_2103.bin")
    assert caught.value.reason == "bad_header"


def test_sequences_of_defined_length_may_be_nested_as_nobody_looks_into_them(tmp_path: Path) -> None:
    nested(tmp_path / "image", defined=True)
    assert open_frames(tmp_path / "image").frame(0).pixels.shape == (24, 31)


def test_the_limit_grows_with_max_pixels_and_holds_a_raw_frame_of_them() -> None:
    assert memory_limit(1 << 28) == LEAST_MEMORY == 1 << 30
    for max_pixels in (1, 1 << 28, 1 << 30):
        assert memory_limit(max_pixels) >= 2 * max_pixels + (1 << 28)


def test_usual_codestreams_keep_below_the_bounds_of_their_structure() -> None:
    for syntax in (uid.JPEG2000Lossless, uid.HTJ2KLossless, uid.JPEGLosslessSV1, uid.JPEGLSLossless):
        check_structure(encode(syntax, smooth(300, 400), 12))


CONTENT = np.random.default_rng(0).integers(0, 50, 300_000, np.uint8).tobytes()
META = b"meta information"


@given(reads=st.lists(st.tuples(st.integers(0, 310_000), st.integers(0, 150_000)), min_size=1, max_size=8))
def test_a_deflated_file_reads_like_the_file_it_was_made_of(
    reads: list[tuple[int, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "deflated"
    if not path.exists():
        packer = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
        path.write_bytes(b"other" + packer.compress(CONTENT) + packer.flush() + b"padding")
    file = Inflating(path, 5, META)
    for offset, count in reads:
        buffer = np.zeros(count, np.uint8)
        expected = (META + CONTENT)[offset : offset + count]
        assert file.read_at(offset, buffer) == len(expected)
        assert buffer[: len(expected)].tobytes() == expected


def test_a_length_in_a_deflated_file_does_not_make_it_inflate_for_a_minute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fuzz run met a length of 15 GB in a sparse file of gigabytes: 43 s of a processor to see that it ends too early."""
    monkeypatch.setattr(deflated, "LARGEST_INFLATED", 1 << 20)
    packer = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
    (tmp_path / "file").write_bytes(packer.compress(bytes(4 << 20)) + packer.flush())
    file = Inflating(tmp_path / "file", 0, META)
    assert file.read_at(1 << 19, np.zeros(100, np.uint8)) == 100
    with pytest.raises(RejectedInput, match="holds more than 1 MiB: write it without deflation"):
        file.read_at(3 << 20, np.zeros(100, np.uint8))


def test_a_header_of_megabytes_is_read(tmp_path: Path) -> None:
    """Per-frame groups of 3,000 frames, with the window of each."""
    from pydicom import dcmread
    from pydicom.dataset import Dataset

    values = np.stack([smooth(8, 9, seed=seed % 5) for seed in range(3000)])
    path = write(tmp_path / "image", values)
    ds = dcmread(path)
    groups = []
    for number in range(3000):
        group, window, content = Dataset(), Dataset(), Dataset()
        window.WindowCenter, window.WindowWidth, content.FrameComments = number, 400, "x" * 500
        group.FrameVOILUTSequence, group.FrameContentSequence = [window], [content]
        groups.append(group)
    for undefined in (False, True):
        for group in groups:
            group.is_undefined_length_sequence_item = undefined
        ds.PerFrameFunctionalGroupsSequence = groups
        ds.save_as(path)
        frame: Any = open_frames(path).frame(2999)
        assert (frame.display.voi.center, frame.display.voi_source) == (2999, "window_1")
    assert os.path.getsize(path) > 2 << 20
