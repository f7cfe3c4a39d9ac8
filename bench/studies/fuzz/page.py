"""docs/fuzz.md of the statistics."""

from __future__ import annotations

from typing import Any


def page(found: dict[str, Any]) -> str:
    """Return the page as Markdown."""
    rate = found["files"] / max(1e-9, found["seconds"])
    lines = [
        "# Damaged files on purpose",
        "",
        "`python -m fastrace.bench.studies.fuzz --seconds 3600 --data FOLDER --write` made this page. Each file is made from a",
        f"whole one ({found['seeds']}: real ones of the test data, and small ones of every syntax and container) by one to four",
        "changes where its format is: elements, lengths, VRs, nesting, items and offset tables of DICOM; markers of JPEG and",
        "JPEG 2000; chunks of PNG; tags of TIFF; deflate; sparse files of gigabytes. It is read as a worker of",
        "`fastrace preprocess` reads it. A finding would be: a process that ends, an exception that is no rejection, no answer",
        "within 10 s, or a planted name in a message or in the index.",
        "",
        "| | |",
        "|---|---|",
        f"| files | {found['files']} in {found['seconds']:.0f} s ({rate:.0f} a second), random seed {found['seed']} |",
        f"| findings | {len(found['findings'])} |",
        f"| decoded | {found['decoded_files']} files, {found['decoded_frames']} frames |",
        f"| peak memory above the base | {found['peak_bytes'] / (1 << 20):.0f} MiB (limit 1024 MiB) |",
        f"| slowest | {found['slowest'][0]['seconds'] if found['slowest'] else 0:.2f} s |",
        f"| files at which a library printed something, which workers drop | {found['printed_files']} |",
        "",
        "| rejected as | files |",
        "|---|---|",
        *(f"| {reason} | {count} |" for reason, count in found["reasons"].items()),
        "",
        "| change | files |",
        "|---|---|",
        *(f"| {mutator} | {count} |" for mutator, count in found["mutators"].items()),
        "",
    ]
    if found["findings"]:
        lines += ["| finding | file | from | changes |", "|---|---|---|---|"]
        lines += [
            f"| {one['what']} | {one['number']} | {one['seed']} | {', '.join(one['mutators'])} |"
            for one in found["findings"][:100]
        ]
        lines.append("")
    return "\n".join(lines)
