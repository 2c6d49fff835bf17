"""What holds for every format: what is written comes back the same or not at all, and nothing else is touched."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_seg.data import formats
from napari_seg.data.formats import (
    FORMATS,
    Format,
    format_of,
    images_in,
    images_of,
    mask_name,
    read,
    read_answered,
    stem,
    write,
)
from napari_seg.data.volume import Volume
from napari_seg.errors import ChoiceNeeded, SegError

WRITING = [entry for entry in FORMATS.values() if entry.writes]
NAMES = [(entry, suffix) for entry in WRITING for suffix in entry.suffixes if suffix != ".nhdr"]
RNG = np.random.default_rng(0)
AFFINE = np.array([[0, 0.1, -0.5, 40], [0, -1.5, 0.05, 60], [-3, 0.2, 0, -700], [0, 0, 0, 1]], float)

VOLUMES = {
    "a 2D mask": Volume(RNG.integers(0, 4, (40, 60), dtype=np.uint8), "YX"),
    "many labels": Volume(RNG.integers(0, 4000, (40, 60), dtype=np.uint16), "YX"),
    "very many labels": Volume(RNG.integers(0, 2**31, (40, 60), dtype=np.uint32), "YX"),
    "more labels than there are": Volume(RNG.integers(0, 2**62, (40, 60), dtype=np.uint64), "YX"),
    "labels of a common kind": Volume(RNG.integers(0, 300, (40, 60)), "YX"),
    "a yes or no": Volume(RNG.integers(0, 2, (40, 60)).astype(bool), "YX"),
    "a 2D mask with spacing": Volume(RNG.integers(0, 4, (40, 60), dtype=np.uint8), "YX", (0.5, 0.25), "um"),
    "a 3D mask": Volume(RNG.integers(0, 4, (7, 40, 60), dtype=np.uint8), "ZYX"),
    "an anisotropic mask": Volume(RNG.integers(0, 4, (7, 40, 60), dtype=np.uint16), "ZYX", (2.0, 0.5, 0.25), "um"),
    "nanometres": Volume(RNG.integers(0, 4, (7, 40, 60), dtype=np.uint8), "ZYX", (50.0, 4.0, 4.0), "nm"),
    "a mask in a patient": Volume(RNG.integers(0, 4, (7, 40, 60), dtype=np.uint8), "ZYX", None, "mm", AFFINE),
    "a mask over time": Volume(RNG.integers(0, 4, (3, 40, 60), dtype=np.uint8), "TYX"),
    "a volume over time": Volume(RNG.integers(0, 4, (3, 7, 40, 60), dtype=np.uint8), "TZYX", (2.0, 0.5, 0.25), "um"),
    "planes": Volume(RNG.integers(0, 2, (3, 40, 60), dtype=np.uint8), "CYX"),
    "planes of a volume": Volume(RNG.integers(0, 2, (3, 7, 40, 60), dtype=np.uint8), "CZYX"),
    "a picture": Volume(RNG.integers(0, 255, (40, 60, 3), dtype=np.uint8), "YXS"),
    "numbers": Volume(RNG.normal(size=(7, 40, 60)).astype(np.float32), "ZYX"),
}

MUST_HOLD = {
    "nifti": set(VOLUMES),
    "nrrd_file": set(VOLUMES),
    "tiff": {
        "a 2D mask",
        "many labels",
        "very many labels",
        "labels of a common kind",
        "a 3D mask",
        "a mask over time",
    },
    "ome_zarr": {"a 2D mask", "many labels", "very many labels", "labels of a common kind", "a 3D mask"},
    "picture": {"a 2D mask", "many labels"},
}


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def is_one_sentence(error: SegError) -> bool:
    text = str(error)
    return text.endswith(".") and "\n" not in text and len(text) < 400


def spacing_in_mm(volume: Volume) -> Any:
    scale = {"nm": 1e-6, "um": 1e-3, "mm": 1.0, "m": 1e3, "pixel": 1.0}[volume.unit]
    return None if volume.spacing is None else np.array(volume.spacing) * scale


def is_lossy(suffix: str) -> bool:
    return suffix in (".jpg", ".jpeg")


@pytest.mark.parametrize("kind", VOLUMES)
@pytest.mark.parametrize(("entry", "suffix"), NAMES, ids=[suffix for _, suffix in NAMES])
def test_what_is_written_comes_back_the_same_or_is_refused_in_words(
    entry: Format, suffix: str, kind: str, tmp_path: Path
) -> None:
    volume, path = VOLUMES[kind], tmp_path / f"mask.of.one{suffix}"
    try:
        assert write(volume, path) == path
    except SegError as error:
        refused = error
    else:
        refused = None
    if refused is not None:
        assert is_one_sentence(refused)
        assert list(tmp_path.iterdir()) == []
        assert kind not in MUST_HOLD[entry.name] or is_lossy(suffix)
        return
    found = read(path)
    assert found.axes == volume.axes
    assert np.array_equal(np.asarray(found.data), np.asarray(volume.data))
    if volume.spacing is not None:
        assert found.spacing is not None
        assert np.allclose(spacing_in_mm(found), spacing_in_mm(volume), rtol=1e-4)
    if volume.affine is not None:
        assert found.affine is not None
        assert np.allclose(found.affine, volume.affine, atol=1e-3)
    assert stem(path) == "mask.of.one"
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    assert format_of(path) == entry
    assert list(images_in(tmp_path)) == [path]


def test_images_of_files_and_folders(tmp_path):
    folder, empty = tmp_path / "images", tmp_path / "empty"
    for place in (folder, empty, folder / "napari-seg-session"):
        place.mkdir()
    for name in ("b.png", "a.TIF", "notes.txt", ".hidden.png"):
        (folder / name).write_bytes(b"")
    single = tmp_path / "scan"
    single.write_bytes(b"")
    assert list(images_of([single, folder])) == [single, folder / "a.TIF", folder / "b.png"]
    with pytest.raises(SegError, match="choose a folder with images"):
        list(images_of([empty]))


def test_a_folder_of_images_is_none_because_a_study_lies_below_it(tmp_path: Path) -> None:
    def put(folder: Path) -> Path:
        folder.mkdir(parents=True)
        (folder / "IM0001").write_bytes(b"\0" * 128 + b"DICM")  # claimed by its first bytes
        return folder

    study = put(tmp_path / "images" / "original" / "series").parent
    images = [study.parent / name for name in ("a.nii.gz", "b.nii.gz")]
    for image in images:
        image.write_bytes(b"")
    assert list(images_of([study.parent])) == images
    assert list(images_of([study])) == [study]
    (put(tmp_path / "slices") / "preview.png").write_bytes(b"")  # a stray beside slices is none of them
    assert list(images_of([tmp_path / "slices"])) == [tmp_path / "slices"]


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".ome.tif", ".ome.zarr"])
@pytest.mark.parametrize("dtype", [">u2", ">i4", ">f4", ">u8"])
def test_bytes_in_the_other_order_are_written_too(suffix: str, dtype: str, tmp_path: Path) -> None:
    data = RNG.integers(0, 300, (3, 40, 60)).astype(dtype)
    found = read(write(Volume(data, "ZYX", (2.0, 0.5, 0.5), "um"), tmp_path / f"a{suffix}"))
    assert np.array_equal(np.asarray(found.data), data)


@pytest.mark.parametrize(
    ("image", "mask"),
    [("a.b.nii.gz", "a.b.nii.gz"), ("a.JPG", "a.png"), ("a.nhdr", "a.nrrd"), ("IM0001", "IM0001.nii.gz")],
)
def test_the_mask_of_an_image_has_its_name(tmp_path, image, mask):
    assert mask_name(tmp_path / image) == mask


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".nrrd"])
@pytest.mark.parametrize("axes", ["ZYX", "TZYX"])
def test_a_mask_with_the_feet_first_comes_back_with_the_head_first(axes: str, suffix: str, tmp_path: Path) -> None:
    data = RNG.integers(0, 4, (3, 7, 40, 60)[-len(axes) :], dtype=np.uint8)
    feet_first = AFFINE.copy()
    feet_first[:3, 3] += 6 * AFFINE[:3, 0]
    feet_first[:3, 0] *= -1
    found = read(write(Volume(np.flip(data, -3), axes, None, "mm", feet_first), tmp_path / f"mask{suffix}"))
    assert found.affine is not None
    assert np.allclose(found.affine, AFFINE, atol=1e-3)
    assert np.array_equal(found.data, data)


@pytest.mark.parametrize(("entry", "suffix"), NAMES, ids=[suffix for _, suffix in NAMES])
@pytest.mark.parametrize("bad", [b"", b"this is text, not an image\n" * 50, bytes(2000), bytes(range(256)) * 20])
def test_rubbish_with_the_name_of_an_image_is_one_sentence(
    entry: Format, suffix: str, bad: bytes, tmp_path: Path
) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(bad)
    with pytest.raises(SegError) as refused:
        read(path)
    assert is_one_sentence(refused.value)


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
@pytest.mark.parametrize(("entry", "suffix"), [n for n in NAMES if n[0].name != "ome_zarr" and not is_lossy(n[1])])
def test_a_truncated_file_is_one_sentence(entry: Format, suffix: str, part: float, tmp_path: Path) -> None:
    path = write(VOLUMES["many labels"], tmp_path / f"a{suffix}")
    path.write_bytes(path.read_bytes()[: int(part * path.stat().st_size)])
    if part == 0.9 and entry.name == "tiff":  # the writer leaves room after the pixels, and they are all there
        assert np.array_equal(read(path).data, VOLUMES["many labels"].data)
        return
    with pytest.raises(SegError) as refused:
        read(path)
    assert is_one_sentence(refused.value)


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """The system refuses to let any file grow beyond ``size`` bytes, as a full disk would."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on the size of files")
@pytest.mark.parametrize(("entry", "suffix"), [n for n in NAMES if not is_lossy(n[1])])
def test_a_disk_that_fills_up_half_way_leaves_the_old_file_whole(entry: Format, suffix: str, tmp_path: Path) -> None:
    path = write(VOLUMES["a 2D mask"], tmp_path / f"a{suffix}")
    before = content(tmp_path)
    noise = Volume(RNG.integers(0, 60000, (200, 200), dtype=np.uint16), "YX")
    with largest_file(3000), pytest.raises(SegError) as refused:
        write(noise, path)
    assert is_one_sentence(refused.value)
    assert "could not be written" in str(refused.value)
    assert content(tmp_path) == before


@pytest.mark.skipif(sys.platform == "win32", reason="Windows counts the whole path")
@pytest.mark.parametrize("entry", WRITING, ids=[entry.name for entry in WRITING])
def test_a_name_may_be_as_long_as_the_disk_takes_and_a_longer_one_is_refused(entry: Format, tmp_path: Path) -> None:
    """Also where the names that are used on the way are longer."""
    volume, suffix = VOLUMES["a 2D mask"], entry.suffixes[0]
    for length in (236, 255):
        path = write(volume, tmp_path / f"{'a' * (length - len(suffix))}{suffix}")
        np.testing.assert_array_equal(np.asarray(read(path).data), volume.data)
    before = content(tmp_path)
    longer = tmp_path / f"{'a' * (256 - len(suffix))}{suffix}"
    with pytest.raises(
        SegError, match=r"could not be written \(file name too long\); choose a shorter name.$"
    ) as refused:
        write(volume, longer)
    assert is_one_sentence(refused.value)
    assert content(tmp_path) == before
    with pytest.raises(SegError, match="There is no file"):
        read(longer)
    if entry.name == "ome_zarr":
        with pytest.raises(SegError, match="cannot be the name of a mask in an OME-Zarr; use up to 255"):
            write(volume, path / "labels" / ("a" * 256))


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EIO])
@pytest.mark.parametrize("entry", WRITING, ids=[entry.name for entry in WRITING])
def test_whatever_the_system_refuses_is_said_and_nothing_is_left(
    entry: Format, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(VOLUMES["a 2D mask"], tmp_path / f"a{entry.suffixes[0]}")
    before = content(tmp_path)

    def half(volume: Volume, target: Path) -> None:
        target.write_bytes(b"half of it")
        raise OSError(code, "the reason")

    monkeypatch.setattr(entry.codec, "write", half)
    with pytest.raises(SegError, match="the reason") as refused:
        write(VOLUMES["a 2D mask"], path)
    assert is_one_sentence(refused.value)
    assert content(tmp_path) == before


@pytest.mark.parametrize("entry", WRITING, ids=[entry.name for entry in WRITING])
def test_the_seal_refuses_a_file_that_came_back_different(
    entry: Format, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(VOLUMES["a 2D mask"], tmp_path / f"a{entry.suffixes[0]}")
    before, faithful = content(tmp_path), entry.codec.write

    def forgetful(volume: Volume, target: Path) -> None:
        changed = np.array(volume.data)
        changed[3, 4] += 1
        faithful(Volume(changed, volume.axes), target)

    monkeypatch.setattr(entry.codec, "write", forgetful)
    with pytest.raises(SegError, match="came back different"):
        write(VOLUMES["a 2D mask"], path)
    assert content(tmp_path) == before


@pytest.mark.parametrize("change", ["moved", "mirrored", "scaled"])
@pytest.mark.parametrize("name", ["nifti", "nrrd_file"])
def test_the_seal_refuses_a_file_that_lies_elsewhere(
    name: str, change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    codec = FORMATS[name].codec
    faithful = codec.write
    wrong = AFFINE.copy()
    if change == "moved":
        wrong[0, 3] += 0.01
    elif change == "mirrored":
        wrong[0] *= -1
    else:
        wrong[:3, 0] *= 1.001

    def careless(volume: Volume, target: Path) -> None:
        faithful(Volume(volume.data, volume.axes, None, "mm", wrong), target)

    monkeypatch.setattr(codec, "write", careless)
    with pytest.raises(SegError, match="came back different"):
        write(VOLUMES["a mask in a patient"], tmp_path / f"a{FORMATS[name].suffixes[0]}")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"in the way")
    with pytest.raises(SegError, match="could not be written"):
        write(VOLUMES["a 2D mask"], tmp_path / "file" / "a.nii.gz")
    assert content(tmp_path) == {"file": b"in the way"}


def test_a_file_that_may_not_be_read_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(VOLUMES["a 2D mask"], tmp_path / "a.nii.gz")

    def forbidden(*arguments: Any, **options: Any) -> Volume:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(FORMATS["nifti"].codec, "read", forbidden)
    with pytest.raises(SegError, match="may not read"):
        read(path)


@pytest.mark.parametrize("wrong", [np.zeros((4, 4), np.uint8), [[0, 1]], None])
def test_what_is_no_volume_is_refused_in_a_sentence(wrong: Any, tmp_path: Path) -> None:
    with pytest.raises(SegError, match=r"no Volume; .* name the axes of an array") as caught:
        write(wrong, tmp_path / "mask.tif")
    assert is_one_sentence(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_mask_can_have_every_suffix_that_is_named(tmp_path: Path) -> None:
    with pytest.raises(SegError) as caught:
        write(VOLUMES["a 2D mask"], tmp_path / "mask.xyz")
    named = str(caught.value).partition("end it with one of ")[2].removesuffix(".").split(", ")
    assert {".nii.gz", ".nrrd", ".tif", ".ome.zarr", ".png"} <= {*named}
    for suffix in named:
        assert read(write(VOLUMES["a 2D mask"], tmp_path / f"mask{suffix}")).grid == VOLUMES["a 2D mask"].grid


def test_names_that_say_nothing(tmp_path: Path) -> None:
    with pytest.raises(SegError, match="no file"):
        read(tmp_path / "missing.nii.gz")
    with pytest.raises(SegError, match="does not say the format"):
        write(VOLUMES["a 2D mask"], tmp_path / "mask.xyz")
    with pytest.raises(SegError, match="holds no image"):
        read(tmp_path)
    first = write(VOLUMES["a 2D mask"], tmp_path / "folder" / "a.png")
    with pytest.raises(SegError, match=r"holds images; choose a\.png\.$"):
        read(first.parent)
    write(VOLUMES["a 2D mask"], tmp_path / "folder" / "b.png")
    with pytest.raises(SegError, match=r"choose a\.png or another of its 2 images\.$"):
        read(first.parent)
    (tmp_path / "notes.txt").write_text("not an image")
    with pytest.raises(SegError, match="not in a format"):
        read(tmp_path / "notes.txt")


def test_every_format_has_a_module_with_the_three_functions() -> None:
    for entry in FORMATS.values():
        assert all(callable(getattr(entry.codec, name)) for name in ("claims", "read", "write"))
        assert all(suffix.startswith(".") and suffix == suffix.lower() for suffix in entry.suffixes)
    assert formats.stem(Path("Scan.One.NII.GZ")) == "Scan.One"


def test_what_a_person_said_of_the_axes_is_used_where_a_file_does_not_say(tmp_path):
    import tifffile

    stack, flat = tmp_path / "stack.tif", tmp_path / "flat.tif"
    tifffile.imwrite(stack, np.zeros((3, 20, 30), np.uint8), photometric="minisblack", metadata=None)
    tifffile.imwrite(flat, np.zeros((20, 30), np.uint8), metadata=None)
    with pytest.raises(ChoiceNeeded):
        read_answered(stack)
    assert read_answered(stack, "TYX").axes == "TYX"
    assert read_answered(flat, "TYX").axes == "YX"
    with pytest.raises(ChoiceNeeded):
        read_answered(stack, "TCYX")


@pytest.mark.parametrize("axes", ["QQ", "ZYQ", "YXX", "ZX", ""])
@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.nii.gz", "a.ome.zarr"])
def test_axes_that_no_image_has_are_refused_also_where_the_file_names_its_own(
    tmp_path: Path, name: str, axes: str
) -> None:
    path = write(VOLUMES["a 2D mask"], tmp_path / name)
    for reader in (read, read_answered):
        with pytest.raises(SegError) as caught:
            reader(path, axes=axes)
        assert str(caught.value) == (
            f"The axes {axes!r} cannot be those of {name}; name the dimensions in their order in the file, each with "
            "another letter of TCZYXS, Y and X among them."
        )
    assert read_answered(path, axes="zyx").axes == "YX"


def test_a_palette_is_told_and_not_asked_but_may_be_answered(tmp_path):
    from PIL import Image

    drawing = Image.new("P", (8, 8), 1)
    drawing.putpalette([0, 0, 0, 255, 0, 0])
    drawing.save(tmp_path / "a.png")
    found = [read_answered(tmp_path / "a.png", series=series).axes for series in (None, "1", "indices", "colours")]
    assert found == ["YX", "YX", "YX", "YXS"]


def test_a_mask_never_replaces_its_image(tmp_path: Path) -> None:
    path = write(Volume(np.full((8, 9), 77, np.uint8), "YX"), tmp_path / "cells.png")
    before = path.read_bytes()
    os.link(path, tmp_path / "other.png")
    mask = read(path).mask(np.ones((8, 9), np.uint8))
    for place in (path, tmp_path / "other.png"):
        with pytest.raises(SegError, match="is an image, and images are never replaced; choose another name"):
            write(mask, place)
    assert path.read_bytes() == before
    again = read(write(mask, tmp_path / "mask.png"))
    assert write(again, tmp_path / "mask.png").exists()  # a mask may be written anew


@pytest.mark.parametrize("suffix", [".tif", ".nii.gz", ".zarr"])
@pytest.mark.parametrize("first", [".tif", ".nii", ".ome.zarr"])
@pytest.mark.parametrize("interval", [0.1, 30.0])
def test_the_time_between_frames_goes_from_a_film_to_its_mask(
    tmp_path: Path, first: str, suffix: str, interval: float
) -> None:
    film = Volume(RNG.integers(0, 300, (3, 40, 60), dtype=np.uint16), "TYX", (0.5, 0.25), "um", interval=interval)
    image = read(write(film, tmp_path / f"film{first}"))
    assert image.interval == interval
    mask = image.mask(np.ones((3, 40, 60), np.uint8))
    assert read(write(mask, tmp_path / f"mask{suffix}")).interval == interval
    still = Volume(mask.data[0], "YX", (0.5, 0.25), "um", interval=interval)
    assert read(write(still, tmp_path / f"still{suffix}")).interval is None


@pytest.mark.parametrize("name", ["image.tif", "image.ome.zarr"])
def test_a_relative_path_means_the_same_image_in_another_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    for folder, value in (("a", 10), ("b", 20)):
        (tmp_path / folder).mkdir()
        write(Volume(np.full((40, 60), value, np.uint8), "YX"), tmp_path / folder / name)
    monkeypatch.chdir(tmp_path / "a")
    image = read(name)
    monkeypatch.chdir(tmp_path / "b")
    assert (np.asarray(image.data) == 10).all()
    mask = image.mask(np.ones((40, 60), np.uint8))
    monkeypatch.chdir(tmp_path / "a")
    with pytest.raises(SegError, match="images are never replaced"):
        write(mask, name)
    assert (np.asarray(read(name).data) == 10).all()
