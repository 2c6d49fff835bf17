"""What is measured of each label: against the plain definition, on odd grids, and after edits."""

from __future__ import annotations

import csv as comma_separated
import io
from dataclasses import replace

import cc3d
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import label as components

from napari_seg.data.geometry import leaning, spacing_of
from napari_seg.editing import parts, runs, selection
from napari_seg.editing.annotation import Annotation, Entry, State, object_key
from napari_seg.editing.columns import columns, csv
from napari_seg.editing.edit import Edit, applied, edited
from napari_seg.editing.filtering import matching
from napari_seg.editing.measures import Table, measure, relisted, updated
from napari_seg.editing.parts import regions
from napari_seg.editing.said import region_key
from napari_seg.editing.tally import tally
from napari_seg.errors import SegError

GRIDS = st.sampled_from([(1, 1), (1, 7), (6, 5), (1, 4, 5), (3, 1, 4), (4, 5, 3)])
LABELS = GRIDS.flatmap(lambda grid: arrays(np.uint16, grid, elements=st.sampled_from([0, 0, 0, 1, 2, 2, 5, 900])))


def full(labels: np.ndarray, seed: int = 0, **more: object) -> Annotation:
    """An annotation with an image, scores and a spacing that differs by axis."""
    rng = np.random.default_rng(seed)
    spacing = (2.5, 0.5, 0.25)[-labels.ndim :]
    scores = rng.random((1 + labels.ndim, *labels.shape)).astype(np.float16)
    image = rng.integers(0, 1000, labels.shape).astype(np.uint16)
    return Annotation.of(labels, image=image, scores=scores, spacing=spacing, unit="um", **more)


def same(a: Table, b: Table) -> None:
    for name in ("labels", "voxels", "start", "stop", "parts", "border", "category", "state", "comment"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), name)
    for name in ("centre", "intensity", "uncertainty", "fullness"):
        np.testing.assert_allclose(getattr(a, name), getattr(b, name), rtol=1e-5, atol=1e-7, err_msg=name)


@given(labels=LABELS, slab=st.sampled_from([1, 30, 1 << 22]))
@settings(max_examples=120, deadline=None)
def test_a_row_says_what_its_voxels_say(labels: np.ndarray, slab: int) -> None:
    annotation = full(labels)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "SLAB", slab)  # slabs of one plane, of some, and all at once
        table = measure(annotation)
    assert table.labels.tolist() == sorted(set(labels.ravel().tolist()) - {0})
    for row, label in enumerate(table.labels.tolist()):
        inside = labels == label
        places = np.argwhere(inside)
        assert table.voxels[row] == len(places)
        assert table.size[row] == pytest.approx(len(places) * np.prod(annotation.spacing))
        np.testing.assert_allclose(table.centre[row], places.mean(0))
        np.testing.assert_allclose(table.place[row], places.mean(0) * annotation.spacing)
        np.testing.assert_allclose(table.extent[row], (np.ptp(places, axis=0) + 1) * annotation.spacing)
        assert table.box(row) == tuple(slice(a, b + 1) for a, b in zip(places.min(0), places.max(0), strict=True))
        assert table.parts[row] == components(inside, np.ones((3,) * labels.ndim))[1]
        assert table.intensity[row] == pytest.approx(annotation.image[inside].mean())
        edge = (places == 0) | (places == np.array(labels.shape) - 1)
        assert table.border[row] == edge.any()
        p = annotation.scores[0][inside].astype(float)
        entropy = -(p * np.log2(np.maximum(p, 1e-9)) + (1 - p) * np.log2(np.maximum(1 - p, 1e-9)))
        assert table.uncertainty[row] == pytest.approx(entropy.mean(), abs=1e-3)


@given(labels=LABELS, slab=st.sampled_from([1, 30, 1 << 22]))
@settings(max_examples=60, deadline=None)
def test_regions_are_the_connected_components_of_each_label(labels: np.ndarray, slab: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "SLAB", slab)
        found = regions(labels)
    expected = cc3d.connected_components(labels, connectivity=8 if labels.ndim == 2 else 26)
    pairs = set(zip(found.ravel().tolist(), expected.ravel().tolist(), strict=True))
    assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})
    assert (0, 0) in pairs or labels.all()
    assert set(found.ravel().tolist()) - {0} == set(range(1, int(found.max()) + 1))


@given(labels=LABELS, slab=st.sampled_from([1, 30]))
@settings(max_examples=60, deadline=None)
def test_parts_of_a_large_mask_are_found_slab_by_slab(labels: np.ndarray, slab: int) -> None:
    mask = np.moveaxis(labels > 1, 0, -1)  # not as it lies in memory
    expected, n = selection.components(mask)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "SLAB", slab)
        patch.setattr(selection, "_LARGE", 0)
        found, count = selection.components(mask)
    assert count == n
    assert len(set(zip(found.ravel().tolist(), expected.ravel().tolist(), strict=True))) == n + (not mask.all())


def test_voxels_whose_sides_lean_hold_less() -> None:
    affine = np.diag([2.5, 0.5, 0.25, 1])
    affine[1, 0] = 2.5 * np.tan(np.radians(25))
    spacing = tuple(spacing_of(affine).tolist())
    whole = Annotation.of(np.ones((4, 5, 6), np.uint8), spacing=spacing, unit="mm", along=leaning(affine))
    assert measure(whole).size[0] == pytest.approx(120 * 2.5 * 0.5 * 0.25)
    edit = edited(whole, "erase", [((slice(0, 1), slice(0, 5), slice(0, 6)), np.zeros((1, 5, 6), np.uint8))])
    assert updated(measure(whole), applied(edit, whole), edit).size[0] == pytest.approx(90 * 2.5 * 0.5 * 0.25)
    assert leaning(np.diag([2.5, 0.5, 0.25, 1])) is None


def test_second_moments_are_those_of_the_voxels() -> None:
    labels = np.zeros((9, 11, 30), np.uint8)
    labels[2:6, 3:9, 4:25] = 3
    labels[6, 3, 24:29] = 3
    places = np.argwhere(labels == 3)
    np.testing.assert_allclose(tally(labels).spread[0], np.cov(places.T, bias=True) + np.eye(3) / 12)


def test_what_has_no_dents_is_full_and_what_has_a_waist_is_not() -> None:
    rows, columns_ = np.mgrid[:80, :160]
    disk = np.hypot(rows - 40, columns_ - 40) < 30
    two = (np.hypot(rows - 40, columns_ - 30) < 25) | (np.hypot(rows - 40, columns_ - 120) < 25)
    ball = np.linalg.norm(np.indices((31, 31, 31)) - 15, axis=0) < 13
    fullness = [float(measure(Annotation.of(shape.astype(np.uint8))).fullness[0]) for shape in (disk, two, ball)]
    assert fullness[0] == pytest.approx(1, abs=0.01)
    assert fullness[1] < 0.8
    assert fullness[2] == pytest.approx(1, abs=0.02)


def test_nothing_and_numbers_without_end() -> None:
    empty = measure(Annotation.of(np.zeros((5, 6), np.uint8)))
    assert len(empty) == 0
    assert csv(empty).count("\n") == 1
    labels = np.zeros((3, 4, 5), np.uint32)
    labels[1, 1, 1:3], labels[2, 3, 4] = 4_000_000_000, 7
    table = measure(Annotation.of(labels))
    assert (table.labels.tolist(), table.voxels.tolist()) == ([7, 4_000_000_000], [1, 2])
    assert table.row(4_000_000_000) == 1
    assert table.row(8) is None


def test_classes_are_their_own_category_and_objects_have_that_of_their_row() -> None:
    labels = np.array([[1, 1, 2], [0, 0, 3]], np.uint8)
    rows = {object_key(2): Entry(2, "rejected", "debris")}
    table = measure(Annotation.of(labels, rows=rows), ("nucleus", "mitosis"))
    assert table.class_names.tolist() == ["nucleus", "mitosis", "nucleus"]
    assert table.state.tolist() == ["unseen", "rejected", "unseen"]
    assert table.comment.tolist() == ["", "debris", ""]
    table = measure(Annotation.of(labels, objects=False), ("liver", "spleen"))
    assert table.class_names.tolist() == ["liver", "spleen", "class 3"]


def test_what_is_said_of_the_regions_of_a_class_is_said_of_the_class() -> None:
    labels = np.array([[1, 0, 1, 0, 2], [1, 0, 1, 0, 2]], np.uint8)
    one, other = region_key(1, (0, 0)), region_key(1, (0, 2))

    def state(**said: State) -> str:
        keys = {"one": one, "other": other, "again": region_key(1, (1, 0)), "gone": region_key(1, (0, 1))}
        rows = {keys[name]: Entry(state=word) for name, word in said.items() if name in keys}
        rows |= {object_key(1): Entry(state=said["whole"])} if "whole" in said else {}
        table = measure(Annotation.of(labels, objects=False, rows=rows))
        assert table.state.tolist()[1] == "unseen"
        blank = measure(Annotation.of(labels, objects=False))
        assert relisted(blank, rows, rows, labels).state.tolist() == table.state.tolist()
        words = next(column.values for column in columns(table) if column.name == "state")
        assert matching(columns(table), f"state:{words[0]}")[0]
        return str(words[0])

    assert state(one="accepted", other="accepted") == "accepted"
    assert state(one="accepted") == "unseen"
    assert state(one="accepted", again="accepted") == "unseen"  # two places of one region
    assert state(one="accepted", gone="accepted") == "unseen"
    assert state(one="accepted", other="rejected") == "rejected"
    assert state(one="flagged", other="rejected") == "flagged"
    assert state(gone="flagged") == "unseen"
    assert state(whole="accepted") == "accepted"
    assert state(whole="accepted", one="flagged") == "flagged"
    assert state(whole="rejected", one="accepted", other="accepted") == "rejected"


def test_an_image_of_another_grid_is_refused() -> None:
    annotation = Annotation.of(np.ones((4, 4), np.uint8))
    with pytest.raises(SegError, match="take those of the same image"):
        measure(replace(annotation, image=np.zeros((4, 5))))
    with pytest.raises(SegError, match="take those of the same image"):
        measure(replace(annotation, scores=np.zeros((3, 5, 4), np.float16)))


@given(labels=LABELS, data=st.data())
@settings(max_examples=60, deadline=None)
def test_after_an_edit_only_its_labels_are_measured_and_all_is_as_if_measured_anew(
    labels: np.ndarray, data: st.DataObject
) -> None:
    annotation = full(labels, rows={object_key(2): Entry(1, "accepted", "seen")})
    before = measure(annotation, ("cell", "debris"))
    sides = [sorted(data.draw(st.tuples(st.integers(0, n), st.integers(0, n)))) for n in labels.shape]
    box = tuple(slice(a, max(b, min(a + 1, n))) for (a, b), n in zip(sides, labels.shape, strict=True))
    label = data.draw(st.sampled_from([0, 1, 2, 7]))
    if all(side.stop > side.start for side in box):
        rows = {object_key(label): Entry(2, "flagged")} if label else {}
        edit = edited(annotation, "paint", [(box, np.full_like(labels[box], label))], rows)
        after = applied(edit, annotation)
        same(updated(before, after, edit), measure(after, before.classes))
        back = applied(edit.inverse(), after)
        same(updated(measure(after, before.classes), back, edit.inverse()), before)


def test_a_row_alone_can_change_too() -> None:
    annotation = full(np.array([[1, 1, 2]], np.uint8))
    edit = Edit("accept", rows={object_key(2): (None, Entry(1, "accepted"))})
    after = applied(edit, annotation)
    table = updated(measure(annotation), after, edit)
    assert table.state.tolist() == ["unseen", "accepted"]


def rows_of(text: str) -> list[dict[str, str]]:
    return list(comma_separated.DictReader(io.StringIO(text)))


def test_csv_has_units_in_its_headings() -> None:
    labels = np.zeros((4, 10, 10), np.uint8)
    labels[1:3, 2:4, 5] = 1
    body = Annotation.of(labels, spacing=(5, 1, 1), unit="mm", rows={object_key(1): Entry(1, "accepted", 'a "b", c')})
    row = rows_of(csv(measure(body, ("liver",))))[0]
    assert row["volume (mm3)"] == "20"
    assert row["volume (ml)"] == "0.02"
    assert (row["size z (mm)"], row["centre z (mm)"], row["centre z (px)"]) == ("10", "7.5", "1.5")
    assert (row["class"], row["state"], row["comment"]) == ("liver", "accepted", 'a "b", c')
    assert row["at the edge"] == "no"
    cells = Annotation.of(labels[1], spacing=(500, 500), unit="nm")
    row = rows_of(csv(measure(cells)))[0]
    assert (row["area (um2)"], row["pixels"]) == ("0.5", "2")
    assert "mean intensity" not in row
    row = rows_of(csv(measure(Annotation.of(labels))))[0]
    assert "volume (mm3)" not in row
    assert row["size y (px)"] == "2"


def test_csv_of_some_rows_keeps_their_order() -> None:
    table = measure(Annotation.of(np.array([[1, 2, 3]], np.uint8)))
    assert [row["label"] for row in rows_of(csv(table, [2, 0]))] == ["3", "1"]


@pytest.fixture
def some() -> Table:
    labels = np.zeros((20, 30), np.uint8)
    for k in range(1, 6):
        labels[2 : 2 + k, 5 * k : 5 * k + 2] = k
    rows = {
        object_key(1): Entry(1, "accepted"),
        object_key(2): Entry(2, "rejected", "out of focus"),
        object_key(3): Entry(2),
    }
    scores = np.full((3, 20, 30), 0.5, np.float16)
    return measure(Annotation.of(labels, rows=rows, scores=scores, spacing=(2, 2), unit="um"), ("nucleus", "left cell"))


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("", [1, 2, 3, 4, 5]),
        ("  ", [1, 2, 3, 4, 5]),
        ("class:nucleus", [1, 4, 5]),
        ("class:NUC state:unseen", [4, 5]),
        ("area<=24", [1, 2, 3]),
        ("size>24 parts=1", [4, 5]),
        ("area>=16 area<33", [2, 3, 4]),
        ("voxels=4", [2]),
        ("pixels=4", [2]),
        ("at the edge:no size x=4 label=3", [3]),
        ("4", [4]),
        ("label>4", [5]),
        ("focus", [2]),
        ('"left cell"', [2, 3]),
        ('class="left cell" rejected', [2]),
        ("class=left", []),
        ("edge:yes", []),
        ("edge:no 3", [3]),
        ("uncertainty>0.9 reject", [2]),
        ("nothing-like-it", []),
    ],
)
def test_a_line_of_text_finds_rows(some: Table, text: str, labels: list[int]) -> None:
    assert some.labels[matching(columns(some), text)].tolist() == labels


@pytest.mark.parametrize(
    ("text", "cure"),
    [("colour:red", "use label"), ("area<big", "write one"), ("state<5", "write state:"), ("edge:maybe", "edge:yes")],
)
def test_what_is_not_understood_is_said(some: Table, text: str, cure: str) -> None:
    with pytest.raises(SegError, match=cure):
        matching(columns(some), text)
