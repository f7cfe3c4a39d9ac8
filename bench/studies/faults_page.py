"""docs/faults.md: the fault matrix, the rules, and the memory of the parent, from bench/results/faults.json and memory.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_HEAD = """# Faults

`python -m fastrace.bench.studies.faults --write` made this page. Each fault was done to runs of the real command on an archive of
{files} small files in ten shards (one worker, {seconds:.0f} s undisturbed on a machine that was busy with other work); then the
same command ran to its end. *lost*: images of an undisturbed run that are missing; *duplicated*: images that are there twice;
*differing bytes*: of the whole output, sources table and contact sheet included; *complaints*: a wrong exit code or sentence, a
traceback, a process or a half-written file left, a stop that took ten seconds. Up to ten signals in a row hit one output. A try
counts if the fault came before the run had ended.
"""

_RULES = """## What happens

- **SIGTERM, Ctrl-C, the end of the terminal**: the run ends its workers, removes half-written files, frees the lock and says in
  one line how to go on; exit code 143, 130, 129. The same command goes on after the last finished shard.
- **SIGKILL, a power cut**: the workers end with the run, the open shard is lost. The same command removes what is half written.
- **A worker ends** (memory, a crash): another one reads the file again; after the second time the file is `decoder_crashed`.
- **A decoder hangs**: after 120 s and 1 s for each MB of the file, for at most 16 frames, its worker is ended and the file is
  `timeout`. The time stands while the run is stopped (Ctrl-Z).
- **No memory for a file, no permission to read it**: the file is `no_memory`, `unreadable`.
- **A file changes**: it is `changed` if it has another size or time of modification than at the scan, before or after it was
  read, or other first 64 KiB than when its first frames were read. The same command then refuses, since it is another archive;
  with the file put back it goes on.
- **Disk full, no permission to write**: one line, and half-written files are removed.
- **Two runs on one output**: the second is refused before it writes anything.
- **A shard, or a part in the private folder, is damaged**: the same command says so, and makes it and what follows again.

What was rejected as `unreadable`, `decoder_crashed`, `timeout`, `no_memory` or `changed` is read once more when the same command
runs again. If it can be read now, the dataset is made again from its shard on, since a file more moves the rows behind it. Before
that, shards are compared with their hashes: BLAKE2b takes {hash_seconds:.1f} s of a processor for each GB.
"""

_MEMORY = """## Memory of the parent

`python -m fastrace.bench.studies.memory`: largest resident set of the parent process over archives of files of {side} x {side}
pixels, {jobs} workers. What grows with the archive: the listing (32 bytes and the relative path for each file), the keys of the
images that were read (98 MB for a million) and of the patients, of each of whom the pass over headers keeps up to a
kilobyte. Here each file has a patient of its own.

| files | parent, MiB | seconds |
| --- | --- | --- |
"""


def page(result: Mapping[str, Any], memory: Mapping[str, Any]) -> str:
    """The page's Markdown."""
    names = ("fault", "tries", "lost", "duplicated", "differing_bytes", "complaints")
    matrix = [_line(name.replace("_", " ") for name in names), _line("---" for _ in names)]
    matrix += [_line(row[name] for name in names) for row in result["rows"]]
    text = _HEAD.format(files=result["files"], seconds=result["seconds_undisturbed"])
    text += "\n" + "\n".join(matrix) + "\n\n" + _RULES.format(hash_seconds=result["hash_seconds_per_gb"])
    if memory:
        text += "\n" + _MEMORY.format(side=memory["side_pixels"], jobs=memory["jobs"])
        for row in memory["rows"]:
            text += _line([f"{row['files']:,}", f"{row['parent_peak_mib']:.0f}", f"{row['seconds']:.0f}"]) + "\n"
    return text


def _line(cells: Any) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"
