"""Every error fastrace raises on purpose, on one screen.

A message names the file, the attribute (keyword and tag), the value, what was expected and what to do next. It is written
where the fact is known and printed once, by the command line, without a traceback (``--debug`` shows it).
"""

from __future__ import annotations

REASONS: dict[str, str] = {
    "unreadable": "the file cannot be opened or read",
    "empty": "the file has no bytes",
    "not_an_image": "neither DICOM nor PNG, JPEG or TIFF",
    "packed": "a ZIP, tar, gzip or other archive: unpack it, and name the folder with its files",
    "truncated": "the file or its pixel data ends too early",
    "bad_header": "a header attribute is missing, malformed or contradicts another",
    "other_object": "an object that is no image of a patient: segmentation, dose, report, presentation state, document, ...",
    "no_pixel_data": "a DICOM object without image pixels",
    "too_large": "the header claims more pixels than --max-pixels allows",
    "color": "colour images carry no single intensity to window",
    "float_pixels": "Float Pixel Data has no stored integer values to window",
    "unsupported_bits": "a bit depth that is not read",
    "unknown_syntax": "an unknown transfer syntax",
    "decode_failed": "the compressed pixel data is damaged or not decodable",
    "decoder_crashed": "reading it ended in a way that was not foreseen: a crash of the decoder, or a mistake of fastrace",
    "timeout": "the decoder did not come to an end with this file",
    "no_memory": "memory did not suffice to read it",
    "changed": "the file was changed after the scan or while it was read",
    "bad_window": "the requested or stored window is not a valid one",
    "not_hu": "the preset's window is in HU, and its values are not known to be",
    "constant": "all pixels are equal: nothing to see",
    "other_modality": "not of the modality of the preset",
    "other_body_part": "not of the body part of the preset",
    "other_view": "not a view that the preset keeps",
    "other_intent": "not of the presentation intent that is kept (FOR PROCESSING is not what a reader sees)",
    "dose_report": "a picture of a table of doses",
    "quality_control": "of a phantom or of nothing, to test the device",
    "localizer": "a scout of a scan",
    "screen_capture": "a picture of a screen or a document",
    "specimen": "tissue that was taken out",
    "biopsy": "taken to guide a needle: stereotactic pairs, before and after firing",
    "tomosynthesis": "projections or slices of tomosynthesis",
    "synthetic": "a 2D view computed from tomosynthesis",
    "contrast": "contrast-enhanced mammography: low or high energy, or their difference",
    "derived": "computed from other images: projections, reformats, averages, differences, masks, crops",
    "spot_or_magnification": "a part of the breast, compressed or magnified",
    "partial_view": "a part of a breast that is larger than the detector",
    "implant": "a breast with an implant, in the image or displaced",
    "no_label": "no row of the label table belongs to it",
    "contradictory_label": "the label table gives it two different labels",
    "ambiguous_label": "a row of the label table fits several images: none of them gets its label",
    "ambiguous_patient": "a row of the label table, by study or accession, fits images of several patients: none gets its label",
    "no_patient": "no patient identifier in file or table",
    "duplicate": "the same image was already read from another file",
    "duplicate_other_pixels": "files share a SOP Instance UID and hold different pixels: none of them is used",
    "duplicate_other_patient": "files share a SOP Instance UID and pixels and name different patients: none of them is used",
}

# Reasons that lie in the machine as often as in the file: the same command reads these files again.
READ_AGAIN = frozenset({"unreadable", "decoder_crashed", "timeout", "no_memory", "changed"})


class FastraceError(Exception):
    """Base of all; the command line prints it as one line and exits with ``exit_code``."""

    exit_code = 1


class UsageError(FastraceError):
    """An option, a column or a value that cannot be used as given."""

    exit_code = 2


class BackendMissing(FastraceError):
    """A kernel, codec or weight that is not installed; the message names what to install."""


class DatasetError(FastraceError):
    """A dataset folder that is incomplete, damaged, in use or of another recipe."""


class RunError(FastraceError):
    """A training, evaluation or audit run that cannot go on with these options."""


class RejectedInput(FastraceError):
    """One input file or frame that is left out, counted and listed with its reason.

    Parameters
    ----------
    reason : str
        A key of `REASONS`.
    message : str
        One line: attribute with tag, value, what was expected, what to do. It holds no identifying value.
    """

    def __init__(self, reason: str, message: str) -> None:
        if reason not in REASONS:
            raise ValueError(f"unknown reason {reason!r}; add it to fastrace.errors.REASONS")
        super().__init__(message)
        self.reason = reason
        self.message = message

    def __reduce__(self) -> tuple[type[RejectedInput], tuple[str, str]]:
        # Exceptions with two arguments cannot be unpickled from a worker process without this.
        return (type(self), (self.reason, self.message))
