"""The dataset's own README: what it is, how it was made, what was left out and why."""

from __future__ import annotations

from typing import Any

from fastrace.dataset import Dataset
from fastrace.dicom.notes import KINDS
from fastrace.errors import REASONS

_TEXT = """# A fastrace dataset

{indexed} images of {patients} patients, {height} x {width} pixels, {dtype} (display value 1 is stored as {scale}).
Made by fastrace {version} with preset `{modality}`: VOI `{voi}`, fit `{fit}`, crop `{crop}`, resize by {resize}.

| file | content |
|---|---|
| `images-*.npy` | pixels, [n, H, W]; `numpy.load(file, mmap_mode="r")` |
| `index.parquet` | one row per image; `shard` and `row` point to its pixels |
| `dataset.json` | recipe, counts, hashes, fingerprint `{fingerprint}` |

Patients, studies and images are named by keyed hashes; the key stays with the custodian. Ages above 89 read 90.

## Inputs

{inputs} files and frames were read from {files} files: {indexed} are in the dataset, {left_out} were left out.

| reason | n | meaning |
|---|---|---|
{reasons}

Of the images in the dataset, these were odd in their files and were read all the same (column `notes` of the index):

| note | n | meaning |
|---|---|---|
{notes}

## Labels

{labels}

Race in such tables is self-reported or recorded by a clerk; it is a social construct and a proxy, not biology.

## Use

Made for auditing imaging data and models by those who hold the data. Not for inferring the race of a person, not for
filling in missing race, not for decisions about individuals.
"""


def _voi(recipe: dict[str, Any]) -> str:
    named = [
        f"window {recipe['window']}" if one == "auto" and recipe["window"] is not None else one for one in recipe["voi"]
    ]
    return ", else ".join(named)


def datasheet(dataset: Dataset) -> str:
    """Markdown text of the dataset's README."""
    recipe, counts = dataset.meta["recipe"], dataset.meta["counts"]
    rejected = counts["rejected"]
    height, width = dataset.size
    reasons = [f"| {reason} | {count} | {REASONS[reason]} |" for reason, count in rejected.items()]
    labels = [f"- `{name}` ({facts['kind']})" for name, facts in dataset.meta["labels"].items()]
    notes = [f"| {kind} | {count} | {KINDS[kind]} |" for kind, count in counts["notes"].items()]
    return _TEXT.format(
        indexed=counts["indexed"],
        patients=counts["patients"],
        height=height,
        width=width,
        dtype=recipe["dtype"],
        scale=dataset.scale,
        version=dataset.meta["fastrace"],
        modality=recipe["modality"],
        voi=_voi(recipe),
        fit=recipe["fit"],
        crop=recipe["crop"],
        resize=recipe["resize"],
        fingerprint=dataset.fingerprint,
        inputs=counts["inputs"],
        files=counts["files"],
        left_out=sum(rejected.values()),
        reasons="\n".join(reasons) or "| none | 0 | |",
        notes="\n".join(notes) or "| none | 0 | |",
        labels="\n".join(labels) or "None were joined; header fields such as `sex` are in the index.",
    )
