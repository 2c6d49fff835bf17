"""Every voxel keeps its place in the world, whatever the order and direction of the axes it was stored in."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import nrrd
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from napari_seg.data import geometry
from napari_seg.data.formats import read, write
from napari_seg.data.volume import Volume

SHAPE = (5, 6, 7)
SPACING = (0.7, 1.3, 2.9)
ORIENTATIONS = [
    "".join(codes) for sides in itertools.permutations(("LR", "PA", "IS")) for codes in itertools.product(*sides)
]


def affine_of(codes: str, *, degrees: float = 0.0) -> NDArray[np.float64]:
    """The affine of a stored array whose axes grow towards ``codes``, turned out of the patient's axes."""
    turned = np.zeros((3, 3))
    for axis, side in enumerate(codes):
        world = next(k for k, pair in enumerate(("RL", "AP", "SI")) if side in pair)
        turned[world, axis] = 1 if side in "RAS" else -1
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_rotvec(np.radians(degrees) * np.array([0.6, -0.48, 0.64])).as_matrix() @ turned
    affine[:3, :3] *= SPACING
    affine[:3, 3] = (-31.5, 12.25, 208.75)
    return affine


def stored_image(path: Path, affine: NDArray[np.float64], shape: tuple[int, ...] = SHAPE) -> NDArray[np.int16]:
    data = np.arange(np.prod(shape), dtype=np.int16).reshape(shape)
    image = nib.Nifti1Image(data, affine)
    image.header.set_xyzt_units("mm", "sec")
    image.set_qform(affine, 1)
    image.set_sform(affine, 1)
    nib.save(image, path)
    return data


def world_to_value(data: NDArray[np.generic], affine: NDArray[np.float64]) -> dict[tuple[float, ...], float]:
    """Every value by its place, an oracle that knows nothing of the order of axes."""
    index = np.indices(data.shape).reshape(3, -1)
    world = affine[:3, :3] @ index + affine[:3, 3:]
    return {tuple(np.round(place, 2) + 0.0): float(value) for place, value in zip(world.T, data.ravel(), strict=True)}


def test_there_are_48_orientations() -> None:
    assert len(set(ORIENTATIONS)) == 48


@pytest.mark.parametrize("codes", ORIENTATIONS)
@pytest.mark.parametrize("degrees", [0, 17])
def test_a_volume_lies_upright_and_each_voxel_where_nibabel_puts_it(codes: str, degrees: int, tmp_path: Path) -> None:
    path = tmp_path / "image.nii"
    data = stored_image(path, affine_of(codes, degrees=degrees))
    volume = read(path)
    assert volume.orientation == "IPL"
    assert volume.affine is not None
    assert world_to_value(volume.data, volume.affine) == world_to_value(data, nib.load(path).affine)
    assert any("tilted by" in note for note in volume.notes) == (degrees > 0)


@pytest.mark.parametrize("codes", ORIENTATIONS)
@pytest.mark.parametrize("degrees", [0, 17])
def test_no_patient_is_mirrored_where_the_first_axis_comes_towards_the_viewer(codes: str, degrees: int) -> None:
    """As napari draws in 3D unless told otherwise: z towards the viewer, y down, x to the right."""
    stored = affine_of(codes, degrees=degrees)
    shown = geometry.to_display(stored).affine(stored, SHAPE)[:3, :3]
    on_screen = np.array([[0, 0, 1], [0, -1, 0], [1, 0, 0]])  # rows: right, up, towards the viewer; columns: z, y, x
    to_patient = shown @ np.linalg.inv(on_screen)
    assert np.linalg.det(to_patient) > 0


@pytest.mark.parametrize("codes", ORIENTATIONS)
@pytest.mark.parametrize("degrees", [0, 17])
def test_a_mask_comes_back_voxel_on_voxel_in_the_grid_of_its_image(codes: str, degrees: int, tmp_path: Path) -> None:
    path = tmp_path / "image.nii"
    data = stored_image(path, affine_of(codes, degrees=degrees))
    volume = read(path)
    mask = volume.mask((np.asarray(volume.data) % 5).astype(np.uint16))
    saved = write(mask, tmp_path / "mask.nii.gz")
    assert np.array_equal(read(saved).data, mask.data)
    ours, theirs = nib.load(saved), nib.load(path)
    assert np.array_equal(np.asarray(ours.dataobj), data % 5)
    for name in ("qform_code", "sform_code", "pixdim", "srow_x", "srow_y", "srow_z", "quatern_b", "qoffset_x"):
        assert np.array_equal(ours.header[name], theirs.header[name]), name


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd"])
@pytest.mark.parametrize("codes", ORIENTATIONS)
def test_a_volume_without_a_file_is_written_in_its_place_in_any_orientation(
    codes: str, suffix: str, tmp_path: Path
) -> None:
    data = np.arange(np.prod(SHAPE), dtype=np.int32).reshape(SHAPE)
    affine = affine_of(codes, degrees=5)
    written = write(Volume(data, "ZYX", SPACING, "mm", affine), tmp_path / f"mask{suffix}")
    found = read(written)
    assert found.affine is not None
    assert world_to_value(found.data, found.affine) == world_to_value(data, affine)
    if suffix == ".nii.gz":
        image = nib.load(written)
        assert world_to_value(np.asarray(image.dataobj), image.affine) == world_to_value(data, affine)
    else:
        stored, header = nrrd.read(str(written))
        lps = np.eye(4)
        lps[:3, :3], lps[:3, 3] = header["space directions"].T, header["space origin"]
        assert world_to_value(stored, np.diag([-1, -1, 1, 1]) @ lps) == world_to_value(data, affine)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    angles=st.tuples(*[st.floats(-180, 180)] * 3),
    spacing=st.tuples(*[st.floats(0.2, 8)] * 3),
    shear=st.floats(-0.4, 0.4),
    origin=st.tuples(*[st.floats(-500, 500)] * 3),
)
def test_any_affine_survives(
    angles: tuple[float, ...],
    spacing: tuple[float, ...],
    shear: float,
    origin: tuple[float, ...],
    tmp_path: Path,
) -> None:
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix() @ np.diag(spacing)
    affine[:3, 0] += shear * affine[:3, 1]
    affine[:3, 3] = origin
    data = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    for suffix in (".nii.gz", ".nrrd"):
        found = read(write(Volume(data, "ZYX", None, "mm", affine), tmp_path / f"mask{suffix}"))
        assert found.affine is not None
        for index in itertools.product(range(2), range(3), range(4)):
            world = affine @ [*index, 1]
            back = np.rint(np.linalg.inv(found.affine) @ world)[:3].astype(int)
            assert found.data[tuple(back)] == data[index]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_a_reorder_can_be_undone(order: tuple[int, ...]) -> None:
    stored = np.arange(np.prod(SHAPE)).reshape(SHAPE)
    affine = affine_of("RAS", degrees=9)
    for flip in itertools.product((False, True), repeat=3):
        reorder = geometry.Reorder(order, flip)
        shown = reorder.apply(stored)
        assert np.array_equal(reorder.undo(shown), stored)
        shown_affine = reorder.affine(affine, SHAPE)
        assert np.allclose(reorder.stored_affine(shown_affine, shown.shape), affine)
        assert geometry.turn(affine, shown_affine) == reorder
        wide = reorder.within(5, 1).apply(stored[None, ..., None])
        assert np.array_equal(wide[0, ..., 0], shown)


def test_grids_that_are_not_turns_of_each_other_have_no_turn() -> None:
    assert geometry.turn(affine_of("RAS"), affine_of("RAS", degrees=10)) is None
    assert geometry.turn(np.eye(4), np.diag([1.0, 1, 2, 1])) is None


@pytest.mark.parametrize(
    ("codes", "shown"),
    [("RAS", "PL"), ("LPS", "PL"), ("ASR", "IP"), ("PIL", "IP"), ("RSA", "IL"), ("LIP", "IL"), ("SLA", "IL")],
)
def test_a_single_slice_hangs_as_radiologists_hang_it(codes: str, shown: str, tmp_path: Path) -> None:
    path = tmp_path / "slice.nii"
    data = stored_image(path, affine_of(codes), (*SHAPE[:2], 1))
    volume = read(path)
    assert (volume.axes, volume.orientation) == ("YX", shown)
    assert volume.affine is not None
    assert world_to_value(volume.data[None], volume.affine) == world_to_value(data, affine_of(codes))
    saved = write(volume.mask((np.asarray(volume.data) % 3).astype(np.uint8)), tmp_path / "mask.nii.gz")
    assert np.array_equal(np.asarray(nib.load(saved).dataobj), data % 3)


@pytest.mark.parametrize("codes", ["RAS", "ASR", "LIP"])
def test_a_slice_is_written_in_its_place_without_a_file_to_go_back_to(codes: str, tmp_path: Path) -> None:
    data = np.arange(42, dtype=np.uint8).reshape(6, 7)
    affine = affine_of(codes, degrees=8)
    for suffix in (".nii.gz", ".nrrd"):
        found = read(write(Volume(data, "YX", None, "mm", affine), tmp_path / f"slice{suffix}"))
        assert found.affine is not None
        assert world_to_value(found.data[None], found.affine) == world_to_value(data[None], affine)


def test_tilt_and_orientation() -> None:
    assert geometry.orientation(affine_of("LPI")) == "LPI"
    assert geometry.tilt(affine_of("LPI")) == pytest.approx(0, abs=1e-5)
    assert 10 < geometry.tilt(affine_of("SRA", degrees=17)) <= 17


def test_places_that_make_no_sense_are_told_from_those_that_do() -> None:
    check: Callable[[NDArray[np.float64]], bool] = geometry.is_place
    assert check(affine_of("RAS"))
    assert not check(np.zeros((4, 4)))
    assert not check(np.full((4, 4), np.nan))
    flat = np.eye(4)
    flat[:3, 2] = flat[:3, 1]
    assert not check(flat)
