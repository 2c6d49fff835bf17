"""The JPEG variants of DICOM that pydicom's own decoders leave out: lossless JPEG, 12-bit JPEG, and JPEG-LS.

Most older scanners and archives write lossless JPEG (process 14). The decoders are those of imagecodecs.
"""

from __future__ import annotations

from typing import Any

import imagecodecs
import numpy as np
from pydicom.pixels import get_decoder
from pydicom.uid import JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1, JPEGLSLossless, JPEGLSNearLossless

_LABEL = "imagecodecs"
_SYNTAXES = (JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1, JPEGLSLossless, JPEGLSNearLossless)

DECODER_DEPENDENCIES = dict.fromkeys(_SYNTAXES, ("imagecodecs",))
"""Asked for by pydicom's decoders."""


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
