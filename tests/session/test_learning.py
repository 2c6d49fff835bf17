"""What a session teaches: which images, as they were at which moment, and where labels count."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from desk import MODEL, Desk

from napari_seg.data.volume import Volume
from napari_seg.editing.annotation import CASE, Entry, box_key, object_key, slice_key
from napari_seg.editing.said import NUMBERS, region_key
from napari_seg.editing.spoken import spoken
from napari_seg.errors import SegError
from napari_seg.session.learning import fitting, lessons
from napari_seg.session.predicted import Predicted
from napari_seg.session.projects import About, tell_about
from napari_seg.session.records import LEARNING
from napari_seg.tasks.instance import Instance
from napari_seg.tasks.semantic import Semantic

ACCEPTED = Entry(state="accepted")


def noise(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(0, 4000, shape, dtype=np.uint16)


def squares(*places: int, grid: tuple[int, int] = (60, 80)) -> Any:
    labels = np.zeros((1, *grid), np.uint16)
    for number, place in enumerate(places, 1):
        labels[0, 10:20, place : place + 10] = number
    return labels


def test_a_corrected_image_beside_the_window_that_writes(desk: Desk) -> None:
    image = desk.image("cells.tif", noise(60, 80), spacing=(0.5, 0.5), unit="um")
    other = desk.image("others.tif", noise(60, 80, seed=1))
    for number in (image, other):
        desk.plane(number)
        desk.predict(number, squares(5, 30, 60))
    assert desk.lessons() == []  # nobody has said anything yet
    corrected = squares(5, 30, 60)
    corrected[0, 20:24, 5:15] = 1  # the first is larger
    desk.put(image, corrected)
    desk.say(image, {object_key(2): ACCEPTED})
    (found,) = desk.lessons()
    later = corrected.copy()
    later[0, 40:50] = 7
    desk.put(image, later)  # the person goes on
    loaded = found.load()
    assert np.array_equal(np.asarray(loaded.image.data), tifffile.imread(desk.folder / "cells.tif"))
    assert (loaded.image.spacing, loaded.image.unit) == ((0.5, 0.5), "um")
    assert loaded.labels.axes == "YX"
    assert np.array_equal(loaded.labels.data, corrected[0])
    said = corrected[0] != squares(5, 30, 60)[0]
    rows = {object_key(2): ACCEPTED}
    assert np.array_equal(loaded.mask, spoken(corrected[0], said, rows, objects=True, spacing=(0.5, 0.5)))
    assert not loaded.mask[corrected[0] == 3].any()
    assert found.amount.words == "2 objects in 1 image; background: yes"
    assert (found.name, found.split, found.objects) == ("cells", "train", True)
    (now,) = desk.lessons()
    assert np.array_equal(now.load().labels.data, later[0])


def test_what_a_model_remembers_of_it_names_nobody_but_who_worked(desk: Desk) -> None:
    image = desk.image("Jane Doe.tif", noise(60, 80))
    desk.plane(image, "Jane Doe · nuclei2d")
    desk.predict(image, squares(5, 30), "Jane Doe · nuclei2d")
    desk.put(image, squares(5), plane="Jane Doe · nuclei2d")
    desk.say(image, {object_key(1): ACCEPTED}, "Jane Doe · nuclei2d")
    desk.session.writer.call(lambda store: tell_about(store, About("Cells of May"))).result()
    (found,) = desk.lessons()
    about = found.about
    assert "Jane" not in json.dumps(about)
    assert about["people"] == ["Ann", "Bob"]
    assert about["project"] == "Cells of May"
    assert about["revision"] == 3
    assert about["corrected"] == {"model": "nuclei2d", "model_hash": "0f", "revision": 1}
    assert about["fingerprint"] == found.group
    assert (about["numbers"], about["grid"], about["times"]) == ("objects", [60, 80], 1)


def test_the_image_must_be_the_one_that_was_corrected(desk: Desk) -> None:
    image = desk.image("cells.tif", noise(60, 80))
    desk.plane(image)
    desk.put(image, squares(5))
    (found,) = desk.lessons()
    tifffile.imwrite(desk.folder / "cells.tif", noise(60, 80, seed=5))
    with pytest.raises(SegError, match="another image"):
        found.load()
    (desk.folder / "cells.tif").unlink()
    with pytest.raises(SegError, match=r"cells\.tif is no longer in .*, and no image around shows the same"):
        found.load()


@pytest.mark.parametrize("where", ["renamed.tif", "deep/cells.tif", "deep/renamed.tif", "replaced"])
def test_an_image_is_found_again_by_what_it_shows(desk: Desk, where: str) -> None:
    pixels, path = noise(60, 80), desk.folder / "cells.tif"
    image = desk.image("cells.tif", pixels)
    desk.plane(image)
    desk.put(image, squares(5))
    desk.session.writer.call(lambda store: tell_about(store, About("May", ".."))).result()
    desk.image("others.tif", noise(60, 80, seed=1))
    (desk.folder / "deep").mkdir()
    path.rename(desk.folder / where.replace("replaced", "former.tif"))
    if where == "replaced":
        tifffile.imwrite(path, noise(60, 80, seed=5))
    (found,) = desk.lessons()
    assert np.array_equal(np.asarray(found.load().image.data), pixels)
    assert found.name == "cells"


def test_a_project_is_named_by_its_folder_too_and_as_text(desk: Desk) -> None:
    image = desk.image("cells.tif", noise(60, 80))
    desk.plane(image)
    desk.put(image, squares(5))
    for named in (desk.folder, desk.session.folder):
        for folder in (named, str(named)):
            (found,) = lessons(folder)
            assert found.folder == desk.session.folder
    with pytest.raises(SegError, match="nowhere holds no session"):
        lessons(desk.folder / "nowhere")


def test_an_image_of_no_file_comes_from_the_window(desk: Desk) -> None:
    volume = Volume(noise(60, 80), "YX", name="snap")
    image = desk.row(volume)
    desk.plane(image)
    desk.put(image, squares(5))
    (found,) = desk.lessons()
    with pytest.raises(SegError, match="lies in no file"):
        found.load()
    (found,) = desk.lessons(volumes={image: volume})
    assert found.load().image.data is volume.data
    (found,) = desk.lessons(volumes={image: Volume(noise(60, 81), "YX")})
    with pytest.raises(SegError, match="another size"):
        found.load()


def test_both_parts_of_a_split_count_though_one_only_lost_voxels(desk: Desk) -> None:
    image = desk.image("cells.tif", noise(60, 80))
    desk.plane(image)
    desk.predict(image, squares(5, 30))
    after = squares(5, 30)
    after[0, 10:20, 35:40] = 3
    desk.put(image, after, "split")
    (found,) = desk.lessons()
    mask = found.load().mask
    assert mask[after[0] == 3].all()
    assert mask[after[0] == 2].all()
    assert not mask[after[0] == 1].any()
    assert found.amount.objects == 2


def test_which_images_and_which_of_their_masks(desk: Desk) -> None:
    images = [desk.image(f"{k}.tif", noise(60, 80, seed=k)) for k in range(3)]
    for image in images:
        for plane in ("mask", "mask 2"):
            desk.plane(image, plane)
            desk.put(image, squares(5 + image), plane=plane)
    assert len(desk.lessons()) == 6
    assert {found.image.id for found in desk.lessons([images[1]])} == {images[1]}
    (found,) = desk.lessons({images[2]: "mask 2"})
    assert (found.image.id, [plane.name for plane in found.planes]) == (images[2], ["mask 2"])


def test_of_a_film_every_time_point_has_its_own_say(desk: Desk) -> None:
    film = Volume(noise(3, 60, 80), "TYX", name="film")
    image = desk.row(film)
    desk.plane(image)
    before = np.concatenate([squares(5, 40)] * 3)
    desk.predict(image, before)
    after = before.copy()
    after[1, 20:25, 5:15] = 1
    desk.put(image, after)
    box = box_key((slice(30, 60), slice(0, 80)))
    desk.say(image, {object_key(2): ACCEPTED, box: ACCEPTED})
    (found,) = desk.lessons(volumes={image: film})
    loaded = found.load()
    assert (loaded.labels.axes, loaded.mask.shape) == ("TYX", (3, 60, 80))
    assert not loaded.mask[[0, 2]].any()  # object 1 was changed at one time, the others seen at one
    assert loaded.mask[1][after[1] == 1].all()
    assert not loaded.mask[1][after[1] == 2].any()
    desk.say(image, {CASE: ACCEPTED})
    (found,) = desk.lessons(volumes={image: film})
    assert found.load().mask.all()
    assert found.amount.images == 1


def test_of_a_film_an_object_counts_that_is_alone_with_its_number(desk: Desk) -> None:
    film = Volume(noise(3, 60, 80), "TYX", name="film")
    image = desk.row(film)
    desk.plane(image)
    frame = squares(5, 40)[0]
    labels = np.stack([np.where(frame > 0, frame + 2 * t, 0) for t in range(3)])
    labels[0][labels[0] == 2] = 4  # an object that goes on: 4 at the first two times
    desk.predict(image, labels)
    corrected = labels.copy()
    corrected[2, 20:25, 5:15] = 6
    desk.put(image, corrected)
    desk.say(image, {object_key(1): ACCEPTED, object_key(4): ACCEPTED, object_key(6): Entry(state="rejected")})
    (found,) = desk.lessons(volumes={image: film})
    mask = found.load().mask
    assert mask[0][corrected[0] == 1].all()
    assert not mask[0][corrected[0] == 4].any()
    assert not mask[1].any()
    assert not mask[2][corrected[2] == 6].any()
    assert found.amount.objects == 1


def test_overlapping_classes_count_where_a_person_has_spoken_in_every_plane(desk: Desk) -> None:
    image = desk.image("heart.tif", noise(60, 80))
    told = Predicted("two", "ab", {}, None)
    for name in ("wall", "blood"):
        desk.plane(image, f"heart · two · {name}", objects=False, classes=(name,))
        desk.predict(image, squares(5 if name == "wall" else 9) > 0, f"heart · two · {name}", told)
    desk.plane(image, "other", objects=False, classes=("thing",))
    desk.put(image, squares(30), plane="other")
    desk.say(image, {CASE: ACCEPTED}, "heart · two · wall")
    desk.say(image, {region_key(1, (12, 12)): ACCEPTED}, "heart · two · blood")
    both, other = desk.lessons()
    loaded = both.load()
    assert (loaded.labels.axes, loaded.labels.channels) == ("CYX", both.classes)
    by_name = dict(zip(both.classes, loaded.labels.data, strict=True))
    assert np.array_equal(by_name["wall"], squares(5)[0])
    assert np.array_equal(by_name["blood"], squares(9)[0])
    assert loaded.mask[12, 12]
    assert not loaded.mask[40, 40]  # nothing was said of blood there
    assert other.classes == ("thing",)
    (ordered,) = fitting([both, other], Semantic(classes=("wall", "blood"), overlapping=True))
    assert ordered.load().labels.channels == ("wall", "blood")
    (ordered,) = fitting([both, other], Semantic(classes=("blood", "wall"), overlapping=True))
    assert np.array_equal(ordered.load().labels.data[0], squares(9)[0])
    assert fitting([both, other], Semantic(classes=("thing",))) == [other]
    assert fitting([both, other], Instance(ndim=2)) == []


def test_of_several_masks_of_an_image_the_one_that_the_model_made(desk: Desk) -> None:
    image = desk.image("cells.tif", noise(60, 80))
    for plane, made_by in (("a", "0f"), ("b", "1a"), ("c", "")):
        desk.plane(image, plane)
        if made_by:
            desk.predict(image, squares(5), plane, replace(MODEL, model_hash=made_by))
        desk.put(image, squares(5, 30), plane=plane)

    def chosen(model_hash: str) -> str:
        (found,) = fitting(desk.lessons(), Instance(ndim=2), model_hash)
        return str(found.planes[0].name)

    assert [chosen("0f"), chosen("1a"), chosen("another")] == ["a", "b", "b"]


def test_a_person_corrects_where_labels_count(desk: Desk) -> None:
    image = desk.image("cells.tif", noise(60, 80))
    desk.plane(image)
    desk.predict(image, squares(5, 30))
    desk.plane(image, "mask" + LEARNING, objects=False)
    override = np.zeros((1, 60, 80), np.uint8)
    override[0, 40:, :] = 1
    desk.put(image, override, plane="mask" + LEARNING)
    (found,) = desk.lessons()
    assert np.array_equal(found.load().mask, override[0] == 1)
    desk.say(image, {object_key(1): ACCEPTED})
    override[0, :15, :] = 2
    desk.put(image, override, plane="mask" + LEARNING)
    (found,) = desk.lessons()
    mask = found.load().mask
    assert mask[17, 7]
    assert not mask[:15].any()


def test_what_the_numbers_mean_is_what_a_person_said(desk: Desk) -> None:
    image = desk.image("cells.tif", noise(60, 80))
    desk.plane(image)
    desk.put(image, squares(5))
    (found,) = desk.lessons()
    assert (found.objects, found.about["numbers"]) == (True, "objects")
    desk.say(image, {NUMBERS: Entry(comment="classes")})
    (found,) = desk.lessons()
    assert (found.objects, found.about["numbers"]) == (False, "classes")
    assert fitting([found], Instance()) == []
    assert found.amount.objects == 0


def test_a_file_whose_axes_were_said_is_understood_again(desk: Desk) -> None:
    volume = noise(5, 60, 80)
    image = desk.image("stack.tif", volume, axes="ZYX")
    desk.plane(image, objects=False, classes=("thing",))
    desk.put(image, np.concatenate([squares(5)] * 5)[None])
    desk.say(image, {slice_key(0, 3): ACCEPTED})
    (found,) = desk.lessons()
    loaded = found.load()
    assert (loaded.image.axes, loaded.labels.axes) == ("ZYX", "ZYX")
    assert loaded.mask[3].all()
    assert not loaded.mask[2].all()


def test_a_voxel_is_as_large_as_a_person_said(desk: Desk) -> None:
    image = desk.image("cells.tif", noise(60, 80))
    desk.plane(image)
    desk.put(image, squares(5))
    desk.session.writer.call(lambda store: store.resize_image(image, (0.2, 0.1), "um")).result()
    (found,) = desk.lessons()
    loaded = found.load()
    assert (loaded.image.spacing, loaded.image.unit) == ((0.2, 0.1), "um")
    assert (loaded.labels.spacing, loaded.labels.unit) == ((0.2, 0.1), "um")


def test_of_a_damaged_session_nothing_is_learned(desk: Desk) -> None:
    image = desk.image("cells.tif", noise(60, 80))
    desk.plane(image)
    desk.put(image, squares(5))
    (found,) = desk.lessons()
    desk.session.writer.call(lambda store: store._sql.execute("DELETE FROM blobs") and None).result()
    with pytest.raises(SegError, match=r"damaged.*backup"):
        found.load()


def test_what_was_said_and_cannot_be_read_is_not_taken_for_unsaid(desk: Desk) -> None:
    image = desk.image("cells.tif", noise(60, 80))
    desk.plane(image)
    desk.put(image, squares(5, 30))
    desk.say(image, {object_key(1): Entry(state="rejected")})
    desk.session.writer.call(lambda store: store._sql.execute("UPDATE rows SET value = '{'") and None).result()
    (found,) = desk.lessons()
    with pytest.raises(SegError, match="damaged"):
        found.load()


def test_a_folder_without_a_session(tmp_path: Path) -> None:
    with pytest.raises(SegError, match="no session"):
        lessons(tmp_path)
