"""The dataset's own README: what it is, how it was made, what was left out and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastrace import __version__
from fastrace.dataset import SCALE
from fastrace.dicom.notes import KINDS
from fastrace.errors import REASONS
from fastrace.preprocess.vocabulary import REASONS as WITHHELD

_TEXT = """# A fastrace dataset

{indexed} images of {patients} patients, {height} x {width} pixels, {dtype} (display value 1 is stored as {scale}).
Made by fastrace {version} with preset `{modality}`: VOI `{voi}`, fit `{fit}`, crop `{crop}`,
resize by {resize}, decoding {decode}.

| file | content |
|---|---|
| `images-*.npy` | pixels, [n, H, W]; `numpy.load(file, mmap_mode="r")` |
| `index.parquet` | one row per image; `shard` and `row` point to its pixels |
| `dataset.json` | recipe, counts, digests of all files and the fingerprint; `fastrace verify` checks them |

Patients, studies, images and institutions are named by keyed hashes; the key stays with the custodian. Ages of
headers are whole years, those of the label table as they were given; above 89 they read 90. There is no date:
`days_since_first_study` counts from the patient's first study in this dataset. Rows are in the order of the files' paths: where
folders are named after patients, they are in the order of those names.

{persons}

## Inputs

{inputs} files and frames were read from {files} files: {indexed} are in the dataset, {left_out} were left out.

| reason | n | meaning |
|---|---|---|
{reasons}

Of the images in the dataset, these were odd in their files and were read all the same (column `notes` of the index):

| note | n | meaning |
|---|---|---|
{notes}

## Acquisition

Columns of the index that say how an image was taken, and the images for which the header holds them; the unit is the end of the
name, a window is in the values of its file.

| column | images |
|---|---|
{acquisition}

Texts of headers are in the index only where they are words of the standard or where several patients have them, cells of the
label table only where they repeat no name, number or date of their image's header and no id:

| column | left out, images | since |
|---|---|---|
{withheld}

{ethnic_group} images carry Ethnic Group (0010,2160) or its successors in their header. It was not read.

{burned_in} images say that text is burned into their pixels (Burned In Annotation (0028,0301) is YES), which may name somebody;
{recognizable} that somebody may be recognised in them (Recognizable Visual Features (0028,0302) is YES).

## Labels

{labels}

Race in such tables is self-reported or recorded by a clerk; it is a social construct and a proxy, not biology.

## Use

Made for auditing imaging data and models by those who hold the data. Not for inferring the race of a person, not for
filling in missing race, not for decisions about individuals.
"""


def _voi(recipe: Mapping[str, Any]) -> str:
    named = [
        f"window {recipe['window']}" if one == "auto" and recipe["window"] is not None else one for one in recipe["voi"]
    ]
    return ", else ".join(named)


def datasheet(
    recipe: Mapping[str, Any], counts: Mapping[str, Any], columns: Mapping[str, Any], persons: Sequence[str] = ()
) -> str:
    """Markdown text of the dataset's README; what it is made from is in dataset.json under the same names.

    Parameters
    ----------
    recipe, counts, columns : mapping
        ``columns`` are the label columns with their kinds.
    persons : sequence of str
        What gives reason to ask whether each patient is one person.
    """
    rejected = counts["rejected"]
    height, width = recipe["size"]
    reasons = [f"| {reason} | {count} | {REASONS[reason]} |" for reason, count in rejected.items()]
    labels = [f"- `{name}` ({facts['kind']})" for name, facts in columns.items()]
    notes = [f"| {kind} | {count} | {KINDS[kind]} |" for kind, count in counts["notes"].items()]
    acquisition = [f"| `{name}` | {images} |" for name, images in counts["acquisition"].items()]
    withheld = [
        f"| `{name}` | {count} | {WITHHELD[reason]} |"
        for name, found in counts["withheld"].items()
        for reason, count in found.items()
    ]
    return _TEXT.format(
        acquisition="\n".join(acquisition),
        persons="\n".join(f"- {line}" for line in persons)
        or "Nothing in headers and table says that a patient is not one person.",
        withheld="\n".join(withheld) or "| none | 0 | |",
        ethnic_group=counts["ethnic_group"],
        burned_in=counts["burned_in"],
        recognizable=counts["recognizable"],
        indexed=counts["indexed"],
        patients=counts["patients"],
        height=height,
        width=width,
        dtype=recipe["dtype"],
        scale=SCALE[recipe["dtype"]],
        version=__version__,
        modality=recipe["modality"],
        voi=_voi(recipe),
        fit=recipe["fit"],
        crop=recipe["crop"],
        resize=recipe["resize"],
        decode=recipe["decode"],
        inputs=counts["inputs"],
        files=counts["files"],
        left_out=sum(rejected.values()),
        reasons="\n".join(reasons) or "| none | 0 | |",
        notes="\n".join(notes) or "| none | 0 | |",
        labels="\n".join(labels) or "None were joined; header fields such as `sex` are in the index.",
    )
