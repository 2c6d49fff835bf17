"""Do the numbers of a mask count objects? Its file says so, or it is guessed and said; a person has the last word."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from controlled import rest, twelve_cells
from napari.components import ViewerModel
from napari.layers._source import layer_source

from napari_seg.data.formats import write
from napari_seg.data.kinds import Kind
from napari_seg.data.volume import Source, Volume
from napari_seg.errors import SegError
from napari_seg.gui.controller import Controller
from napari_seg.gui.display import is_drawn
from napari_seg.gui.layers import CLASSES, OBJECTS, WHY
from napari_seg.gui.opening import open_path
from napari_seg.gui.pages.correct import CorrectPage
from napari_seg.gui.pages.review import ReviewPage
from napari_seg.session.cases import case, count
from napari_seg.session.provenance import provenance, record_path, write_record


class Labelled:
    """A person who says that what they open are labels."""

    def choose(self, title: str, question: Any) -> str | None:
        raise AssertionError(title)

    def image_or_labels(self, volume: Volume) -> Kind:
        return "labels"

    def wait_for(self, words: str, work: Any) -> Any:
        return work()


def organs() -> np.ndarray[Any, Any]:
    labels = np.zeros((60, 80), np.uint8)
    labels[5:30, 5:40], labels[10:20, 10:20] = 1, 2
    return labels


def shown(controller: Controller, labels: np.ndarray[Any, Any], **about: Any) -> Any:
    """A mask that was opened from a file, on its image."""
    controller.viewer.add_image(labels * 1.0, name="scan")
    return opened(controller, labels, **about)


def opened(controller: Controller, labels: np.ndarray[Any, Any], **about: Any) -> Any:
    with layer_source(path="mask.tif", reader_plugin="napari-seg"):
        layer = controller.viewer.add_labels(labels, name="mask", **about)
    rest(controller)
    return controller.recorder.track(layer)


def drawn_as_classes(track: Any) -> bool:
    return "class" in track.layer.features


def test_a_file_is_taken_for_what_it_looks_like_and_that_is_said(controller: Controller, qtbot: Any) -> None:
    page = CorrectPage(controller)
    qtbot.addWidget(page)
    track = shown(controller, organs())
    assert not controller.recorder.counts_objects(track)
    page.render()
    assert page.numbers.classes.isChecked()
    assert page.numbers.why.text().startswith("Taken for classes: of its 2 numbers one lies inside another.")
    assert [row.name for row in controller.classes.rows(track)] == ["class 1", "class 2"]
    assert drawn_as_classes(track)
    controller.viewer.layers.clear()
    cells = shown(controller, twelve_cells())
    assert controller.recorder.counts_objects(cells)
    page.render()
    assert page.numbers.objects.isChecked()
    assert "its 12 numbers come in one piece each" in page.numbers.why.text()


def test_in_a_film_all_classes_are_seen(controller: Controller) -> None:
    axes = ("t", "y", "x")
    frames = np.stack([organs(), 2 * organs(), organs()])
    frames[2][frames[2] == 2] = 1
    controller.viewer.add_image(frames * 1.0, name="scan", axis_labels=axes)
    track = opened(controller, frames, axis_labels=axes)
    assert track.row.times == 3
    assert not controller.recorder.counts_objects(track)
    assert track.extents == {}  # nobody has looked for them yet
    assert len(controller.classes.rows(track)) == 4
    assert all(is_drawn(track.layer, k) for k in (1, 2, 4))


def test_what_is_no_file_counts_objects_as_ever(controller: Controller) -> None:
    controller.viewer.add_image(organs() * 1.0, name="scan")
    layer = controller.viewer.add_labels(organs(), name="mask")
    rest(controller)
    assert controller.recorder.counts_objects(controller.recorder.track(layer))
    assert WHY not in layer.metadata


def test_a_person_has_the_last_word_which_is_a_step(controller: Controller, qtbot: Any) -> None:
    page, review = CorrectPage(controller), ReviewPage(controller)
    for widget in (page, review):
        qtbot.addWidget(widget)
    track = shown(controller, twelve_cells())
    controller.viewer.layers.selection.active = track.layer
    before = track.layer.colormap
    controller.reviewing.look()
    qtbot.waitUntil(lambda: (controller.tick(), not controller.reviewing.looking)[1], timeout=20_000)
    assert controller.reviewing.current
    page.numbers.classes.click()
    rest(controller)
    assert not controller.recorder.counts_objects(track)
    assert not controller.reviewing.current  # it was looked through as objects
    assert drawn_as_classes(track)
    assert page.numbers.why.isHidden()
    assert len(controller.classes.rows(track)) == 12
    assert not controller.recorder.annotation(track).objects
    known = track.session.writer.call(lambda store: provenance(store, track.row.id, track.plane)).result()
    assert known["mask"]["numbers"] == "classes"
    track.session.writer.call(lambda store: count(store, track.row.id, 1.0, "")).result()
    assert track.session.writer.call(lambda store: case(store, track.row.id)).result().objects is None
    page.numbers.classes.click()  # it is so already
    assert controller.recorder.safe.steps == 1
    track.layer.undo()
    rest(controller)
    assert controller.recorder.counts_objects(track)
    assert not drawn_as_classes(track)
    assert type(track.layer.colormap) is type(before)
    assert track.layer.get_color(3) is not None
    assert page.numbers.objects.isChecked()
    assert controller.recorder.safe.steps == 0


def test_it_comes_back_when_the_mask_is_opened_again(controller: Controller, engine: Any) -> None:
    track = shown(controller, organs())
    controller.recorder.mean(track, objects=True)
    rest(controller)
    assert controller.recorder.counts_objects(track)
    controller.recorder.settle()
    controller.viewer.layers.clear()
    rest(controller)
    again = shown(controller, organs())
    rest(controller)
    assert controller.recorder.counts_objects(again)
    controller.recorder.mean(again, objects=False)
    rest(controller)
    assert controller.recorder.rows(again) == {}  # as it came
    other = Controller(ViewerModel(), engine)
    try:
        controller.recorder.settle()
        rest(other)
        track = shown(other, organs() * 1)
        assert not other.recorder.counts_objects(track)
    finally:
        other.close()


def test_how_it_came_is_remembered_also_where_it_looks_otherwise_now(controller: Controller) -> None:
    controller.viewer.add_image(organs() * 1.0, name="scan")
    known = {OBJECTS: False, CLASSES: ("liver", "lesion")}
    layer = controller.viewer.add_labels(twelve_cells(), name="mask", metadata=known)
    rest(controller)
    layer.data[0, 0] = 1
    controller.recorder.settle()
    controller.viewer.layers.remove(layer)
    rest(controller)
    track = opened(controller, twelve_cells())
    assert not controller.recorder.counts_objects(track)
    assert controller.classes.names(track)[:2] == ("liver", "lesion")
    assert WHY not in track.layer.metadata


def test_numbers_that_are_too_large_are_no_classes(controller: Controller, qtbot: Any) -> None:
    page = CorrectPage(controller)
    qtbot.addWidget(page)
    track = shown(controller, twelve_cells() * 100)
    with pytest.raises(SegError, match="200 classes at the most, and the numbers of this one go up to 1200; leave"):
        controller.recorder.mean(track, objects=False)
    page.render()
    page.numbers.classes.click()
    assert page.numbers.objects.isChecked()
    assert controller.recorder.counts_objects(track)


def metadata(path: Path) -> dict[str, Any]:
    ((_, about, _),) = open_path(path, Labelled()).layers
    return about["metadata"]


def test_the_record_beside_a_mask_says_what_its_numbers_are(tmp_path: Path, controller: Controller) -> None:
    track = shown(controller, organs(), metadata={OBJECTS: False, CLASSES: ("liver", "lesion")})
    path = write(Volume(organs(), "YX", name="mask"), tmp_path / "mask.tif")
    record = track.session.writer.call(lambda store: provenance(store, track.row.id, track.plane)).result()
    where = record_path(path, "mask")
    write_record(record, where)
    found = metadata(path)
    assert (found[OBJECTS], found[CLASSES]) == (False, ("liver", "lesion"))
    assert found[WHY] == "so says mask.review.json beside it"
    write_record({**record, "mask": {"numbers": "objects", "classes": ["nucleus"]}}, where)
    assert (metadata(path)[OBJECTS], metadata(path)[CLASSES]) == (True, ("nucleus",))
    for damaged in ("{", "[]", json.dumps({**record, "format": 99}), json.dumps({**record, "mask": {"numbers": 3}})):
        where.write_text(damaged)
        assert OBJECTS not in metadata(path)


def test_a_file_that_names_its_classes_has_classes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    source = Source(tmp_path / "seg.dcm", "dicom", header={"classes": {1: "liver", 3: "vein"}})
    volume = Volume(organs(), "YX", name="seg", source=source)
    monkeypatch.setattr("napari_seg.gui.opening.read", lambda path, **known: volume)
    found = metadata(tmp_path / "seg.dcm")
    assert (found[OBJECTS], found[CLASSES], found[WHY]) == (False, ("liver", "", "vein"), "its file names them")
