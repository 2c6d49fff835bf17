"""A mask goes out as it is at that moment, with the record of where it comes from."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from controlled import rest
from napari.components import ViewerModel
from napari.layers import Image, Labels
from qtpy.QtCore import QTimer

from napari_seg.data.formats import read, write
from napari_seg.data.volume import Volume
from napari_seg.editing.annotation import Entry
from napari_seg.errors import SegError
from napari_seg.gui import manifest, saving
from napari_seg.gui.arrivals import files_of
from napari_seg.gui.controller import Controller
from napari_seg.gui.engine import Finished
from napari_seg.gui.layers import CLASSES, KEY, OBJECTS, layer_data
from napari_seg.gui.opening import open_path
from napari_seg.gui.track import Track
from napari_seg.session.provenance import EXPORT
from napari_seg.session.writer import Writer

SETTINGS = {"device": "cpu", "precision": "fp32", "threshold": None, "seeds": None, "smallest": None}


@pytest.fixture
def shown(engine: Any, spots: Path, picture: np.ndarray) -> Iterator[Controller]:
    """A window with an image and its mask of three objects."""
    viewer = ViewerModel()
    controller = Controller(viewer, engine, who="Ann")
    controller.choose_model(spots)
    viewer.add_image(picture, name="Miller, Eve")
    rest(controller)
    controller.run()
    labels = np.zeros(picture.shape, np.uint8)
    for k in (1, 2, 3):
        labels[10 * k : 10 * k + 5, 5:9] = k
    told = {"notes": [], "seconds": 1.0, "settings": SETTINGS, "model_hash": "0f", "doubt": 0.1}
    sizes = [[k, 20] for k in (1, 2, 3)]
    engine.say(Finished(len(engine.orders), {"labels": labels, "axes": "YX", "sizes": sizes, **told}))
    rest(controller)
    yield controller
    controller.close()


@pytest.fixture
def overlapping(engine: Any, model_file: Callable[..., Path]) -> Iterator[Controller]:
    """A window with an image and the masks of two classes that overlap."""
    controller = Controller(ViewerModel(), engine, who="Ann")
    controller.choose_model(model_file("overlapping", ndim=3, classes=("liver", "tumour")))
    scan = Volume(np.random.default_rng(0).random((8, 40, 50), np.float32), "ZYX", (1.0, 1.0, 1.0), "mm", name="scan")
    ((data, about, _),) = layer_data(scan, "image")
    controller.viewer.add_image(data, **about)
    rest(controller)
    controller.run()
    labels = np.zeros((2, 8, 40, 50), np.uint8)
    labels[0, :, 10:30, 10:30] = labels[1, :, 15:20, 15:20] = 1
    told = {"notes": [], "seconds": 1.0, "settings": SETTINGS, "model_hash": "0f", "doubt": 0.1}
    engine.say(Finished(len(engine.orders), {"labels": labels, "axes": "CZYX", "sizes": [[1, 3200], [2, 200]], **told}))
    rest(controller)
    yield controller
    controller.close()


def log_of(controller: Controller) -> list[tuple[str, dict[str, Any]]]:
    (track,) = controller.recorder.tracks()
    found = track.session.writer.call(lambda store: store.log(track.row.id)).result()
    return [(what, details) for _, _, _, what, _, details in found if "export" in what]


def test_the_record_lies_beside_the_mask(shown: Controller, tmp_path: Path) -> None:
    mask = shown.viewer.layers[-1]
    mask.data_setitem((np.array([60, 60]), np.array([60, 61])), 9)
    mask.data[70, 70] = 12  # without an event
    shown.save(tmp_path / "mask.nii.gz")
    rest(shown)
    assert shown.state.saved.startswith("Saved mask.nii.gz at ")
    assert shown.state.saved.endswith(", with mask.review.json")
    text = (tmp_path / "mask.review.json").read_text()
    found = json.loads(text)
    assert found["prediction"]["model"] == "tiny instance 2D"
    assert [(step["who"], step["tool"]) for step in found["steps_by_hand"]] == [("Ann", "edit")]
    assert found["review"]["unseen"] == 5
    assert "Miller" not in text
    ((what, details),) = log_of(shown)
    assert (what, details["file"]) == ("export", "mask.nii.gz")
    (track,) = shown.recorder.tracks()
    head = track.session.writer.call(lambda store: store.image(track.row.id).head).result()
    assert found["mask"]["revision"] == head
    (extension,) = nib.load(tmp_path / "mask.nii.gz").header.extensions
    told = json.loads(extension.get_content().rstrip(b"\0"))
    assert {key: told[key] for key in ("model", "model_hash")} == {
        key: found["prediction"][key] for key in ("model", "model_hash")
    }
    assert (told["revision"], told["steps_by_hand"]) == (head, 1)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".nrrd", ".tif", ".ome.tif", ".png", ".ome.zarr"])
def test_nobody_is_asked_whether_a_mask_that_was_saved_here_is_one(
    shown: Controller, tmp_path: Path, suffix: str
) -> None:
    """But of an image beside it that has the same name, or holds the same, as nothing in its file tells."""
    person: Any = SimpleNamespace(wait_for=lambda _, work: work())
    shown.save(tmp_path / f"cells{suffix}")
    rest(shown)
    assert (tmp_path / "cells.review.json").exists()
    ((labels, about, kind),) = open_path(tmp_path / f"cells{suffix}", person).layers
    assert (kind, about["metadata"][OBJECTS]) == ("labels", True)
    np.testing.assert_array_equal(labels, shown.viewer.layers[-1].data)
    if suffix not in (".tif", ".ome.zarr"):
        path = write(Volume(np.asarray(labels), "YX"), tmp_path / "cells.tif")
        asking: Any = SimpleNamespace(image_or_labels=lambda _: "image", wait_for=lambda _, work: work())
        assert [kind for _, _, kind in open_path(path, asking).layers] == ["image"]


def test_a_mask_drawn_by_hand_is_saved_too(engine: Any, tmp_path: Path) -> None:
    scan = Volume(np.random.default_rng(0).random((8, 40, 50), np.float32), "ZYX", (2.0, 1.0, 1.0), "mm", np.eye(4))
    scan = replace(scan, affine=np.diag([1.0, 1.0, 2.0, 1.0])[[2, 1, 0, 3]])
    path = write(scan, tmp_path / "scan.nii.gz")
    controller = Controller(ViewerModel(), engine, who="Ann")
    ((data, about, _),) = layer_data(read(path), "image")
    controller.viewer.add_image(data, **about)
    rest(controller)
    controller.begin_mask()
    rest(controller)
    (track,) = controller.recorder.tracks()
    track.layer.data_setitem((np.array([3, 3]), np.array([9, 9]), np.array([20, 21])), 4)
    wanted = controller.proposed_path_of(track)
    assert wanted == tmp_path / "scan_mask.nii.gz"
    controller.save_one(track, path)
    assert "images are never replaced" in controller._saving.trouble
    controller.save_one(track, wanted)
    rest(controller)
    assert controller.state.saved.startswith("Saved scan_mask.nii.gz at ")
    found = read(wanted)
    np.testing.assert_array_equal(found.data, track.layer.data)
    np.testing.assert_allclose(found.affine, read(path).affine)
    record = json.loads((tmp_path / "scan_mask.review.json").read_text())
    assert [(step["who"], step["tool"]) for step in record["steps_by_hand"]] == [("Ann", "edit")]
    planes = Volume(np.zeros((2, 8, 40, 50), np.uint8), "CZYX", scan.spacing, "mm", scan.affine, ("a", "b"))
    several = write(planes, tmp_path / "several.nii.gz")
    before = several.read_bytes()
    controller.save_one(track, several)
    rest(controller)
    assert controller._saving.trouble.endswith("2 masks or channels, this is one of them; choose another name.")
    assert several.read_bytes() == before
    track.layer.translate = track.layer.translate + 30
    controller.save_one(track, tmp_path / "moved.nii.gz")
    assert "was not saved, as the mask no longer lies on its image" in controller._saving.trouble
    controller.close()


def test_what_is_said_of_files_is_said_of_the_mask_in_hand(shown: Controller, tmp_path: Path) -> None:
    mask, layers = shown.viewer.layers[-1], shown.viewer.layers
    assert shown.state.saved == "Not exported to a file yet"
    shown.save(tmp_path / "mask.tif")
    rest(shown)
    saved = shown.state.saved
    assert saved.startswith("Saved mask.tif at ")
    shown.begin_mask()
    rest(shown)
    other = layers.selection.active
    assert (other is not mask, shown.state.saved) == (True, "Not exported to a file yet")
    layers.selection.active = mask
    rest(shown)
    assert shown.state.saved == saved
    mask.data_setitem((np.array([60]), np.array([60])), 9)
    rest(shown)
    assert shown.state.saved == f"{saved}; changed since"
    layers.selection.active = other
    shown.save_one(shown.recorder.track(other), tmp_path / "other.tif")
    rest(shown)
    assert shown.state.saved.startswith("Saved other.tif at ")
    shown.save_one(shown.recorder.track(mask), tmp_path / "mask.tif")  # as from the menu of a mask
    rest(shown)
    assert shown.state.saved.startswith("Saved other.tif at ")


def test_of_work_that_is_taken_up_again_only_what_is_known_is_said(engine: Any, tmp_path: Path) -> None:
    path = write(Volume(np.ones((40, 50), np.uint8), "YX"), tmp_path / "cells.png")

    def opened() -> Controller:
        controller = Controller(ViewerModel(), engine, who="Ann")
        ((data, about, _),) = layer_data(read(path), "image")
        controller.viewer.add_image(data, **about)
        rest(controller)
        return controller

    first = opened()
    first.begin_mask()
    rest(first)
    first.viewer.layers[-1].data_setitem((np.array([6]), np.array([6])), 2)
    rest(first)
    first.close()
    second = opened()
    assert second.state.saved == "Not exported to a file yet"
    second.save_one(second.recorder.tracks()[0], tmp_path / "mask.tif")
    rest(second)
    second.close()
    third = opened()
    assert len(third.recorder.tracks()) == 1
    assert third.state.saved == ""  # it went out, but that was not seen here
    third.close()


@pytest.mark.parametrize("suffix", [".ome.tif", ".nii.gz", ".nrrd", ".ome.zarr"])
def test_classes_that_overlap_are_saved_together(overlapping: Controller, tmp_path: Path, suffix: str) -> None:
    person: Any = SimpleNamespace(wait_for=lambda _, work: work())  # who is asked nothing
    liver, tumour = overlapping.viewer.layers[-2:]
    tumour.data_setitem((np.array([3, 3]), np.array([35, 35]), np.array([40, 41])), 1)
    track = overlapping.recorder.track(tumour)
    overlapping.recorder.say(track, {"class 1": Entry(comment="tumor")}, "rename")
    overlapping.save(tmp_path / f"mask{suffix}")
    rest(overlapping)
    assert overlapping.state.findings == ()
    assert overlapping.state.saved.startswith(f"Saved mask{suffix} (a plane for each class: liver, tumor) at ")
    assert overlapping.state.saved.endswith(", with mask.review.json")
    found = read(tmp_path / f"mask{suffix}")
    assert found.axes == "CZYX"
    assert found.channels == (() if suffix in (".nii.gz", ".nrrd") else ("liver", "tumor"))  # these hold no names
    np.testing.assert_array_equal(found.data, [liver.data, tumour.data])
    record = json.loads((tmp_path / "mask.review.json").read_text())
    assert (record["mask"]["numbers"], record["mask"]["classes"]) == ("classes", ["liver", "tumor"])
    overlapping.going_out([tumour.data])(tmp_path / "one.nii.gz")
    assert "one.nii.gz" not in overlapping.state.saved
    overlapping.going_out([tumour.data, liver.data])(tmp_path / "both.nii.gz")
    rest(overlapping)
    assert overlapping.state.saved.startswith("Saved both.nii.gz")
    assert [(step["tool"], step["steps"], step["voxels"]) for step in record["steps_by_hand"]] == [
        ("edit", 1, 2),
        ("rename", 1, 0),
    ]
    opened = open_path(tmp_path / f"mask{suffix}", person)
    assert [about["metadata"][CLASSES] for _, about, _ in opened.layers] == [("liver",), ("tumor",)]


def test_a_format_without_planes_says_which_has_them(overlapping: Controller, tmp_path: Path) -> None:
    overlapping.save(tmp_path / "mask.png")
    rest(overlapping)
    assert (
        "A PNG holds one 2D picture, not the axes CZYX; end the name with .tif." in overlapping.state.findings[0].text
    )
    assert list(tmp_path.glob("mask*")) == []


def test_what_is_painted_while_the_file_is_written_is_not_in_it(shown: Controller, tmp_path: Path) -> None:
    mask = shown.viewer.layers[-1]
    shown.save(tmp_path / "mask.tif")  # a thread will write it
    mask.data_setitem((np.array([60]), np.array([60])), 9)
    rest(shown)
    assert int(np.asarray(read(tmp_path / "mask.tif").data).max()) == 3
    assert json.loads((tmp_path / "mask.review.json").read_text())["review"]["unseen"] == 3
    assert mask.data[60, 60] == 9


def test_a_mask_that_could_not_be_written_has_no_record(shown: Controller, tmp_path: Path) -> None:
    shown.save(tmp_path / "mask.bmp")
    rest(shown)
    assert "does not say the format" in shown.state.findings[0].text
    assert list(tmp_path.glob("*.json")) == []
    assert [what for what, _ in log_of(shown)] == ["export", "export failed"]


def test_a_record_that_could_not_be_written_is_told(
    shown: Controller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(record: dict[str, Any], path: Path) -> None:
        raise SegError("mask.review.json could not be written (no space left); choose another folder.")

    monkeypatch.setattr(saving, "write_record", refuse)
    shown.save(tmp_path / "mask.tif")
    rest(shown)
    words = "Saved mask.tif, but not where it comes from. mask.review.json could not be written"
    assert shown.state.findings[0].text.startswith(words)
    assert (tmp_path / "mask.tif").exists()


@pytest.fixture
def full() -> Iterator[Callable[[Track], Callable[[], None]]]:
    """The session of a mask may not grow any more, as on a full disk. Returns what frees the space, which is freed in
    any case before the fixtures named before this one end: they would wait for it."""

    def fill(track: Track) -> Callable[[], None]:
        track.session.writer.call(lambda store: store._sql.execute("PRAGMA max_page_count = 1").fetchone()).result()
        filled.append(partial(allow, track.session.writer))
        return filled[-1]

    def allow(writer: Writer) -> None:
        writer._store._sql.execute("PRAGMA max_page_count = 1000000").fetchone()

    filled = list[Callable[[], None]]()
    yield fill
    for free in filled:
        free()


def test_a_mask_can_be_saved_while_an_undo_waits_for_a_full_disk(
    shown: Controller, full: Callable[[Track], Callable[[], None]], tmp_path: Path
) -> None:
    """As it is on the screen: the step is not taken yet."""
    mask, (track,) = shown.viewer.layers[-1], shown.recorder.tracks()
    before = mask.data.copy()
    free = full(track)
    mask.data_setitem(tuple(np.indices(mask.data.shape)), np.random.default_rng(0).integers(0, 200, mask.data.shape))
    painted = mask.data.copy()
    shown.recorder.undo(mask)
    shown.save_one(track, tmp_path / "mask.tif")
    until = time.monotonic() + 60
    while not shown.state.findings and time.monotonic() < until:
        shown.tick()
    words = shown.state.findings[0].text
    assert words.startswith("Saved mask.tif, but not where it comes from. The disk of ")
    assert words.endswith(" is full; free some space.")
    np.testing.assert_array_equal(read(tmp_path / "mask.tif").data, painted)
    np.testing.assert_array_equal(mask.data, painted)
    free()
    rest(shown)
    np.testing.assert_array_equal(mask.data, before)
    assert shown.state.saved.endswith(", but not where it comes from; changed since")


def test_a_mask_goes_to_another_disk_while_that_of_its_session_is_full(
    shown: Controller, full: Callable[[Track], Callable[[], None]], tmp_path: Path
) -> None:
    mask, (track,) = shown.viewer.layers[-1], shown.recorder.tracks()
    free = full(track)
    mask.data_setitem(tuple(np.indices(mask.data.shape)), np.random.default_rng(0).integers(0, 200, mask.data.shape))
    shown.save_one(track, tmp_path / "mask.tif")
    while not shown.state.findings:
        shown.tick()
    words = "Saved mask.tif, but not where it comes from. The disk of "
    assert shown.state.findings[0].text.startswith(words)
    assert shown.state.findings[0].text.endswith(" is full; free some space.")
    assert shown.state.saved.startswith("Saved mask.tif at ")
    assert shown.state.saved.endswith(", but not where it comes from")
    np.testing.assert_array_equal(read(tmp_path / "mask.tif").data, mask.data)
    assert not (tmp_path / "mask.review.json").exists()
    free()
    rest(shown)
    shown.save_one(track, tmp_path / "mask.tif")
    rest(shown)
    assert shown.state.saved.endswith(", with mask.review.json")


def test_what_changed_without_an_event_is_kept_when_a_layer_is_closed(shown: Controller) -> None:
    mask = shown.viewer.layers[-1]
    (track,) = shown.recorder.tracks()
    mask.data[70, 70] = 12
    shown.viewer.layers.remove(mask)
    rest(shown)
    kept = track.session.writer.call(lambda store: store.labels(track.row.id, track.plane)).result()
    assert kept[70, 70] == 12


def test_file_save_of_napari_writes_the_record_too(
    make_napari_viewer: Callable[..., Any], plugin: None, tmp_path: Path, qtbot: Any
) -> None:
    viewer = make_napari_viewer()
    viewer.window.add_plugin_dock_widget("napari-seg", "Segmentation panel")
    viewer.add_image(np.random.default_rng(0).random((40, 50)), name="cells")
    mask = viewer.add_labels(np.zeros((40, 50), np.uint16), name="by hand")
    recorder = next(panel.controller.recorder for panel in viewer.window.dock_widgets.values())
    qtbot.waitUntil(lambda: recorder.track(mask) is not None, timeout=20_000)
    mask.data_setitem((np.array([6]), np.array([6])), 9)
    viewer.layers.selection = {mask}
    viewer.layers.save(str(tmp_path / "out.nii.gz"), selected=True, plugin="napari-seg")
    found = json.loads((tmp_path / "out.review.json").read_text())
    assert found["prediction"] is None
    assert [(step["tool"], step["steps"]) for step in found["steps_by_hand"]] == [("edit", 1)]
    assert int(np.asarray(read(tmp_path / "out.nii.gz").data).max()) == 9
    (extension,) = nib.load(tmp_path / "out.nii.gz").header.extensions
    told = json.loads(extension.get_content().rstrip(b"\0"))
    assert told["steps_by_hand"] == 1
    assert "model" not in told


@pytest.fixture
def organs(tmp_path: Path, make_napari_viewer: Callable[..., Any], plugin: None) -> tuple[Any, Path, Any]:
    """A window without the panel, with the two masks that a file had a plane for each of."""
    planes = np.zeros((2, 4, 20, 30), np.uint8)
    planes[0, 1:3, 3:9, 3:9], planes[1, 2, 5:7, 5:7] = 1, 1
    path = write(
        Volume(planes, "CZYX", (2.0, 1.0, 1.0), "mm", channels=("liver", "tumour")), tmp_path / "organs.ome.tif"
    )
    viewer = make_napari_viewer()
    person: Any = SimpleNamespace(image_or_labels=lambda _: "labels", wait_for=lambda _, work: work())
    for data, about, _ in open_path(path, person).layers:
        viewer.add_labels(data, **about)
    return viewer, path, planes


@pytest.mark.parametrize("panel", [True, False])
@pytest.mark.parametrize("name", ["new.nii.gz", "new.nrrd", "new.ome.zarr", "organs.ome.tif"])
def test_file_save_of_napari_puts_the_planes_of_a_mask_into_one_file_again(
    organs: tuple[Any, Path, Any], tmp_path: Path, qtbot: Any, name: str, panel: bool
) -> None:
    viewer, _, planes = organs
    if panel:
        viewer.add_image(np.random.default_rng(0).random((4, 20, 30)), scale=(2, 1, 1), units="mm")
        viewer.window.add_plugin_dock_widget("napari-seg", "Segmentation panel")
        recorder = next(panel.controller.recorder for panel in viewer.window.dock_widgets.values())
        masks = viewer.layers[:2]
        qtbot.waitUntil(lambda: all(recorder.track(mask) is not None for mask in masks), timeout=20_000)
        recorder.say(recorder.track(masks[1]), {"class 1": Entry(comment="tumor")}, "rename")
    viewer.layers[0].data_setitem((np.array([0]), np.array([19]), np.array([29])), 1)
    planes[0, 0, 19, 29] = 1
    viewer.layers.selection = set(viewer.layers[:2])
    viewer.layers.save(str(tmp_path / name), selected=True, plugin="napari-seg")
    found = read(tmp_path / name)
    assert (found.axes, found.spacing, found.unit) == ("CZYX", (2.0, 1.0, 1.0), "mm")
    np.testing.assert_array_equal(np.asarray(found.data), planes)
    names = ("liver", "tumor" if panel else "tumour")
    assert found.channels == (names if "ome" in name else ())
    records = [json.loads(record.read_text()) for record in tmp_path.glob("*.review.json")]
    assert [record["mask"]["classes"] for record in records] == [[*names]] * panel
    assert [record["steps_by_hand"][0]["tool"] for record in records] == ["edit"] * panel


def test_only_masks_that_are_classes_in_one_place_go_into_one_file(
    organs: tuple[Any, Path, Any], tmp_path: Path
) -> None:
    viewer, path, planes = organs
    before = path.read_bytes()

    def refused(others: str) -> None:
        with pytest.raises(SegError, match=others):
            viewer.layers.save(str(path), plugin="napari-seg")
        assert path.read_bytes() == before

    third = viewer.add_labels(planes[0], scale=(2, 1, 1), units="mm", name="third")
    third.translate = (0, 0, 0.5)
    refused("third does not lie where organs liver lies; save each in a file of its own.")
    third.translate = (0, 0, 0)
    third.metadata[OBJECTS] = True
    refused("third counts objects, which is no class; save it in a file of its own.")
    third.metadata[OBJECTS] = False
    viewer.layers.reverse()
    viewer.layers.save(str(tmp_path / "three.ome.tif"), plugin="napari-seg")
    found = read(tmp_path / "three.ome.tif")
    assert (found.channels, found.spacing) == (("third", "tumour", "liver"), (2.0, 1.0, 1.0))
    np.testing.assert_array_equal(np.asarray(found.data), planes[[0, 1, 0]])
    viewer.layers.remove(third)
    viewer.add_labels(planes[0, 0], name="picture")
    refused("picture does not lie where")
    viewer.layers.remove("picture")
    more = np.concatenate([planes, planes])
    names = ("a", "b", "c", "d")
    write(Volume(more, "CZYX", (2.0, 1.0, 1.0), "mm", channels=names), path)
    before = path.read_bytes()
    refused("organs.ome.tif holds 4 masks or channels, these are 2 of them; choose another name.")


def test_the_window_lives_while_file_save_writes_what_was_there(
    make_napari_viewer: Callable[..., Any], plugin: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, qtbot: Any
) -> None:
    viewer = make_napari_viewer()
    viewer.window.add_plugin_dock_widget("napari-seg", "Segmentation panel")
    viewer.add_image(np.random.default_rng(0).random((40, 50)), name="cells")
    mask = viewer.add_labels(np.full((40, 50), 3, np.uint16), name="by hand")
    controller = next(panel.controller for panel in viewer.window.dock_widgets.values())
    recorder = controller.recorder
    qtbot.waitUntil(lambda: recorder.track(mask) is not None, timeout=20_000)
    painted = threading.Event()

    def writing(*about: Any) -> Path:
        assert painted.wait(20)
        return write(*about)

    def paint() -> None:
        mask.data_setitem((np.array([6]), np.array([6])), 9)
        painted.set()

    monkeypatch.setattr(manifest, "write", writing)
    viewer.layers.selection = {mask}
    QTimer.singleShot(150, paint)
    viewer.layers.save(str(tmp_path / "out.nii.gz"), selected=True, plugin="napari-seg")
    assert (np.asarray(read(tmp_path / "out.nii.gz").data) == 3).all()
    assert json.loads((tmp_path / "out.review.json").read_text())["steps_by_hand"] == []
    qtbot.waitUntil(lambda: controller.state.saved.endswith("; changed since"), timeout=20_000)
    viewer.layers.save(str(tmp_path / "out.nii.gz"), selected=True, plugin="napari-seg")
    qtbot.waitUntil(lambda: not controller.state.saved.endswith("; changed since"), timeout=20_000)
    assert controller.state.saved.startswith("Saved out.nii.gz at ")
    track = recorder.track(mask)

    def kept() -> Any:
        return track.session.writer.call(lambda store: store.labels(track.row.id, track.plane)).result()

    qtbot.waitUntil(lambda: kept()[6, 6] == 9, timeout=20_000)
    monkeypatch.setattr(manifest, "write", lambda *about: 1 / 0)
    with pytest.raises(Exception, match="division"):
        viewer.layers.save(str(tmp_path / "out.nii.gz"), selected=True, plugin="napari-seg")
    log = track.session.writer.call(lambda store: [line[3] for line in store.log(track.row.id)]).result()
    assert log[-2:] == [EXPORT, f"{EXPORT} failed"]


def test_file_save_of_napari_does_not_wait_for_a_full_disk(
    make_napari_viewer: Callable[..., Any],
    plugin: None,
    full: Callable[[Track], Callable[[], None]],
    tmp_path: Path,
    qtbot: Any,
) -> None:
    viewer = make_napari_viewer()
    viewer.window.add_plugin_dock_widget("napari-seg", "Segmentation panel")
    viewer.add_image(np.random.default_rng(0).random((100, 100)), name="cells")
    mask = viewer.add_labels(np.zeros((100, 100), np.uint16), name="by hand")
    controller = next(panel.controller for panel in viewer.window.dock_widgets.values())
    recorder = controller.recorder
    qtbot.waitUntil(lambda: recorder.track(mask) is not None and recorder.rests, timeout=20_000)
    free = full(recorder.track(mask))
    mask.data_setitem(tuple(np.indices(mask.data.shape)), np.random.default_rng(0).integers(0, 60_000, mask.data.shape))
    viewer.layers.selection = {mask}
    with pytest.raises(SegError, match=r"Saved out\.tif, but not where it comes from\. The disk of .* is full; free"):
        viewer.layers.save(str(tmp_path / "out.tif"), selected=True, plugin="napari-seg")
    np.testing.assert_array_equal(read(tmp_path / "out.tif").data, mask.data)
    free()
    qtbot.waitUntil(lambda: not recorder.safe.waiting, timeout=20_000)
    qtbot.waitUntil(lambda: controller.state.saved.startswith("Saved out.tif at "), timeout=20_000)


def test_an_image_is_never_replaced(shown: Controller, tmp_path: Path) -> None:
    path = write(Volume(np.full((40, 50), 77, np.uint8), "YX"), tmp_path / "cells.png")
    ((data, about, _),) = layer_data(read(path), "image")
    shown.viewer.add_image(data, **about)
    rest(shown)
    before = path.read_bytes()
    (tmp_path / "link.png").symlink_to(path)
    for place in (path, tmp_path / "link.png"):
        shown.save(place)
        rest(shown)
        assert "is an image, and images are never replaced" in shown._saving.trouble
        assert path.read_bytes() == before


def test_an_image_of_many_axes_beside_it_does_not_hinder_saving() -> None:
    six = Image(np.zeros((2, 2, 2, 2, 8, 8), np.uint8))
    assert files_of([six]) == []


@pytest.mark.parametrize("panel", [True, False])
def test_file_save_of_napari_never_replaces_an_image(
    make_napari_viewer: Callable[..., Any], plugin: None, tmp_path: Path, qtbot: Any, panel: bool
) -> None:
    """Under none of its names, also where somebody else has read it, and where it is closed and its mask is not."""
    noise = np.random.default_rng(0).integers(0, 255, (2, 40, 50)).astype(np.uint8)
    path = write(Volume(noise[0], "YX", (0.5, 0.5), "um"), tmp_path / "scan.nii.gz")
    other = write(Volume(noise[1, :30], "YX"), tmp_path / "other.png")
    (tmp_path / "link.nii.gz").symlink_to(path)
    before, other_before = path.read_bytes(), other.read_bytes()
    viewer = make_napari_viewer()
    viewer.open(path, plugin="napari-seg")
    viewer.open(other, plugin="napari")
    scan, _ = viewer.layers
    mask = viewer.add_layer(Labels(**_about_mask(scan)))
    if panel:
        viewer.window.add_plugin_dock_widget("napari-seg", "Segmentation panel")
        recorder = next(panel.controller.recorder for panel in viewer.window.dock_widgets.values())
        qtbot.waitUntil(lambda: recorder.track(mask) is not None, timeout=20_000)

    def refused(layer: Any, place: Path) -> None:
        viewer.layers.selection = {layer}
        with pytest.raises(SegError, match=f"{place.name} is an image, and images are never replaced; choose another"):
            viewer.layers.save(str(place), selected=True, plugin="napari-seg")
        assert (path.read_bytes(), other.read_bytes()) == (before, other_before)

    for layer in (mask, scan):
        for place in (path, tmp_path / "link.nii.gz", other):
            refused(layer, place)
    if panel:
        viewer.layers.remove(scan)
        refused(mask, path)
    for _ in range(2):  # what is no image is replaced
        assert viewer.layers.save(str(tmp_path / "mask.nii.gz"), selected=True, plugin="napari-seg")


def _about_mask(scan: Any) -> dict[str, Any]:
    (data, about, _), *_ = layer_data(scan.metadata[KEY].mask(np.full((40, 50), 3, np.uint16)), "labels")
    return {"data": data, **about}
