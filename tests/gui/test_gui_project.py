"""Images that are open become a project, with all the work on them; others come to it; it is opened again, and found
where it was moved to."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import controlled
import numpy as np
import pytest
from controlled import paint
from napari.layers import Labels
from napari.layers._source import layer_source

from napari_seg.data.formats import write
from napari_seg.data.volume import Volume
from napari_seg.editing.annotation import Entry, object_key
from napari_seg.gui import joining, project
from napari_seg.gui.arrivals import APART
from napari_seg.gui.engine import Failed
from napari_seg.gui.project_listing import REPLACED
from napari_seg.gui.results import empty_mask
from napari_seg.gui.safety import resumed_words
from napari_seg.session.database import NAME
from napari_seg.session.projects import FOLDER, recent
from napari_seg.session.session import OTHER_WINDOW, home
from napari_seg.session.store import Store


class Window(controlled.Window):
    """With what a person does with projects."""

    def __init__(self, engine: Any) -> None:
        super().__init__(engine)
        self.resumed: list[Any] = []
        self.recorder.resumed.connect(lambda image, found: self.resumed.append(found))

    def save_as(self, name: str, parent: Path) -> str:
        said: list[str] = []
        images = [image for image, _ in self.batch.open_images()]
        self.batch.save_as(name, parent, images, said.append)
        self.rest()
        assert len(said) == 1
        return said[0]

    def choose(self, folder: Path) -> None:
        self.batch.choose_folder(folder)
        self.rest()

    def session_of(self, layer: Any) -> Any:
        return self.recorder.track(layer).session

    def ask(self, layer: Any, work: Any) -> Any:
        track = self.recorder.track(layer)
        return track.session.writer.call(lambda store: work(store, track.row.id)).result()

    @property
    def states(self) -> dict[str, str]:
        return {row.name: "missing" if row.missing else row.state for row in self.batch.state.rows}

    @property
    def troubles(self) -> list[str]:
        return [finding.text for finding in self.batch.state.findings]


@pytest.fixture
def window(open_window: Any) -> Window:
    made: Window = open_window()
    return made


def test_what_is_open_becomes_a_project_with_its_whole_history(window: Window, folder: Path, tmp_path: Path) -> None:
    window.drop(folder / "a.png")
    layer = window.mask()
    for row in (3, 5, 7):
        paint(layer, row, row)
        window.rest()
    layer.undo()
    window.rest()
    own = window.session_of(layer)
    assert window.save_as("cells", tmp_path) == ""
    assert window.session_of(layer).folder == tmp_path / "cells"
    assert window.batch.state.name == "cells"
    assert window.batch.state.current == folder / "a.png"
    assert window.states == {"a": "in work"}
    assert window.recorder.safe.steps == 2
    assert [found.tool for found in window.ask(layer, Store.history)] == ["edit"] * 3
    layer.redo()
    window.rest()
    assert layer.data[7, 7] == 7
    paint(layer, 9, 9)
    for _ in range(4):
        layer.undo()
        window.rest()
    assert not layer.data.any()
    assert own.writer.call(lambda store: store.depth(1)).result() == 2  # it stays as it was
    assert [one.folder for one in recent()] == [tmp_path / "cells"]


def test_a_step_back_is_the_same_before_and_after(window: Window, folder: Path, tmp_path: Path) -> None:
    """A row of the table and a stroke that were made before are taken back after, and the other way round."""
    window.drop(folder / "a.png")
    layer = window.mask()
    paint(layer, 3, 3)
    window.rest()
    window.recorder.lock(window.recorder.track(layer), 3, True)
    window.rest()
    window.save_as("cells", tmp_path)
    assert window.recorder.is_locked(window.recorder.track(layer), 3)
    layer.undo()
    window.rest()
    assert not window.recorder.is_locked(window.recorder.track(layer), 3)
    assert layer.data[3, 3] == 3


def test_what_is_said_after_it_was_saved_while_another_mask_comes_is_kept(
    window: Window, folder: Path, tmp_path: Path
) -> None:
    window.drop(folder / "a.png")
    layer = window.mask()
    paint(layer, 3, 3)
    window.rest()
    window.save_as("cells", tmp_path)
    track, said = window.recorder.track(layer), Entry(state="accepted", comment="mitosis")
    window.viewer.add_labels(np.zeros(layer.data.shape, np.uint8), name="another")
    for _ in range(2):
        window.engine.poll()
        track.session.writer.flush(10)  # what the session knows is on its way
    window.recorder.say(track, {object_key(3): said}, "accept")
    window.rest()
    assert window.recorder.rows(track) == {object_key(3): said}
    window.recorder.alter(track, object_key(3), "lock", locked=True)
    window.rest()
    assert window.recorder.rows(track)[object_key(3)].comment == "mitosis"
    assert window.ask(layer, Store.rows)["by hand: object 3"].comment == "mitosis"


def test_what_was_only_said_of_a_closed_mask_comes_along(window: Window, folder: Path, tmp_path: Path) -> None:
    window.drop(folder / "a.png")
    labels = np.zeros(window.viewer.layers[0].data.shape[:2], np.uint8)
    labels[3:6, 3:6] = 3

    def opened() -> Any:
        with layer_source(path=str(folder / "a_seg.tif")):
            layer = window.viewer.add_labels(labels, name="a_seg")
        window.rest()
        return layer

    layer = opened()
    window.recorder.lock(window.recorder.track(layer), 3, True)
    window.rest()
    window.viewer.layers.remove(layer)
    window.rest()
    assert window.save_as("cells", tmp_path) == ""
    layer = opened()
    assert window.session_of(layer).folder == tmp_path / "cells"
    assert window.recorder.is_locked(window.recorder.track(layer), 3)


def test_what_is_painted_while_it_is_saved_is_kept_too(
    window: Window, folder: Path, tmp_path: Path, engine: Any
) -> None:
    window.drop(folder / "a.png")
    layer = window.mask()
    paint(layer, 3, 3)
    window.rest()
    images, said = [image for image, _ in window.batch.open_images()], []
    window.batch.save_as("cells", tmp_path, images, said.append)
    paint(layer, 5, 5)  # the work is rehearsed in a thread
    window.recorder.tick()
    engine.poll()
    paint(layer, 7, 7)  # the masks are kept in the project from now on; their history is on its way
    layer.data[9, 9] = 9  # without an event
    window.rest()
    assert said == [""]
    track = window.recorder.track(layer)
    assert track.session.folder == tmp_path / "cells"
    window.recorder.settle()
    kept = window.ask(layer, lambda store, image: store.labels(image, "by hand"))
    np.testing.assert_array_equal(kept, layer.data)
    assert [kept[k, k] for k in (3, 5, 7, 9)] == [3, 5, 7, 9]
    assert len(window.ask(layer, Store.history)) == 3  # the last two lie in one block


def test_it_is_opened_again_and_images_that_are_open_are_added(
    window: Window, folder: Path, tmp_path: Path, open_window: Any
) -> None:
    window.drop(folder / "a.png")
    paint(window.mask(), 3, 3)
    window.rest()
    window.save_as("cells", tmp_path)
    window.drop(folder / "b.png")
    other = window.mask("second")
    paint(other, 5, 5)
    window.rest()
    assert window.session_of(other).folder != tmp_path / "cells"
    window.rest()
    assert window.batch.state.to_add == 1
    window.batch.add_open()
    window.rest()
    assert window.session_of(other).folder == tmp_path / "cells"
    assert (window.batch.state.to_add, window.batch.state.told) == (0, "b is in the project now.")
    assert window.states == {"a": "in work", "b": "in work"}
    window.batch.add_files([folder / "c.png", folder / "a.png"])
    window.rest()
    assert window.states == {"a": "in work", "b": "in work", "c": "new"}
    assert window.batch.state.told == "c is in the project now. a is in the project already."
    window.recorder.close()
    again = open_window()
    again.rest()
    assert [one.name for one in again.batch.state.recent] == ["cells"]
    again.choose(again.batch.state.recent[0].folder)
    assert again.states == {"a": "in work", "b": "in work", "c": "new"}
    again.batch.open(folder / "b.png")
    again.rest()
    assert again.viewer.layers["second"].data[5, 5] == 5
    again.viewer.layers["second"].undo()
    again.rest()
    assert not again.viewer.layers["second"].data.any()


def test_a_folder_and_a_saved_project_are_the_same_thing(
    window: Window, folder: Path, tmp_path: Path, open_window: Any
) -> None:
    window.drop(folder / "a.png")
    paint(window.mask(), 3, 3)
    window.rest()
    window.save_as("cells", folder)
    window.recorder.close()
    again = open_window()
    again.choose(folder)  # of images, in which the project lies
    assert again.batch.project.session.folder == folder / "cells"
    assert again.batch.state.name == "cells"
    assert again.states == {"a": "in work", "b": "new", "c": "new"}
    again.recorder.close()
    other = open_window()
    other.choose(folder / "cells")
    assert other.states == {"a": "in work", "b": "new", "c": "new"}  # the folder is remembered
    assert not (folder / FOLDER).exists()


def test_an_image_of_a_project_is_kept_there_whoever_opens_it(
    window: Window, folder: Path, tmp_path: Path, open_window: Any
) -> None:
    window.drop(folder / "a.png")
    paint(window.mask(), 3, 3)
    window.rest()
    window.save_as("cells", tmp_path)
    paint(window.viewer.layers["by hand"], 5, 5)
    window.batch.add_files([folder / "b.png"])
    window.rest()
    window.batch.open(folder / "b.png")  # from the list; it has no session of its own
    window.rest()
    paint(window.mask("second"), 7, 7)
    window.rest()
    window.recorder.close()
    again = open_window()  # no project is chosen in it
    again.drop(folder / "a.png")
    assert again.viewer.layers["by hand"].data[5, 5] == 5
    assert again.session_of(again.viewer.layers["by hand"]).folder == tmp_path / "cells"
    assert "in the project cells" in resumed_words("a", again.resumed[0], __import__("datetime").datetime.now())
    again.drop(folder / "b.png")
    assert again.viewer.layers["second"].data[7, 7] == 7


def test_a_project_that_is_away_is_told_and_nothing_is_hidden(
    window: Window, folder: Path, tmp_path: Path, open_window: Any
) -> None:
    window.drop(folder / "a.png")
    paint(window.mask(), 3, 3)
    window.rest()
    window.save_as("cells", tmp_path)
    window.recorder.close()
    (tmp_path / "cells").rename(tmp_path / "elsewhere")
    second = open_window()
    second.drop(folder / "a.png")
    assert "is in the project cells, which is no longer in" in second.recorder.safe.trouble
    assert second.recorder.safe.trouble.endswith("open it from where it lies now.")
    layer = second.viewer.layers["by hand"]
    assert layer.data[3, 3] == 3
    paint(layer, 11, 11)
    second.rest()
    second.recorder.close()
    (tmp_path / "elsewhere").rename(tmp_path / "cells")
    third = open_window()
    third.drop(folder / "a.png")
    assert third.viewer.layers["by hand"].data[11, 11] == 11
    assert third.recorder.safe.trouble.endswith(
        "went on outside the project cells; open the project to see that of it."
    )


def test_work_that_lies_outside_the_project_is_told(window: Window, folder: Path, open_window: Any) -> None:
    window.choose(folder)
    window.batch.open(folder / "a.png")
    window.rest()
    paint(window.mask(), 3, 3)
    window.rest()
    window.recorder.close()
    (home() / "projects.json").unlink()  # so that the project is not found
    alone = open_window()
    alone.drop(folder / "a.png")
    paint(alone.mask(), 7, 7)
    alone.rest()
    alone.recorder.close()
    again = open_window()
    again.choose(folder)
    again.batch.open(folder / "a.png")
    again.rest()
    assert again.viewer.layers["by hand"].data[3, 3] == 3
    assert again.recorder.safe.trouble == APART


def test_a_project_that_was_moved_finds_its_images(
    window: Window, folder: Path, tmp_path: Path, open_window: Any
) -> None:
    study = tmp_path / "study"
    study.mkdir()
    for name in "ab":
        window.drop(folder / f"{name}.png")
        paint(window.mask(f"of {name}"), 3, 3)
        window.rest()
    window.save_as("cells", study)
    window.recorder.close()
    (tmp_path / "new").mkdir()
    study.rename(tmp_path / "new" / "study")
    folder.rename(tmp_path / "new" / "images")  # both moved: as they lay to each other
    again = open_window()
    again.choose(tmp_path / "new" / "study" / "cells")
    assert again.states == {"a": "in work", "b": "in work"}
    assert {row.path.parent for row in again.batch.state.rows} == {tmp_path / "new" / "images"}
    again.recorder.close()
    (tmp_path / "archive" / "deep").mkdir(parents=True)
    (tmp_path / "new" / "images" / "a.png").rename(tmp_path / "archive" / "deep" / "renamed.png")
    third = open_window()
    third.choose(tmp_path / "new" / "study" / "cells")
    assert third.states == {"a": "missing", "b": "in work"}
    assert third.batch.state.missing == 1
    row = next(row for row in third.batch.state.rows if row.missing)
    assert row.why.endswith("press Find images..., or open it from where it lies now.")
    third.batch.find(tmp_path / "new")
    third.rest()
    assert third.batch.state.told == "None of them is there; choose another folder."
    third.batch.find(tmp_path / "archive")
    third.rest()
    assert third.batch.state.told == "1 image was found."
    assert third.states == {"renamed": "in work", "b": "in work"}
    third.batch.open(tmp_path / "archive" / "deep" / "renamed.png")
    third.rest()
    assert third.viewer.layers["of a"].data[3, 3] == 3


def test_a_missing_image_that_is_opened_elsewhere_is_there_again(
    window: Window, folder: Path, tmp_path: Path, open_window: Any
) -> None:
    window.drop(folder / "a.png")
    paint(window.mask(), 3, 3)
    window.rest()
    window.save_as("cells", tmp_path / "images")
    window.recorder.close()
    (tmp_path / "away").mkdir()
    (folder / "a.png").rename(tmp_path / "away" / "z.png")
    again = open_window()
    again.choose(folder / "cells")
    assert again.states == {"a": "missing"}
    again.batch.open(folder / "a.png")
    again.rest()
    assert again.batch.state.current is None
    again.drop(tmp_path / "away" / "z.png")
    assert again.states == {"z": "in work"}
    assert again.batch.state.missing == 0


def replace_image(path: Path, seed: int) -> bytes:
    """Another image lies in a file; what lay there before."""
    before = path.read_bytes()
    write(Volume(np.random.default_rng(seed).integers(0, 255, (40, 50)).astype(np.uint8), "YX"), path)
    return before


def spoil(folder: Path, *statements: str) -> None:
    """Change what a project keeps, as no program of ours does."""
    sql = sqlite3.connect(folder / NAME)
    for statement in statements:
        sql.execute(statement)
    sql.commit()
    sql.close()


def work_on(window: Window, path: Path, label: int) -> None:
    """Paint on a case of the list and accept it."""
    window.batch.open(path)
    window.rest()
    image = window.viewer.layers[path.stem]
    window.viewer.layers.selection.active = image
    paint(empty_mask(window.viewer, image), label, label)
    window.rest()
    window.batch.say([path], "accepted")
    window.rest()


def test_work_on_an_image_that_was_replaced_stays_in_the_list(
    window: Window, folder: Path, tmp_path: Path, open_window: Any
) -> None:
    window.choose(folder)
    work_on(window, folder / "a.png", 3)
    work_on(window, folder / "b.png", 4)
    before = replace_image(folder / "a.png", 50)
    window.batch.open(folder / "a.png")
    window.rest()
    assert window.batch.state.told == (
        "a.png was opened as another image; the work on the one before is listed as a (former)."
    )
    assert window.states == {"a": "new", "b": "accepted", "c": "new", "a (former)": "missing"}
    (row,) = [row for row in window.batch.state.rows if row.missing]
    assert (row.state, row.why) == ("accepted", REPLACED)
    again = open_window()
    window.recorder.close()
    again.choose(folder)
    assert again.states == window.states
    work_on(again, folder / "a.png", 5)
    assert again.states == {"a": "accepted", "b": "accepted", "c": "new", "a (former)": "missing"}
    again.batch.save(tmp_path / "out")
    again.rest()
    again.rest()
    left_out = f"1 could not be written. a (former): {REPLACED}"
    assert again.batch.state.saved == f"Saved 2 masks in out; {left_out}"
    again.recorder.close()
    (folder / "a.png").write_bytes(before)  # it is put back, and the work on the other one is what is aside
    third = open_window()
    third.choose(folder)
    assert third.states == {"a": "accepted", "b": "accepted", "c": "new", "a (former)": "missing"}
    third.batch.save(tmp_path / "more")
    third.rest()
    third.rest()
    assert third.batch.state.saved == f"Saved 2 masks in more; {left_out}"
    third.batch.open(folder / "a.png")
    third.rest()
    (mask,) = [layer for layer in third.viewer.layers if isinstance(layer, Labels)]
    assert mask.data[3, 3] == 3
    assert third.states == {"a": "accepted", "b": "accepted", "c": "new", "a (former)": "missing"}


def test_an_image_that_is_put_back_in_its_place_is_the_case_again(
    window: Window, folder: Path, open_window: Any
) -> None:
    window.choose(folder)
    work_on(window, folder / "a.png", 3)
    window.batch.open(folder / "b.png")
    window.rest()
    before = replace_image(folder / "a.png", 50)
    window.batch.open(folder / "a.png")
    window.rest()
    window.batch.open(folder / "b.png")
    window.rest()
    (folder / "a.png").write_bytes(before)
    window.batch.open(folder / "a.png")
    window.rest()
    assert window.states == {"a": "accepted", "b": "new", "c": "new"}
    assert window.batch.state.missing == 0
    window.recorder.close()
    again = open_window()
    again.choose(folder)
    assert again.states == window.states


def test_an_image_that_was_replaced_is_found_where_it_lies_now(window: Window, folder: Path, tmp_path: Path) -> None:
    window.choose(folder)
    work_on(window, folder / "a.png", 3)
    window.batch.open(folder / "b.png")
    window.rest()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "old.png").write_bytes(replace_image(folder / "a.png", 50))
    window.batch.open(folder / "a.png")
    window.rest()
    window.drop(tmp_path / "elsewhere" / "old.png")
    window.rest()
    assert window.states == {"a": "new", "b": "new", "c": "new", "old": "accepted"}
    assert window.batch.state.missing == 0


def test_the_same_image_twice(window: Window, folder: Path, engine: Any) -> None:
    (folder / "copy of a.png").write_bytes((folder / "a.png").read_bytes())
    window.choose(folder)
    window.batch.open(folder / "a.png")
    window.rest()
    paint(window.mask(), 3, 3)
    window.rest()
    window.batch.open(folder / "copy of a.png")
    window.rest()
    (row,) = [row for row in window.batch.state.rows if row.name == "copy of a"]
    assert (
        row.why == "copy of a.png is the same image as a.png, which is in the project already; open that one instead."
    )
    assert window.batch.state.current == folder / "a.png"
    assert window.states == {"a": "in work", "b": "new", "c": "new", "copy of a": "failed"}


def test_reasons_of_failure_are_kept(window: Window, folder: Path, engine: Any, open_window: Any, spots: Path) -> None:
    window.choose(folder)
    window.batch.choose_model(spots)
    window.rest()
    window.batch.segment()
    engine.say(Failed(len(engine.orders), "a.png is no picture; check where it comes from."))
    window.batch.cancel()
    window.rest()
    window.recorder.close()
    again = open_window()
    again.choose(folder)
    assert again.states == {"a": "failed", "b": "new", "c": "new"}
    assert again.batch.state.rows[0].why == "a.png is no picture; check where it comes from."
    again.batch.open(folder / "a.png")  # it can be read by now
    again.rest()
    again.recorder.close()
    third = open_window()
    third.choose(folder)
    assert third.states["a"] == "new"


def test_a_project_that_is_open_in_another_window_can_be_looked_at(
    window: Window, folder: Path, tmp_path: Path, open_window: Any
) -> None:
    window.drop(folder / "a.png")
    paint(window.mask(), 3, 3)
    window.rest()
    window.save_as("cells", tmp_path)
    second = open_window()
    second.choose(tmp_path / "cells")
    assert second.states == {"a": "in work"}
    assert second.troubles == ["This session is open in another window; what you change here is not kept. Go on there."]
    second.drop(folder / "b.png")
    second.batch.add_open()
    second.rest()
    assert second.batch.state.told.endswith("Go on there.")
    assert second.save_as("cells", tmp_path).endswith("already; choose another name, or open that.")


@pytest.mark.parametrize("painted", [True, False])
def test_a_project_that_another_window_has_closed_can_be_written_again(
    window: Window, folder: Path, tmp_path: Path, open_window: Any, monkeypatch: pytest.MonkeyPatch, painted: bool
) -> None:
    """Of itself, with the case that is open as the other window left it, seen from where it was seen."""
    window.drop(folder / "a.png")
    mask = window.mask()
    if painted:
        paint(mask, 3, 3)
    window.rest()
    window.save_as("cells", tmp_path)
    second = open_window()
    second.choose(tmp_path / "cells")
    second.batch.open(folder / "a.png")
    second.rest()
    shown = second.viewer.layers["by hand"]
    assert not shown.editable
    second.viewer.scene.camera.zoom = 3.5
    of_a_program = second.viewer.add_labels(np.full((40, 50), 7, np.uint8), name="of a program")
    second.rest()
    assert not of_a_program.editable
    if painted:
        paint(mask, 4, 4)
    window.rest()
    second.rest()
    assert second.troubles == [OTHER_WINDOW]
    window.recorder.close()
    second.rest()
    assert second.troubles == [OTHER_WINDOW]  # it is looked again quietly, and not all the time
    monkeypatch.setattr(project, "AGAIN", 0.0)
    second.batch.project._again = 0.0
    second.rest()
    assert second.troubles == []
    assert second.batch.state.told == project.WRITABLE
    mask = second.viewer.layers["by hand"]
    assert mask.editable
    assert mask.data[4, 4] == (4 if painted else 0)
    assert [layer.name for layer in second.viewer.layers] == ["a", "of a program", "by hand"]
    assert of_a_program.editable
    assert second.viewer.scene.camera.zoom == 3.5
    paint(mask, 5, 5)
    second.rest()
    assert second.ask(mask, lambda store, image: store.labels(image, "by hand")[5, 5]) == 5
    second.recorder.close()
    third = open_window()
    third.choose(tmp_path / "cells")
    third.batch.open(folder / "a.png")
    third.rest()
    assert [third.viewer.layers["by hand"].data[k, k] for k in (4, 5)] == [mask.data[4, 4], 5]
    assert (third.viewer.layers["of a program"].data == 7).all()


def test_a_project_that_another_window_has_closed_is_tried_again_as_a_case_is_opened(
    window: Window, folder: Path, open_window: Any
) -> None:
    window.choose(folder)
    window.batch.open(folder / "a.png")
    window.rest()
    paint(window.mask(), 3, 3)
    window.rest()
    second = open_window()
    second.choose(folder)
    second.batch.open(folder / "a.png")
    second.rest()
    assert second.batch.view.path == folder / "a.png"
    window.recorder.close()
    second.batch.open(folder / "b.png")
    second.rest()
    assert second.batch.view.path == folder / "b.png"
    assert second.troubles == []
    assert [layer.name for layer in second.viewer.layers] == ["b"]
    mask = second.mask()
    assert mask.editable
    assert second.session_of(mask) is second.batch.project.session


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("PRAGMA user_version = 99", "made by a newer version of napari-seg; update napari-seg to open it."),
        ("DROP TABLE images", "damaged or no session; move it away, or restore it from a backup."),
        ("UPDATE images SET grid = '{'", "damaged on the disk; restore the session from a backup."),
        ("UPDATE images SET grid = '7'", "damaged on the disk; restore the session from a backup."),
        ("UPDATE meta SET value = '[]' WHERE key = 'project'", "damaged or no session; move it away, or restore it"),
        ("UPDATE log SET details = '['", "damaged or no session; move it away, or restore it from a backup."),
    ],
)
def test_a_project_that_is_damaged_or_hostile(
    window: Window, folder: Path, tmp_path: Path, open_window: Any, statement: str, words: str
) -> None:
    window.drop(folder / "a.png")
    paint(window.mask(), 3, 3)
    window.rest()
    window.save_as("cells", tmp_path)
    window.recorder.close()
    spoil(tmp_path / "cells", statement)
    again = open_window()
    again.choose(tmp_path / "cells")
    assert words in again.troubles[0]
    assert again.batch.state.refused
    assert again.batch.state.rows == ()


def test_paths_of_a_hostile_project_are_only_names(
    window: Window, folder: Path, tmp_path: Path, open_window: Any
) -> None:
    window.drop(folder / "a.png")
    paint(window.mask(), 3, 3)
    window.rest()
    window.save_as("cells", tmp_path)
    window.recorder.close()
    spoil(tmp_path / "cells", "UPDATE images SET path = 'a' || char(0) || 'b'")
    again = open_window()
    again.choose(tmp_path / "cells")
    assert list(again.states.values()) == ["missing"]


def test_where_it_cannot_be_saved_all_is_as_it_was(
    window: Window, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    window.drop(folder / "a.png")
    layer = window.mask()
    paint(layer, 3, 3)
    window.rest()
    own = window.session_of(layer)
    assert window.save_as("", tmp_path) == "The project has no name yet; type one."

    def full(*known: object, **more: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(Store, "bring", full)
        assert window.save_as("cells", tmp_path).endswith("is full; free some space.")
    assert not (tmp_path / "cells").exists()
    assert window.session_of(layer) is own
    assert window.batch.state.folder is None
    paint(layer, 5, 5)
    window.rest()
    assert window.ask(layer, lambda store, image: store.labels(image, "by hand"))[5, 5] == 5
    assert window.save_as("cells", tmp_path) == ""


def test_work_that_cannot_come_at_the_last_moment_stays_where_it_is(
    window: Window, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    window.drop(folder / "a.png")
    layer = window.mask()
    paint(layer, 3, 3)
    window.rest()
    own = window.session_of(layer)

    def fail(*known: object) -> None:
        raise joining.SegError("It cannot be; try again.")

    monkeypatch.setattr(joining, "_bring", fail)
    images = [image for image, _ in window.batch.open_images()]
    window.batch.save_as("cells", tmp_path, images, lambda why: None)
    window.engine.poll()
    paint(layer, 5, 5)
    window.rest()
    assert window.session_of(layer) is own
    kept = window.ask(layer, lambda store, image: store.labels(image, "by hand"))
    np.testing.assert_array_equal(kept, layer.data)
    project = window.recorder.arrivals.sessions[str(tmp_path / "cells")]
    assert project.writer.call(lambda store: store.images()).result() == []


def test_a_project_that_was_ended_before_the_work_came_hides_nothing(
    window: Window, folder: Path, tmp_path: Path, open_window: Any
) -> None:
    image = window.drop(folder / "a.png")
    paint(window.mask(), 3, 3)
    window.rest()
    window.save_as("cells", tmp_path)
    window.recorder.close()
    emptied = (f"DELETE FROM {table}" for table in ("planes", "blocks", "rows", "revisions", "log"))
    spoil(tmp_path / "cells", *emptied, "UPDATE images SET head = 0")  # as if the program had been killed then
    (own,) = [path for path in (tmp_path / "sessions").iterdir() if path.is_dir()]
    spoil(own, "DELETE FROM meta WHERE key LIKE 'gone %'")
    again = open_window()
    again.choose(tmp_path / "cells")
    image = again.drop(folder / "a.png")
    layer = again.viewer.layers["by hand"]
    assert layer.data[3, 3] == 3
    assert again.session_of(layer).folder == own
    again.viewer.layers.remove(layer)
    again.viewer.layers.remove(image)
    again.batch.open(folder / "a.png")  # from the list: now it comes
    again.rest()
    layer = again.viewer.layers["by hand"]
    assert again.session_of(layer).folder == tmp_path / "cells"
    layer.undo()
    again.rest()
    assert not layer.data.any()


def test_a_damaged_project_does_not_keep_images_from_being_opened(
    window: Window, folder: Path, tmp_path: Path, open_window: Any
) -> None:
    window.drop(folder / "a.png")
    paint(window.mask(), 3, 3)
    window.rest()
    window.save_as("cells", tmp_path)
    window.recorder.close()
    spoil(tmp_path / "cells", "UPDATE images SET grid = '{'")
    again = open_window()
    again.choose(tmp_path / "cells")
    again.drop(folder / "b.png")
    paint(again.mask("second"), 5, 5)
    again.rest()
    assert again.recorder.safe.trouble == ""
    assert again.session_of(again.viewer.layers["second"]).folder.parent == tmp_path / "sessions"


def test_from_one_project_to_another(window: Window, folder: Path, tmp_path: Path, open_window: Any) -> None:
    window.drop(folder / "a.png")
    layer = window.mask()
    paint(layer, 3, 3)
    window.rest()
    for name in ("first", "second"):
        assert window.save_as(name, tmp_path) == ""
        paint(layer, 5 if name == "first" else 7, 5)
        window.rest()
    assert window.session_of(layer).folder == tmp_path / "second"
    assert window.recorder.safe.steps == 3
    window.recorder.close()
    for name, steps in (("first", 2), ("second", 3)):
        again = open_window()
        again.choose(tmp_path / name)
        again.batch.open(folder / "a.png")
        again.rest()
        assert again.recorder.safe.steps == steps
        again.recorder.close()


def test_an_image_of_no_file_comes_along(window: Window, tmp_path: Path, open_window: Any) -> None:
    window.viewer.add_image(np.arange(2000.0).reshape(40, 50), name="made here")
    layer = window.mask()
    paint(layer, 3, 3)
    window.rest()
    assert window.save_as("cells", tmp_path) == ""
    assert window.session_of(layer).folder == tmp_path / "cells"
    assert window.states == {"made here": "missing"}
    assert window.batch.state.rows[0].why.endswith("open it again to go on with it.")
    window.recorder.close()
    again = open_window()
    again.viewer.add_image(np.arange(2000.0).reshape(40, 50), name="made here")
    again.rest()
    assert again.viewer.layers["by hand"].data[3, 3] == 3
