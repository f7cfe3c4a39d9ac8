"""DICOM and raster files in, frames out: stored words, display parameters and the few safe header fields.

Reading order: `frame` (what a caller uses), `select` and `display` (what is shown), `pixels` and `codecs` (the words),
`source` (the bytes), `header` (what else leaves a file). Importing this puts the imagecodecs decoders before pydicom's
own, so that ``Dataset.pixel_array`` uses them too.
"""

from fastrace.dicom import codecs
from fastrace.dicom.display import Display
from fastrace.dicom.frame import MAX_PIXELS, Frame, Frames, open_frames
from fastrace.dicom.header import Header
from fastrace.dicom.voi import VoiOption, parse_voi

codecs.register()

__all__ = ["MAX_PIXELS", "Display", "Frame", "Frames", "Header", "VoiOption", "open_frames", "parse_voi"]
