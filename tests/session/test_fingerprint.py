"""What an image is known by."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from napari_seg.data.volume import Volume
from napari_seg.session import fingerprint as module
from napari_seg.session.fingerprint import fingerprint, voxels_hash

SHAPES = [("YX", (5, 7)), ("YX", (900, 1000)), ("YXS", (30, 40, 3)), ("ZYX", (40, 30, 20)), ("TCZYX", (3, 2, 5, 9, 9))]


def a_volume(axes: str, shape: tuple[int, ...]) -> Volume:
    return Volume(np.random.default_rng(0).integers(0, 60_000, shape, dtype=np.uint16), axes)


@pytest.mark.parametrize(("axes", "shape"), SHAPES)
def test_it_does_not_depend_on_how_an_image_is_held(tmp_path: Path, axes: str, shape: tuple[int, ...]) -> None:
    volume = a_volume(axes, shape)
    stored = zarr.create_array(
        tmp_path / "image.zarr", shape=shape, dtype="u2", chunks=tuple(min(n, 150) for n in shape)
    )
    stored[...] = volume.data
    for same in (stored, np.asfortranarray(volume.data)):
        other = replace(volume, data=same, name="another", spacing=None)
        assert fingerprint(other) == fingerprint(volume)
        assert voxels_hash(other) == voxels_hash(volume)


@pytest.mark.parametrize(("axes", "shape"), SHAPES)
@pytest.mark.parametrize("name", [fingerprint, voxels_hash])
def test_other_images_have_another(name: Any, axes: str, shape: tuple[int, ...]) -> None:
    volume = a_volume(axes, shape)
    middle = volume.data.copy()
    middle[tuple(n // 2 for n in shape)] += 1
    others = [middle, volume.data.astype(np.int32), volume.data[:-1], volume.data[..., ::-1]]
    found = {name(volume), *(name(replace(volume, data=other)) for other in others)}
    assert len(found) == 1 + len(others)


def test_axes_count() -> None:
    data = np.zeros((3, 4, 5), np.uint8)
    assert len({name(Volume(data, axes)) for name in (fingerprint, voxels_hash) for axes in ("ZYX", "TYX", "CYX")}) == 3


def test_only_all_voxels_tell_every_difference() -> None:
    volume = a_volume("YX", (900, 1000))
    data = volume.data.copy()
    data[300, 300] += 1  # between the squares
    assert fingerprint(replace(volume, data=data)) == fingerprint(volume)
    assert voxels_hash(replace(volume, data=data)) != voxels_hash(volume)


def test_reading_in_parts_makes_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    volume = a_volume("ZYX", (40, 30, 20))
    whole = voxels_hash(volume)
    monkeypatch.setattr(module, "AT_ONCE", 1300)
    assert voxels_hash(volume) == whole


@pytest.mark.parametrize(("axes", "shape"), [("YX", (0, 5)), ("ZYX", (0, 4, 4)), ("ZYX", (4, 4, 0)), ("YX", (1, 1))])
def test_images_without_voxels_have_one_too(axes: str, shape: tuple[int, ...]) -> None:
    assert len({name(a_volume(axes, shape)) for name in (fingerprint, voxels_hash)}) >= 1


def test_little_of_a_large_image_is_read() -> None:
    class Counted:
        """A lazy image of many planes."""

        shape, dtype, ndim, read = (100, 4, 200, 8000, 9000), np.dtype(np.uint16), 5, 0

        def __getitem__(self, index: tuple[Any, ...]) -> np.ndarray:
            assert all(isinstance(k, int) for k in index[:3])
            found = np.zeros([part.stop - part.start for part in index[3:]], np.uint16)
            self.read += found.size
            return found

    data = Counted()
    fingerprint(Volume(data, "TCZYX"))
    assert data.read == 25 * 9 * 256 * 256
