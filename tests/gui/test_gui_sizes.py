"""A size of voxels that a person corrects in the window, when the image is opened again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from controlled import rest
from napari.components import ViewerModel
from napari.layers import Layer
from napari.layers._source import layer_source

from napari_seg.data.formats import read, write
from napari_seg.data.volume import Volume
from napari_seg.gui.arrivals import COMPARING
from napari_seg.gui.checking import GIVE_SIZE
from napari_seg.gui.controller import Controller
from napari_seg.gui.layers import layer_data, lies_elsewhere, volume_of
from napari_seg.gui.results import empty_mask
from napari_seg.gui.size_dialog import SizeDialog
from napari_seg.session.records import SIZE
from napari_seg.session.sizes import Size, size_of

FILE, RIGHT = (1.0, 1.0, 1.0), (3.0, 0.5, 0.5)

Opens = Callable[..., Controller]


@pytest.fixture
def opens(engine: Any, qtbot: Any) -> Iterator[Opens]:
    """A new start of the program, with files open."""
    started: list[Controller] = []

    def start(*paths: Path) -> Controller:
        for before in started:
            before.close()
        started[:] = [Controller(ViewerModel(), engine)]
        for path in paths:
            for layer in layer_data(read(path), "image"):
                started[0].viewer.add_layer(Layer.create(*layer))
        let_come(started[0])
        return started[0]

    yield start
    started[0].close()


@contextmanager
def held(here: Controller) -> Iterator[None]:
    """No image is compared with another one meanwhile."""
    go_on = threading.Event()
    here.recorder.arrivals.voxels._thread.submit(go_on.wait)
    try:
        yield
    finally:
        go_on.set()


def let_come(controller: Controller) -> None:
    for _ in range(2):
        for _, future in controller.recorder.arrivals.voxels._known:
            future.exception(20)
        rest(controller)


def scan(path: Path, spacing: tuple[float, ...] | None = FILE, unit: str = "mm", *, shift: int = 0) -> Path:
    values = np.random.default_rng(shift).integers(0, 200, (6, 40, 50)).astype(np.uint8)
    write(Volume(values, "ZYX", spacing, unit if spacing else "pixel", name="scan"), path)
    return path


def said(controller: Controller) -> list[str]:
    return [finding.text for finding in controller.state.findings if finding.cures and finding.cures[0].kind == "size"]


def size_of_file(controller: Controller) -> Size:
    known = controller.voxel_size()
    assert known is not None
    return known[2]


def hippocampus(controller: Controller) -> Path:
    """A model that minds the size of voxels."""
    return next(path for path in controller.models.names if path.stem == "hippocampus3d")


@pytest.mark.parametrize("name", ["scan.nii.gz", "scan.ome.tif"])
@pytest.mark.parametrize("drawn", [False, True])
def test_a_corrected_size_is_there_when_the_image_is_opened_again_and_is_said(
    name: str, drawn: bool, opens: Opens, tmp_path: Path
) -> None:
    path = scan(tmp_path / name)
    here = opens(path)
    image = here.viewer.layers[0]
    assert said(here) == []
    if drawn:
        mask = empty_mask(here.viewer, image)
        rest(here)
        mask.mode, mask.brush_size = "paint", 5
        mask.paint((2, 20, 20), 2)
        rest(here)
    image.scale = RIGHT
    rest(here)
    for _ in range(2):
        here = opens(path)
        image, *masks = here.viewer.layers
        assert volume_of(image).spacing == RIGHT
        assert said(here) == [
            "Voxels are 0.5 x 0.5 x 3 mm, as given here, while the file says 1 x 1 x 1 mm; press Use "
            "the size of the file to go back."
        ]
        assert here.state.image_words.endswith("0.5 x 0.5 x 3 mm")
        assert [lies_elsewhere(layer, image) for layer in masks] == [False] * drawn
        assert all(mask.data[2, 20, 20] == 2 for mask in masks)
    here.give_size(size_of_file(here))
    rest(here)
    for _ in range(2):
        assert volume_of(image).spacing == FILE
        assert said(here) == []
        assert not any(lies_elsewhere(layer, image) for layer in masks)
        here = opens(path)
        image, *masks = here.viewer.layers


def test_a_size_is_not_taken_from_another_image_nor_where_the_file_says_another_by_now(
    opens: Opens, tmp_path: Path
) -> None:
    path = scan(tmp_path / "scan.ome.tif")
    here = opens(path)
    here.viewer.layers[0].scale = RIGHT
    rest(here)
    other = scan(tmp_path / "other.ome.tif", shift=1)
    assert volume_of(opens(other).viewer.layers[0]).spacing == FILE
    mended = scan(tmp_path / "mended.ome.tif", (3.0, 0.4, 0.4))
    here = opens(mended)
    assert volume_of(here.viewer.layers[0]).spacing == (3.0, 0.4, 0.4)
    assert said(here) == []
    here.viewer.layers[0].scale = (3.0, 0.6, 0.6)
    rest(here)
    assert volume_of(opens(path).viewer.layers[0]).spacing == RIGHT
    assert volume_of(opens(mended).viewer.layers[0]).spacing == (3.0, 0.6, 0.6)


def test_what_is_damaged_of_a_size_does_not_keep_an_image_from_opening(opens: Opens, tmp_path: Path) -> None:
    path = scan(tmp_path / "scan.ome.tif")
    here = opens(path)
    here.viewer.layers[0].scale = RIGHT
    rest(here)
    (session,) = here.recorder.arrivals.sessions.values()
    kept = session.writer.call(lambda store: store.metas(SIZE)).result()
    for damaged in ("[", "{}", "[1]", '[[{"spacing": [1, 1, 1], "unit": "mm"}, {"spacing": [0, 1, 1], "unit": "mm"}]]'):
        (session,) = here.recorder.arrivals.sessions.values()
        for fingerprint in kept:
            session.writer.call(lambda store, key=SIZE + fingerprint, text=damaged: store.put_meta(key, text)).result()
        here = opens(path)
        assert volume_of(here.viewer.layers[0]).spacing == FILE


def test_a_size_that_the_file_lacks_is_remembered_with_its_unit(opens: Opens, tmp_path: Path) -> None:
    plain, metric = scan(tmp_path / "plain.tif", None), scan(tmp_path / "other.nii.gz", shift=1)
    here = opens(plain)
    image = here.viewer.layers[0]
    image.units = ("um",) * 3
    image.scale = RIGHT
    rest(here)
    for beside in ([], [metric]):  # which are told in millimetres there
        here = opens(*beside, plain)
        image = here.viewer.layers[-1]
        volume = volume_of(image)
        assert np.allclose(np.multiply(volume.spacing, {"um": 1, "mm": 1000}[volume.unit]), RIGHT)
        assert "while the file says no size;" in said(here)[0]
        assert volume_of(here.viewer.layers[0]).spacing == (FILE if beside else RIGHT)


@pytest.mark.parametrize("drawn", [False, True])
def test_a_project_knows_the_size_that_was_corrected_before(
    drawn: bool, opens: Opens, tmp_path: Path, spots: Path
) -> None:
    """Also where there is no work on the image that would come along, and where the project segments the file."""
    path = scan(tmp_path / "images" / "scan.ome.tif")
    here = opens(path)
    if drawn:
        mask = empty_mask(here.viewer, here.viewer.layers[0])
        rest(here)
        mask.data_setitem((np.array([2]), np.array([20]), np.array([20])), 2)
    here.viewer.layers[0].scale = RIGHT
    rest(here)
    here = opens()
    here.batch.choose_folder(path.parent)
    rest(here, 12)
    here.batch.choose_model(spots)
    here.batch.open(path)
    rest(here, 12)
    image = here.viewer.layers[0]
    assert volume_of(image).spacing == RIGHT
    assert len(said(here)) == 1
    if not drawn:
        here.batch.segment()
        rest(here)
        fingerprint, told = here.engine.orders[-1]["sized"]
        assert (here.engine.orders[-1]["path"], len(fingerprint)) == (str(path), 32)
        assert size_of(told, Size(FILE, "mm")).spacing == RIGHT
    here.give_size(size_of_file(here))
    rest(here)
    assert here.batch.project.cases[path].image.spacing == FILE
    assert here.batch.project.cases[path].size == ""


def test_nothing_is_segmented_before_it_is_known_which_size_counts(opens: Opens, tmp_path: Path) -> None:
    """A large image is compared with the one of which the session knows the size, and that takes a moment."""
    values = np.random.default_rng(0).integers(0, 200, (30, 40, 50)).astype(np.uint8)
    other = values.copy()
    other[values.shape[0] // 2 - 1] ^= 1
    paths = [
        write(Volume(voxels, "ZYX", FILE, "mm"), tmp_path / name)
        for voxels, name in ((values, "scan.nii.gz"), (other, "twin.nii.gz"))
    ]
    here = opens(paths[0])
    here.viewer.layers[0].scale = RIGHT
    let_come(here)
    for path, spacing in zip(paths, (RIGHT, FILE), strict=True):
        here = opens()
        with held(here):
            here.viewer.add_layer(Layer.create(*layer_data(read(path), "image")[0]))
            rest(here)
            assert not here.state.can_run
            assert [finding.text for finding in here.state.findings] == [COMPARING]
        let_come(here)
        assert volume_of(here.viewer.layers[0]).spacing == spacing
        assert here.state.can_run
        assert len(said(here)) == (spacing == RIGHT)


def test_what_the_axes_are_is_proposed_again_and_is_no_correction(opens: Opens, tmp_path: Path) -> None:
    """Of an image that another reader has opened."""
    path = tmp_path / "stack.tif"
    path.write_bytes(bytes(range(200)))
    for again in (False, True):
        here = opens()
        with layer_source(path=str(path)):
            here.viewer.add_image(np.random.default_rng(0).random((3, 40, 50)), scale=(1.0, 0.5, 0.5), name="stack")
        rest(here)
        assert here.state.question is not None
        first, *others = here.state.question.choices
        assert (first.value == "CYX", "(as you answered before)" in first.title) == (again, again)
        assert not any("before" in choice.title for choice in others)
        here.answer("CYX")
        rest(here)
        assert (here.state.question, said(here)) == (None, [])


def test_another_unit_of_the_viewer_is_no_correction(opens: Opens, tmp_path: Path) -> None:
    path = scan(tmp_path / "scan.nii.gz")
    here = opens(path)
    here.viewer.layers.units = ("micrometer",) * 3
    rest(here)
    assert said(here) == []
    assert here.recorder.arrivals.sessions == {}
    assert volume_of(opens(path).viewer.layers[0]).spacing == FILE


def test_a_given_size_counts_at_once_for_image_masks_and_model(opens: Opens, tmp_path: Path) -> None:
    """And what is shown stays: napari leaves the slices empty when units change."""
    here = opens(scan(tmp_path / "scan.tif", None))
    image = here.viewer.layers[0]
    here.choose_model(hippocampus(here))
    mask = empty_mask(here.viewer, image)
    rest(here)
    here.viewer.dims.set_point(0, 2)
    doubts = [finding for finding in here.state.findings if finding.cures == (GIVE_SIZE,)]
    assert ["no voxel size" in doubt.text for doubt in doubts] == [True]
    here.give_size(Size((3.0, 0.5, 0.5), "um"))
    rest(here)
    assert not any(finding.cures == (GIVE_SIZE,) for finding in here.state.findings if "no voxel size" in finding.text)
    assert here.state.voxel_size == "0.5 x 0.5 x 3 µm"
    assert not lies_elsewhere(mask, image)
    assert here.viewer.dims.point[0] == 6
    for layer in (image, mask):
        layer.refresh()
        assert not layer._slice.empty
    mask.mode, mask.brush_size = "paint", 1
    mask.paint(image.world_to_data((6, 10, 10)), 2)
    assert mask.data[2, 20, 20] == 2


def test_voxels_far_too_large_are_refused_with_a_way_to_give_their_size(opens: Opens, tmp_path: Path) -> None:
    here = opens(scan(tmp_path / "scan.nii.gz", (900.0, 900.0, 900.0)))
    here.choose_model(hippocampus(here))
    rest(here)
    (refusal,) = [finding for finding in here.state.findings if finding.level == "refusal"]
    assert "correct its spacing or its unit" in refusal.text
    assert GIVE_SIZE in refusal.cures
    here.give_size(Size((1.0, 1.0, 1.0), "mm"))
    rest(here)
    assert here.state.can_run


def test_the_size_is_asked_for_in_the_order_in_which_people_say_it(qtbot: Any) -> None:
    dialog = SizeDialog(None, "scan", "ZYX", Size((), "pixel"), Size((), "pixel"))
    qtbot.addWidget(dialog)
    assert (dialog.size, dialog.fine.isEnabled(), dialog.unit.currentText()) == (None, False, "µm")
    for axis, typed in {"X": "0.5", "Y": " 0,5 ", "Z": "3"}.items():
        dialog.fields[axis].setText(typed)
    assert dialog.fine.isEnabled()
    assert dialog.size == Size((3.0, 0.5, 0.5), "um")
    dialog.unit.setCurrentText("mm")
    assert dialog.size == Size((3.0, 0.5, 0.5), "mm")
    for typed in ("", "0", "-1", "inf", "nan", "two"):
        dialog.fields["Y"].setText(typed)
        assert (dialog.size, dialog.fine.isEnabled()) == (None, False)


def test_a_size_that_nobody_changes_stays_what_it_was(qtbot: Any) -> None:
    for now in (Size((0.33333333333, 0.0000123), "mm"), Size((2.0, 2.0), "m")):
        dialog = SizeDialog(None, "scan", "YX", now, now)
        qtbot.addWidget(dialog)
        assert dialog.size is not None
        assert dialog.size.is_same(now)
