"""The faults of `fastrace.bench.studies.faults`: each does one thing to a run of the command, and says what was wrong then."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

_COMMAND = (sys.executable, "-m", "fastrace.cli")
_FAULTY = (sys.executable, "-m", "fastrace.bench.studies.faulty_codec")
_ROWS_PER_SHARD = 32  # ten shards and parts, so that a moment falls between two of them
_WAIT_SECONDS = 300
_PR_CAPBSET_DROP, _CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH = 24, 1, 2


@dataclass
class Stage:
    """One output folder on which faults are tried."""

    archive: Path
    out: Path
    salt: Path
    seconds: float  # of an undisturbed run
    random: np.random.Generator
    jobs: int = 1
    complaints: list[str] = field(default_factory=list)
    undo: ExitStack = field(default_factory=ExitStack)  # what must be undone when the output has been compared

    @property
    def private(self) -> Path:
        """The private folder."""
        return self.out.with_name(self.out.name + ".private")

    def start(
        self,
        program: tuple[str, ...] = _COMMAND,
        environment: Mapping[str, str] | None = None,
        *,
        limited: bool = False,
    ) -> subprocess.Popen[str]:
        """Start the command in a process group of its own; ``limited``: without root's power over permissions."""
        words = ["preprocess", self.archive, "--labels", self.archive.parent / "labels.csv", "--modality", "any"]
        words += ["--size", "16x16", "--jobs", self.jobs, "--rows-per-shard", _ROWS_PER_SHARD]
        words += ["--salt", self.salt, "--out", self.out]
        return subprocess.Popen(
            [*program, *map(str, words)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
            preexec_fn=_without_override if limited else None,
        )

    def finish(self) -> None:
        """Run the command to its end."""
        process = self.start()
        _, errors = process.communicate(timeout=_WAIT_SECONDS)
        self.expect(process.returncode == 0, f"the command ended with {process.returncode}: {errors[-300:]}")

    def expect(self, holds: bool, otherwise: str) -> None:
        """Note what is wrong."""
        if not holds:
            self.complaints.append(otherwise)

    def random_moment(self) -> None:
        """Sleep until a moment of the run."""
        time.sleep(float(self.random.uniform(0.0, self.seconds)))

    def leftovers(self) -> list[str]:
        """Half-written files."""
        folders = (self.out, self.private, self.private / "parts")
        return [str(file) for folder in folders for file in folder.glob("*.part")]


def _without_override() -> None:
    """In the child before it becomes the command: root may then read and write only what its permissions grant."""
    libc = ctypes.CDLL(None)
    for capability in (_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH):
        libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)


def family(pid: int) -> list[int]:
    """The living processes of a session, but for its first."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != pid:
            try:
                state, _, _, session = (entry / "stat").read_text().rsplit(")", 1)[1].split()[:4]
            except OSError:
                continue
            if int(session) == pid and state != "Z":
                found.append(int(entry.name))
    return found


def killed(stage: Stage) -> bool:
    """SIGKILL to the command alone: its workers must end by themselves, within a second."""
    return _signalled(stage, signal.SIGKILL)


def terminated(stage: Stage) -> bool:
    """SIGTERM to the command alone."""
    return _signalled(stage, signal.SIGTERM)


def interrupted(stage: Stage) -> bool:
    """SIGINT to the process group, as Ctrl-C of a terminal."""
    return _signalled(stage, signal.SIGINT)


def _signalled(stage: Stage, number: signal.Signals) -> bool:
    process = stage.start()
    stage.random_moment()
    if process.poll() is not None:
        process.communicate()
        return False  # it had ended
    if number == signal.SIGINT:
        os.killpg(process.pid, number)
    else:
        os.kill(process.pid, number)
    sent = time.monotonic()
    process.wait(_WAIT_SECONDS)
    took = time.monotonic() - sent
    gone = time.monotonic() + 5
    while (alive := family(process.pid)) and time.monotonic() < gone:
        time.sleep(0.01)
    _, errors = process.communicate()
    stage.expect(not alive, f"{number.name}: {len(alive)} processes were left")
    if number == signal.SIGKILL:
        return True
    if process.returncode == -number and "fastrace:" not in errors:
        return True  # in the first tenth of a second, before Python had come to the command
    if process.returncode == 0:
        return False  # it had ended, but for the last line
    stage.expect(process.returncode == 128 + number, f"{number.name}: exit code {process.returncode}: {errors[-300:]}")
    said = [line for line in errors.splitlines() if "the same command goes on" in line]
    stage.expect(len(said) == 1, f"{number.name}: {len(said)} lines said how to go on: {errors[-300:]}")
    stage.expect("Traceback" not in errors, f"{number.name}: a traceback: {errors[-600:]}")
    stage.expect(not stage.leftovers(), f"{number.name}: left {stage.leftovers()}")
    stage.expect(took < 10, f"{number.name}: took {took:.1f} s")
    return True


def worker_killed(stage: Stage) -> bool:
    """SIGKILL to a worker, as by a kernel out of memory: the run goes on and ends itself."""
    process = stage.start()
    stage.random_moment()
    # The first process of the session besides the command tracks resources of multiprocessing; workers come after it.
    workers = [pid for pid in family(process.pid) if "spawn_main" in _command_line(pid)]
    for pid in workers[:1]:
        os.kill(pid, signal.SIGKILL)
    _, errors = process.communicate(timeout=_WAIT_SECONDS)
    stage.expect(process.returncode == 0, f"a worker was killed: exit code {process.returncode}: {errors[-300:]}")
    return bool(workers)


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def faulty_codec(kind: str, reason: str) -> Callable[[Stage], bool]:
    """A codec that fails at one file while the fault lasts; the file is rejected by ``reason``, and the others are read."""

    def fault(stage: Stage) -> bool:
        files = sorted(stage.archive.rglob("IM*"))
        name = files[int(stage.random.integers(len(files)))].name
        process = stage.start(_FAULTY, {"FAULT": kind, "FAULT_FILE": name})
        printed, errors = process.communicate(timeout=_WAIT_SECONDS)
        stage.expect(process.returncode == 0, f"{kind}: exit code {process.returncode}: {errors[-300:]}")
        stage.expect(f" 1 {reason}, for example" in printed, f"{kind}: not rejected as {reason}: {printed[-300:]}")
        return True

    return fault


def disk_full(stage: Stage) -> bool:
    """The file system of the output is filled by something else at a random moment. Needs root, to mount one."""
    place = str(stage.out.parent)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", place], check=True)
    stage.undo.callback(subprocess.run, ["umount", "-l", place], check=True)
    process = stage.start()
    stage.random_moment()
    ballast = stage.out.parent / "ballast"
    with ballast.open("wb", buffering=0) as file:
        while process.poll() is None:
            with suppress(OSError):
                file.write(bytes(4096))
            if shutil.disk_usage(place).free == 0:
                time.sleep(0.01)
    _, errors = process.communicate()
    ballast.unlink()
    if process.returncode == 0:
        return False  # it had ended
    stage.expect("No space left on device" in errors or "GB free; make room" in errors, f"disk full: {errors[-300:]}")
    stage.expect("Traceback" not in errors, f"disk full: {errors[-600:]}")
    stage.expect(not stage.leftovers(), f"disk full: left {stage.leftovers()}")
    return True


def output_closed(stage: Stage) -> bool:
    """The permission to write into the output is taken away at a random moment."""
    process = stage.start(limited=True)
    stage.random_moment()
    closed = [folder for folder in (stage.out, stage.private / "parts") if folder.is_dir()]
    before = [folder.stat().st_mode & 0o777 for folder in closed]
    for folder in closed:
        folder.chmod(0o500)
    _, errors = process.communicate(timeout=_WAIT_SECONDS)
    for folder, mode in zip(closed, before, strict=True):
        folder.chmod(mode)
    if process.returncode == 0:
        return False  # everything had been written
    stage.expect("Permission denied" in errors, f"permission lost: {errors[-300:]}")
    stage.expect("Traceback" not in errors, f"permission lost: {errors[-600:]}")
    return bool(closed)


def input_closed(stage: Stage) -> bool:
    """The permission to read some files is taken away at a random moment, and given back when the run has ended."""
    process = stage.start(limited=True)
    stage.random_moment()
    files = sorted(stage.archive.rglob("IM*"))[::7]
    for file in files:
        file.chmod(0)
    printed, errors = process.communicate(timeout=_WAIT_SECONDS)
    for file in files:
        file.chmod(0o644)
    stage.expect(process.returncode == 0, f"files closed: exit code {process.returncode}: {errors[-300:]}")
    return "unreadable, for example" in printed


def changed(stage: Stage) -> bool:
    """A file is written after the scan; afterwards it is put back as it was, its time included."""
    file = sorted(stage.archive.rglob("IM*"))[int(stage.random.integers(-20, 0))]
    content, status = file.read_bytes(), file.stat()
    process = stage.start()
    until = time.monotonic() + _WAIT_SECONDS
    while process.poll() is None and not (stage.private / "state.json").is_file() and time.monotonic() < until:
        time.sleep(0.001)  # it is written after the scan
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    printed, _ = process.communicate(timeout=_WAIT_SECONDS)
    stage.expect(" 1 changed, for example" in printed, f"changed: {printed[-300:]}")
    second = stage.start()
    _, errors = second.communicate(timeout=_WAIT_SECONDS)
    stage.expect(second.returncode == 1 and "the archive" in errors, f"changed, run again: {errors[-300:]}")
    file.write_bytes(content)
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    return True


def two_runs(stage: Stage) -> bool:
    """Two runs of one command at once: one is refused, the other ends."""
    processes = [stage.start() for _ in range(2)]
    ends = [process.communicate(timeout=_WAIT_SECONDS)[1] for process in processes]
    codes = sorted(process.returncode for process in processes)
    stage.expect(codes == [0, 1], f"two runs: exit codes {codes}: {ends}")
    stage.expect(any("another fastrace preprocess is writing" in errors for errors in ends), f"two runs: {ends}")
    return True


def damaged_shard(stage: Stage) -> bool:
    """A byte of a finished shard changes."""
    return _damaged(stage, sorted(stage.out.glob("images-*.npy")), flip=True)


def damaged_part(stage: Stage) -> bool:
    """A part is cut short."""
    return _damaged(stage, sorted((stage.private / "parts").glob("part-*.parquet")), flip=False)


def _damaged(stage: Stage, files: list[Path], *, flip: bool) -> bool:
    if not files:
        stage.finish()
        return False
    file = files[int(stage.random.integers(len(files)))]
    content = bytearray(file.read_bytes())
    place = int(stage.random.integers(128, len(content)))
    if flip:
        content[place] ^= 1
    file.write_bytes(content if flip else content[:place])
    process = stage.start()
    _, errors = process.communicate(timeout=_WAIT_SECONDS)
    stage.expect("made again from there" in errors, f"damage was not said: {errors[-300:]}")
    return True
