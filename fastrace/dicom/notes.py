"""What was odd in an image that was read all the same, and how it was taken.

A note is counted by its kind in the summary and in the datasheet, and its kind is a column of the index: what is odd differs
between scanners, so it can stand for the scanner in an audit.
"""

from __future__ import annotations

from typing import NamedTuple

# Each kind, and what it means to whoever holds the images; docs/notes.md is this table.
KINDS: dict[str, str] = {
    "bits_above": "bits outside Bits Stored are set and no overlay is declared there: masked",
    "assumed": "an attribute was missing or empty, and its usual value was taken",
    "signed": "the compressed samples are signed where the header says unsigned: read as signed",
    "high_bit": "High Bit is not Bits Stored - 1, as the standard demands: the value was taken from below High Bit",
    "clamped": "the lossy codestream is deeper than Bits Stored and left its range: clamped to the range",
    "syntax": "the data set is not in the encoding that its meta information names: read in the one it has",
    "spelling": "an enumerated value in another case or with spaces: taken as the term it spells",
    "grey_of_colour": "grey stored as colour (three equal channels, or a palette of greys): read as grey",
    "resampled": "pixels are not square: resampled to square ones",
    "spacing_unread": "a spacing or aspect of the pixels is not two numbers above 0: not used",
    "voi_fallback": "the first --voi does not apply to this image: the next one was used",
    "reduced": "decoded at a half, a quarter ... of its rows and columns, as --decode reduced says",
    "fallback": "decoded by another decoder than the usual one",
    "contradiction": "two attributes contradict each other on view, side, body part, intent or polarity: the note says which "
    "was taken; or copies of the image differ in a fact, which is missing then",
    "polarity": "the background is brighter than the tissue, as if black and white were exchanged: kept as it is",
    "frame": "a bright frame surrounds the image, of a collimator or of film: kept as it is",
    "padding_outside": "Pixel Padding Value lies outside the stored range: no pixel is padding",
}


class Note(NamedTuple):
    """One thing that was odd in one image.

    Attributes
    ----------
    kind : str
        A key of `KINDS`.
    text : str
        One line: attribute with tag, value, how it was taken. It holds no identifying value.
    """

    kind: str
    text: str
