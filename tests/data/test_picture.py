"""PNG and JPEG of every kind."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from napari_seg import write
from napari_seg.data import picture
from napari_seg.data.volume import Volume
from napari_seg.errors import SegError

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 255, (20, 30), dtype=np.uint8)
COLOURS = RNG.integers(0, 255, (20, 30, 3), dtype=np.uint8)
DRAWING = np.kron(np.arange(12, dtype=np.uint8).reshape(3, 4), np.ones((20, 20), np.uint8))


def png(bits: int, kind: int, rows: bytes, width: int, height: int) -> bytes:
    """A PNG made by hand: ``kind`` 0 is grey; ``rows`` are packed pixels, each row with a leading zero."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("data", [GREY, COLOURS, GREY.astype(np.uint16) * 200], ids=["grey", "rgb", "grey16"])
def test_png_is_read_and_written(tmp_path: Path, data: np.ndarray) -> None:
    axes = "YXS"[: data.ndim]
    write(Volume(data, axes), tmp_path / "a.png")
    found = picture.read(tmp_path / "a.png")
    assert (found.axes, found.dtype, found.spacing, found.notes) == (axes, data.dtype, None, ())
    np.testing.assert_array_equal(found.data, data)


def test_wide_labels_are_written_narrow(tmp_path: Path) -> None:
    labels = np.array([[0, 70], [300, 2]], np.int64)
    write(Volume(labels, "YX"), tmp_path / "a.png")
    found = picture.read(tmp_path / "a.png")
    assert found.dtype == np.uint16
    np.testing.assert_array_equal(found.data, labels)


@pytest.mark.parametrize(
    ("volume", "name", "cure"),
    [
        (Volume(GREY, "YX"), "a.jpg", r"\.png or \.tif"),
        (Volume(GREY, "YX"), "a.jpeg", r"\.png or \.tif"),
        (Volume(GREY, "YX", spacing=(0.3, 0.3), unit="um"), "a.png", r"pixel size.*\.tif"),
        (Volume(GREY, "YX", affine=np.eye(4)), "a.png", r"\.nii\.gz"),
        (Volume(GREY[None], "ZYX"), "a.png", r"\.tif"),
        (Volume(np.array([[70_000]]), "YX"), "a.png", r"65535.*\.tif"),
        (Volume(np.array([[-1]]), "YX"), "a.png", r"\.tif"),
        (Volume(np.array([[0.5]]), "YX"), "a.png", r"\.tif"),
    ],
)
def test_what_a_picture_cannot_hold_is_refused(tmp_path: Path, volume: Volume, name: str, cure: str) -> None:
    with pytest.raises(SegError, match=cure):
        write(volume, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_alpha_is_left_out_and_said(tmp_path: Path) -> None:
    for mode, data in (("RGBA", np.dstack([COLOURS, GREY])), ("LA", np.dstack([GREY, GREY]))):
        Image.fromarray(data, mode=None).save(tmp_path / f"{mode}.png")
        found = picture.read(tmp_path / f"{mode}.png")
        np.testing.assert_array_equal(found.data, COLOURS if mode == "RGBA" else GREY)
        assert "alpha" in found.notes[0]


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_sixteen_bit_colours_keep_their_bits(tmp_path: Path, channels: int) -> None:
    data = RNG.integers(0, 65535, (20, 30, channels), dtype=np.uint16)
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(data))
    found = picture.read(tmp_path / "a.png")
    np.testing.assert_array_equal(found.data, data[..., 0] if channels == 2 else data[..., :3])


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_few_bits_are_numbers_from_0_on(tmp_path: Path, bits: int) -> None:
    values = np.arange(16, dtype=np.uint8).reshape(2, 8) % 2**bits
    packed = [np.packbits(np.unpackbits(row[:, None], axis=1)[:, 8 - bits :].ravel()).tobytes() for row in values]
    (tmp_path / "a.png").write_bytes(png(bits, 0, b"".join(b"\0" + row for row in packed), 8, 2))
    np.testing.assert_array_equal(picture.read(tmp_path / "a.png").data, values)


def test_a_palette_of_labels_is_numbers_and_of_a_photograph_colours(tmp_path: Path) -> None:
    drawing = Image.fromarray(DRAWING)
    drawing.putpalette(RNG.integers(0, 255, 768, dtype=np.uint8).tobytes())
    drawing.save(tmp_path / "labels.png")
    found = picture.read(tmp_path / "labels.png")
    np.testing.assert_array_equal(found.data, DRAWING)
    assert "palette" in found.notes[0]
    asked = picture.read(tmp_path / "labels.png", series="colours")
    np.testing.assert_array_equal(asked.data, np.asarray(drawing.convert("RGB")))

    photograph = Image.fromarray(COLOURS).quantize(64)
    photograph.save(tmp_path / "photo.png")
    assert picture.read(tmp_path / "photo.png").axes == "YXS"
    assert picture.read(tmp_path / "photo.png", series="indices").axes == "YX"
    with pytest.raises(SegError, match="indices"):
        picture.read(tmp_path / "photo.png", series="5")


@pytest.mark.parametrize("channels", [0, 2, 3, 4], ids=["grey", "grey and alpha", "colours", "colours and alpha"])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("orientation", range(10))
def test_a_turned_photograph_is_set_upright(tmp_path: Path, orientation: int, bits: int, channels: int) -> None:
    data = RNG.integers(0, 2**bits - 1, (20, 30, channels)[: 3 if channels else 2]).astype(f"uint{bits}")
    stored = imagecodecs.png_encode(data)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(GREY).save(tmp_path / "a.png", exif=exif)
    body = (tmp_path / "a.png").read_bytes()
    at = body.index(b"eXIf") - 4
    chunk = body[at : at + 12 + struct.unpack(">I", body[at : at + 4])[0]]
    (tmp_path / "a.png").write_bytes(stored[:33] + chunk + stored[33:])

    found = picture.read(tmp_path / "a.png")
    turns = {2: np.fliplr, 3: lambda a: np.rot90(a, 2), 4: np.flipud, 5: lambda a: a.swapaxes(0, 1)}
    turns |= {6: lambda a: np.rot90(a, -1), 7: lambda a: np.rot90(a, 2).swapaxes(0, 1), 8: np.rot90}
    plain = {2: data[..., 0], 4: data[..., :3]}.get(channels, data)
    np.testing.assert_array_equal(found.data, turns.get(orientation, np.asarray)(plain))
    assert found.dtype == data.dtype
    assert any("turned" in note for note in found.notes) == (orientation in turns)


def test_jpeg_in_grey_colours_and_inks(tmp_path: Path) -> None:
    flat = np.full((16, 16, 3), (200, 100, 50), np.uint8)
    for mode in ("L", "RGB", "CMYK"):
        Image.fromarray(flat).convert(mode).save(tmp_path / f"{mode}.jpg", quality=95)
        found = picture.read(tmp_path / f"{mode}.jpg")
        assert found.axes == ("YX" if mode == "L" else "YXS")
        if mode != "L":
            assert np.abs(found.data.astype(int) - flat).max() < 6
    assert "CMYK" in found.notes[0]


@pytest.mark.parametrize("suffix", ["png", "jpg"])
@pytest.mark.parametrize("kept", [0.0, 0.1, 0.5, 0.95])
def test_a_file_that_is_cut_off_is_refused(tmp_path: Path, suffix: str, kept: float) -> None:
    buffer = io.BytesIO()
    Image.fromarray(COLOURS).save(buffer, format="PNG" if suffix == "png" else "JPEG")
    (tmp_path / f"a.{suffix}").write_bytes(buffer.getvalue()[: int(kept * len(buffer.getvalue()))])
    with pytest.raises(SegError, match=rf"a\.{suffix}"):
        picture.read(tmp_path / f"a.{suffix}")


def test_text_named_png_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("no picture")
    assert picture.claims(tmp_path / "a.png")
    with pytest.raises(SegError, match="no PNG or JPEG"):
        picture.read(tmp_path / "a.png")


def test_a_bomb_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(8, 0, bytes(1000), 60_000, 60_000))
    with pytest.raises(SegError, match="too large"):
        picture.read(tmp_path / "a.png")


def test_other_axes_than_those_of_a_picture_are_refused(tmp_path: Path) -> None:
    write(Volume(GREY, "YX"), tmp_path / "a.png")
    assert picture.read(tmp_path / "a.png", axes="yx").axes == "YX"
    with pytest.raises(SegError, match="leave the axes out"):
        picture.read(tmp_path / "a.png", axes="ZYX")
