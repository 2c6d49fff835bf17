"""What every tool promises, whoever wrote it: the tests go through the registry."""

from __future__ import annotations

import string
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Literal, get_args, get_origin

import dask.array
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from napari_seg.editing.annotation import Annotation, Entry, Extents, object_key
from napari_seg.editing.catalogue import TOOLS
from napari_seg.editing.edit import Edit, applied, edited
from napari_seg.editing.tools import Gesture, Tool
from napari_seg.errors import SegError
from napari_seg.tasks.instance import Instance
from napari_seg.tasks.semantic import Semantic

EACH = pytest.mark.parametrize("tool", TOOLS.values(), ids=TOOLS)

SELDOM = {"range brush", "repeat", "merge", "fill holes", "largest part", "split apart", "interpolate"}
"""Tools that find nothing to do on most scenes: no range was chosen, no hole is there, no other part."""

NAPARI = {*"123456789EPFLZMXB-=[]"}
"""Keys of napari's labels layer."""


def scene(ndim: int, objects: bool = True) -> Annotation:
    """Touching discs or balls, one with a hole, one in two parts, one at the border, crumbs; an image and scores."""
    rng = np.random.default_rng(ndim)
    shape = (40, 44) if ndim == 2 else (7, 40, 44)
    labels = np.zeros(shape, np.uint8)
    z = () if ndim == 2 else (3,)
    for label, (row, column, radius) in enumerate(
        [(10, 10, 6), (10, 20, 6), (26, 10, 6), (26, 30, 5), (36, 40, 6), (10, 34, 5)], 1
    ):
        labels[_ball(shape, (*z, row, column), radius) & (labels == 0)] = label
    labels[_ball(shape, (*z, 26, 10), 2)] = 0
    labels[_ball(shape, (*z, 34, 22), 2)] = 4
    labels[(*z, 20, 20)] = 7
    if ndim == 3:  # a slice is missing, so that there is something to interpolate
        labels[2][labels[2] == 6] = 0
    image = rng.normal(0, 0.05, shape) + (labels > 0) + 0.2 * labels
    return _annotation(labels, objects, image)


def _ball(shape: tuple[int, ...], middle: tuple[int, ...], radius: float) -> NDArray[np.bool_]:
    places = np.indices(shape) - np.array(middle).reshape(-1, *[1] * len(shape))
    if len(shape) == 3:
        places = places * np.array([2.0, 1, 1]).reshape(3, 1, 1, 1)
    found: NDArray[np.bool_] = (places**2).sum(0) <= radius**2
    return found


def _annotation(labels: NDArray[Any], objects: bool, image: NDArray[Any] | None = None) -> Annotation:
    """All that a tool may know. What the scores of a model say depends on whether it knows objects or classes."""
    image = np.zeros(labels.shape) if image is None else image
    spacing = (2.0, 1.0, 1.0)[-labels.ndim :]
    classes = tuple(f"class {k}" for k in range(max(1, int(labels.max()))))
    task = Instance(ndim=labels.ndim) if objects and labels.any() else Semantic(classes=classes)
    scores = np.clip(0.1 + 0.8 * task.encode(labels, spacing), 0, 1)
    rows = {object_key(k): Entry(category=k, state="accepted", comment=f"no. {k}") for k in (1, 2, 4)}
    return Annotation.of(
        labels, objects=objects, image=image.astype(np.float32), scores=scores, spacing=spacing, unit="mm", rows=rows
    )


def frozen(annotation: Annotation) -> Annotation:
    """The same, and whoever writes to it fails."""
    for array in (annotation.labels, annotation.image, annotation.scores):
        if isinstance(array, np.ndarray):
            array.flags.writeable = False
    return annotation


def own(annotation: Annotation) -> Annotation:
    """A copy that may be written to."""
    labels = annotation.labels.copy()
    return replace(annotation, labels=labels, extents=Extents(labels))


LINES: dict[str, tuple[tuple[float, float], ...]] = {
    "a place in an object": ((10, 10),),
    "across an object": ((2, 10), (6, 10), (10.4, 10.2), (18, 10)),
    "from one object to its neighbour": ((10, 8), (10, 14), (10, 22)),
    "two places in one object": ((8, 8), (13, 12)),
    "into the object at the border": ((36, 38), (39, 43)),
    "a thing in two parts": ((26, 30),),
    "a thing with a hole": ((26, 15),),
    "background": ((1, 1),),
    "around a place of background": ((20, 24), (30, 24), (30, 40), (20, 40)),
    "beyond the border": ((36, 40), (60, 80)),
    "outside": ((-20, -20), (-3, -9)),
    "a single voxel": ((20, 20),),
    "the hole": ((26, 10),),
    "a thing with an empty slice": ((10, 34),),
}


def gestures(ndim: int) -> list[Gesture]:
    found = [Gesture()]
    for line in LINES.values():
        points = tuple((3.0, *place) if ndim == 3 else place for place in line)
        found += [Gesture(points, label=label) for label in (1, 9)]
        if ndim == 3:
            found.append(Gesture(points, shown=(0, 2), label=6))
    selections = [(2,), (1, 2, 3), (6,), (200,)]
    found += [replace(found[1], selected=chosen, label=8) for chosen in selections]
    return found


def answer(tool: Tool, annotation: Annotation, gesture: Gesture, options: Any = None) -> Edit | None:
    """The edit; ``None`` where the tool says in a sentence why there is none, or has nothing to go by."""
    if tool.kind != "action" and not gesture.points:
        return None  # only a key can be pressed where there is no cursor
    try:
        edit = tool.run(annotation, gesture, options or tool.options())
    except SegError as error:
        sentence = str(error)
    else:
        assert edit, "an edit that changes nothing must be a sentence instead"
        return edit
    assert not sentence[0].islower()
    assert sentence.endswith(".")
    return None


def variants(tool: Tool) -> list[Any]:
    """The settings of a tool: as they come, and each of the words that a choice offers."""
    found = [tool.options()]
    for name, about in tool.options.model_fields.items():
        if get_origin(about.annotation) is Literal:
            found += [tool.options.from_person({name: word}) for word in get_args(about.annotation)]
    return found


def outcomes(tool: Tool, annotation: Annotation) -> list[Edit]:
    """All edits that a tool makes of the gestures."""
    ndim = annotation.labels.ndim
    plain, *others = variants(tool)
    found = [answer(tool, annotation, gesture, plain) for gesture in gestures(ndim)]
    found += [answer(tool, annotation, gesture, options) for options in others for gesture in gestures(ndim)[1::ndim]]
    return [edit for edit in found if edit is not None]


def checked(tool: Tool, annotation: Annotation, gestures: Iterable[Gesture]) -> int:
    """How many edits a tool makes of gestures; each keeps the promises."""
    found = [edit for gesture in gestures if (edit := answer(tool, annotation, gesture)) is not None]
    for edit in found:
        check(annotation, edit)
    return len(found)


def check(annotation: Annotation, edit: Edit) -> None:
    """The promises that hold for every edit."""
    grid = annotation.grid
    touched = np.zeros(grid, np.uint8)
    for patch in edit.patches:
        assert patch.before.shape == patch.after.shape
        assert all(0 <= side.start < side.stop <= n for side, n in zip(patch.box, grid, strict=True))
        assert np.array_equal(patch.before, annotation.labels[patch.box])
        assert (patch.after >= 0).all()
        touched[patch.box] += 1
    assert touched.max(initial=0) <= 1, "patches overlap"
    mine = own(annotation)
    there = applied(edit, mine)
    assert np.array_equal(there.labels[touched == 0], annotation.labels[touched == 0])
    for label in annotation.locked:
        assert np.array_equal(there.labels == label, annotation.labels == label)
        assert there.rows.get(object_key(label)) == annotation.rows.get(object_key(label))
    for key, (before, after) in edit.rows.items():
        assert annotation.rows.get(key) == before != after
    if annotation.objects:  # nobody inherits the row of what is gone
        gone = set(np.unique(annotation.labels).tolist()) - set(np.unique(there.labels).tolist())
        assert not there.rows.keys() & {object_key(label) for label in gone}
    back = applied(edit.inverse(), there)
    assert np.array_equal(back.labels, annotation.labels)
    assert back.rows == dict(annotation.rows)
    afresh = Extents(there.labels)
    assert all(there.box(label) == afresh[label] for label in afresh.labels)


@EACH
class TestRegistered:
    def test_says_what_it_is(self, tool: Tool) -> None:
        assert tool.title
        assert tool.title[0].isupper()
        assert tool.tip.endswith(".")
        assert TOOLS[tool.name] is tool

    def test_key_is_its_own(self, tool: Tool) -> None:
        assert tool.key
        assert [other.name for other in TOOLS.values() if other.key == tool.key] == [tool.name]
        assert tool.key.upper() not in NAPARI
        assert tool.key == "Delete" or tool.key.removeprefix("Shift+") in string.ascii_uppercase

    def test_options_have_defaults_and_survive_a_file(self, tool: Tool) -> None:
        options = tool.options()
        assert tool.options.from_file(options.to_json()) == options
        with pytest.raises(SegError):
            tool.options.from_person({"nonsense": 1})


@cache
def _known(ndim: int, objects: bool) -> Annotation:
    return frozen(scene(ndim, objects))


@EACH
class TestEdits:
    @pytest.mark.parametrize("objects", [True, False], ids=["objects", "classes"])
    @pytest.mark.parametrize("ndim", [2, 3])
    def test_inverse_restores_and_nothing_else_changes(self, tool: Tool, ndim: int, objects: bool) -> None:
        annotation = _known(ndim, objects)
        for edit in outcomes(tool, annotation):
            assert edit.tool == tool.name
            check(annotation, edit)

    def test_does_something_in_3d(self, tool: Tool) -> None:
        annotation = _with_last(_known(3, True))
        assert outcomes(tool, annotation) or outcomes(tool, _known(3, False))

    def test_does_something_in_2d(self, tool: Tool) -> None:
        found = outcomes(tool, _known(2, True)) or outcomes(tool, _known(2, False))
        assert found or tool.group == "slices"

    @pytest.mark.parametrize("locked", [{1}, {2, 3}, {1, 2, 3, 4, 5, 6, 7}])
    @pytest.mark.parametrize("objects", [True, False], ids=["objects", "classes"])
    def test_locked_labels_stay(self, tool: Tool, objects: bool, locked: set[int]) -> None:
        annotation = replace(_with_last(_known(3, objects)), locked=frozenset(locked))
        acted = checked(tool, annotation, gestures(3)[1::2])
        assert acted or len(locked) > 2 or tool.name in {*SELDOM, "new id", "change class"}

    @pytest.mark.parametrize("objects", [True, False], ids=["objects", "classes"])
    def test_odd_labels(self, tool: Tool, objects: bool) -> None:
        acted = sum(
            checked(tool, frozen(_annotation(labels, objects)), odd_gestures(labels.shape)) for labels in odd_labels()
        )
        of_more_voxels = {"live wire", "smooth", "polygon", "lasso", "copy to next", "new id"}
        assert acted or tool.name in SELDOM | of_more_voxels

    @pytest.mark.parametrize("kind", ["NaN here and there", "NaN", "infinite", "yes or no", "huge", "even", "dask"])
    def test_odd_images(self, tool: Tool, kind: str) -> None:
        acted = 0
        for annotation in _odd_images(kind):
            tried = gestures(len(annotation.grid))[1:12:3] + odd_gestures(annotation.grid)[::2]
            acted += checked(tool, annotation, tried)
        assert acted or tool.name in {*SELDOM, "grow"}

    def test_knows_neither_image_nor_scores(self, tool: Tool) -> None:
        annotation = replace(_with_last(_known(3, True)), image=None, scores=None)
        needs_them = tool.name in {"add missed", "scribble", "range brush", "live wire", "grow"}
        assert bool(checked(tool, annotation, gestures(3)[1::2])) != needs_them

    def test_numbers_outgrow_the_dtype(self, tool: Tool) -> None:
        annotation = replace(_with_last(_known(3, True)), following=256)
        tried = [replace(gesture, label=70_000) for gesture in gestures(3)[1::2]]
        assert checked(tool, annotation, tried) or tool.name == "range brush"


def _with_last(annotation: Annotation) -> Annotation:
    """The same after an edit of one slice: some tools repeat it."""
    here = (slice(3, 4), slice(8, 12), slice(8, 12))
    last = edited(annotation, "eraser", [(here, np.zeros_like(annotation.labels[here]))])
    return replace(annotation, last=last)


@cache
def _odd_images(kind: str) -> list[Annotation]:
    """Images as they come: with places that were not measured, of truth values, or read from the disk as needed; also
    of a single voxel."""
    known = (_known(2, True), _known(3, True), *(_annotation(labels, objects=True) for labels in odd_labels()))
    return [frozen(_with_odd_image(annotation, kind)) for annotation in known]


def _with_odd_image(annotation: Annotation, kind: str) -> Annotation:
    rng = np.random.default_rng(0)
    image = np.asarray(rng.normal(100, 20, annotation.grid) + 50.0 * (annotation.labels > 0))
    few = rng.random(annotation.grid) < 0.1
    few[(0,) * few.ndim] = True
    scores = annotation.scores
    assert scores is not None
    if kind.startswith("NaN"):
        scores = np.where(few, np.nan, scores)
    image = {
        "NaN here and there": np.where(few, np.nan, image),
        "NaN": np.full_like(image, np.nan),
        "infinite": np.where(few, rng.choice([-np.inf, np.inf], few.shape), image),
        "yes or no": image > 110,
        "huge": image * 1e300,
        "even": np.full(image.shape, 7, np.int16),
        "dask": image,
    }[kind]
    return replace(annotation, image=dask.array.from_array(image) if kind == "dask" else image, scores=scores)


def odd_labels() -> list[NDArray[Any]]:
    one = np.zeros((5, 6), np.uint8)
    one[0, 0] = 1
    thin = np.zeros((1, 9, 7), np.uint16)
    thin[0, 2:7, 2:6] = 2
    return [
        np.zeros((6, 7), np.uint8),
        np.zeros((3, 6, 7), np.uint8),
        np.ones((1, 1), np.uint8),
        np.ones((1, 1, 1), np.uint8),
        np.ones((4, 5), np.uint16),
        np.full((3, 4, 5), 3, np.uint8),
        one,
        thin,
        np.ones((7, 1), np.int32),
    ]


def odd_gestures(grid: tuple[int, ...]) -> list[Gesture]:
    corners = (tuple(0.0 for _ in grid), tuple(n - 1.0 for n in grid))
    middle = tuple((n - 1) / 2 for n in grid)
    return [
        Gesture(points, label=label, selected=selected)
        for points in ((), corners[:1], corners, (middle,), (middle, corners[1]), (middle, middle, middle))
        for label, selected in ((1, ()), (2, (1,)), (3, (1, 2)))
    ]


@dataclass
class Step:
    """A use of a tool, drawn at random."""

    tool: str
    points: tuple[tuple[float, ...], ...]
    label: int
    selected: tuple[int, ...]
    shown: tuple[int, int] = field(default=(1, 2))


def steps(tools: list[str], grid: tuple[int, ...]) -> st.SearchStrategy[Step]:
    place = st.tuples(*(st.floats(-2, n + 1, allow_nan=False) for n in grid))
    shown = [(a, b) for a in range(len(grid)) for b in range(len(grid)) if a != b]
    return st.builds(
        Step,
        st.sampled_from(tools),
        st.lists(place, max_size=5).map(tuple),
        st.integers(1, 9),
        st.lists(st.integers(1, 9), max_size=2).map(tuple),
        st.sampled_from(shown),
    )


def _play(start: Annotation, todo: list[Step]) -> int:
    """Use the tools, then take all back; how many edits there were."""
    annotation, done = own(start), []
    for step in todo:
        tool = TOOLS[step.tool]
        gesture = Gesture(step.points, step.shown, step.label, step.selected)
        before = annotation.labels.copy()
        edit = answer(tool, annotation, gesture)
        assert np.array_equal(annotation.labels, before)
        if edit is not None:
            done.append(edit)
            annotation = applied(edit, annotation)
    for edit in reversed(done):
        annotation = applied(edit.inverse(), annotation)
    assert np.array_equal(annotation.labels, start.labels)
    assert annotation.rows == dict(start.rows)
    return len(done)


SMALL = {2: (slice(0, 30), slice(0, 30)), 3: (slice(0, 7), slice(0, 30), slice(0, 30))}


@pytest.mark.parametrize("objects", [True, False], ids=["objects", "classes"])
@pytest.mark.parametrize("ndim", [2, 3])
class TestSequences:
    @settings(max_examples=15, deadline=None)
    @given(data=st.data())
    def test_thirty_tools_and_all_taken_back(self, ndim: int, objects: bool, data: st.DataObject) -> None:
        whole_scene = _known(ndim, objects)
        labels = whole_scene.labels[SMALL[ndim]].copy()
        start = _annotation(labels, objects, whole_scene.image[SMALL[ndim]])
        todo = data.draw(st.lists(steps(sorted(TOOLS), labels.shape), min_size=30, max_size=30))
        _play(start, todo)
