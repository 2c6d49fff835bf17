"""The pixels of DICOM files, among them the JPEG variants that pydicom's own decoders leave out.

These are lossless JPEG (process 14), which most older scanners and archives write, 12-bit JPEG and JPEG-LS; the
decoders are those of imagecodecs. What all decoders share is that they believe the size in the compressed data
itself and reserve memory for it, so that is compared with the header first.
"""

from __future__ import annotations

from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom.encaps import generate_frames
from pydicom.pixels import get_decoder, pixel_array
from pydicom.uid import JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1, JPEGLSLossless, JPEGLSNearLossless

_LABEL = "imagecodecs"
_SYNTAXES = (JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1, JPEGLSLossless, JPEGLSNearLossless)

DECODER_DEPENDENCIES = dict.fromkeys(_SYNTAXES, ("imagecodecs",))
"""Asked for by pydicom's decoders."""

_JPEG_2000 = b"\xff\x4f\xff\x51"
_JPEG = b"\xff\xd8"
_FRAME_HEADERS = {0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF, 0xF7}


def pixels(dataset: Any) -> NDArray[Any]:
    """All frames of a dataset, as stored. Raises ``ValueError`` where the data claim to be larger than the header."""
    register()
    if dataset.file_meta.TransferSyntaxUID.is_encapsulated and "PixelData" in dataset:
        limit = int(dataset.Rows) * int(dataset.Columns)
        for frame in generate_frames(dataset.PixelData, number_of_frames=int(dataset.get("NumberOfFrames") or 1)):
            rows, columns = claimed_size(frame)
            if rows * columns > limit:
                raise ValueError("the compressed image is not of the size that the header says")
    stored: NDArray[Any] = pixel_array(dataset)
    return stored


def claimed_size(frame: bytes) -> tuple[int, int]:
    """Rows and columns as a JPEG, JPEG-LS or JPEG 2000 says itself (ISO 10918-1 B.2.2, 15444-1 A.5.1), else 0."""
    if (at := frame.find(_JPEG_2000)) >= 0 and not frame.startswith(_JPEG):
        right, bottom, left, top = (int.from_bytes(frame[at + k : at + k + 4]) for k in (8, 12, 16, 20))
        return bottom - top, right - left
    at = 2 if frame.startswith(_JPEG) else len(frame)
    while at + 9 <= len(frame):
        if frame[at] != 0xFF or frame[at + 1] == 0xFF:  # between segments, where fill bytes may stand
            at += 1
        elif frame[at + 1] in _FRAME_HEADERS:
            return int.from_bytes(frame[at + 5 : at + 7]), int.from_bytes(frame[at + 7 : at + 9])
        else:
            at += 2 + int.from_bytes(frame[at + 2 : at + 4])
    return 0, 0


def register() -> None:
    """Offer this module to pydicom; it is asked after pydicom's own decoders."""
    for syntax in _SYNTAXES:
        decoder = get_decoder(syntax)
        if _LABEL not in decoder.available_plugins:
            decoder.add_plugin(_LABEL, (__name__, "decode_frame"))


def is_available(uid: str) -> bool:
    return uid in _SYNTAXES


def decode_frame(source: bytes, runner: Any) -> bytearray:
    """The pixels of one frame, little-endian, samples of a pixel side by side."""
    loco = runner.transfer_syntax in (JPEGLSLossless, JPEGLSNearLossless)
    decode = imagecodecs.jpegls_decode if loco else imagecodecs.jpeg8_decode
    image = np.ascontiguousarray(decode(source))
    runner.set_option("bits_allocated", image.dtype.itemsize * 8)
    if runner.samples_per_pixel > 1:
        runner.set_option("planar_configuration", 0)
    return bytearray(image.astype(image.dtype.newbyteorder("<"), copy=False).tobytes())
