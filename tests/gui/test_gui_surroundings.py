"""What tools see around a mask, also where image or scores are not as they should be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import copy
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_seg.editing.annotation import Annotation
from napari_seg.editing.catalogue import TOOLS
from napari_seg.editing.measures import measure
from napari_seg.editing.tools import Gesture
from napari_seg.errors import SegError
from napari_seg.gui.recorder import Recorder
from napari_seg.gui.surroundings import Grey, Surroundings, differing_path, scores_path
from napari_seg.gui.track import Track

SCAN = np.random.default_rng(0).integers(0, 255, (20, 70, 90)).astype(np.uint8)


@pytest.fixture
def seen(engine: Any) -> Iterator[Callable[..., tuple[Any, Track, Surroundings]]]:
    """An image and a mask on it, and what lies around it."""
    recorders = []

    def see(image: np.ndarray[Any, Any], **about: Any) -> tuple[Any, Track, Surroundings]:
        viewer = ViewerModel()
        recorders.append(recorder := Recorder(viewer, engine))
        layer = viewer.add_image(image, name="scan", **about)
        grid = image.shape[:-1] if about.get("rgb") else image.shape
        mask = viewer.add_labels(np.zeros(grid, np.uint16), name="mask")
        for _ in range(4):
            engine.poll()
            for session in recorder.arrivals.sessions.values():
                session.writer.flush(10)
            recorder.tick()
        track = recorder.track(mask)
        assert track is not None
        return layer, track, Surroundings(recorder)

    yield see
    for recorder in recorders:
        recorder.close()


@pytest.mark.parametrize("other", [SCAN[:10], SCAN[:, :30], np.zeros((4, 5))], ids=["shorter", "narrower", "2D"])
def test_an_image_that_was_replaced_by_another_shape_is_none(seen: Any, other: np.ndarray[Any, Any]) -> None:
    layer, track, around = seen(SCAN)
    layer.data = SCAN[::-1].copy()
    image = around.annotation(track, 0).image
    assert np.array_equal(image, SCAN[::-1])
    layer.data = other
    annotation = around.annotation(track, 0)
    assert annotation.image is None
    gesture = Gesture(points=((3.0, 40.0, 40.0), (3.0, 44.0, 44.0)))
    with pytest.raises(SegError, match="There is no image to look at"):
        TOOLS["grow"].run(annotation, gesture, TOOLS["grow"].options())
    assert TOOLS["brush"].run(annotation, gesture, TOOLS["brush"].options())


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY\x01\x00", b"half", b"PK\x03\x04"])
def test_scores_that_cannot_be_read_are_none(seen: Any, content: bytes) -> None:
    _, track, around = seen(SCAN)
    path = scores_path(track)
    path.parent.mkdir(parents=True)
    np.save(path, np.zeros((2, *SCAN.shape), np.float16))
    path.write_bytes(path.read_bytes()[:1000] if content == b"half" else content)
    assert around.annotation(track, 0).scores is None
    assert around.annotation(track, 0).scores is None
    path.unlink()
    np.save(path, np.zeros((2, *SCAN.shape), np.float16))
    assert around.annotation(track, 0).scores.shape == (2, *SCAN.shape)


@pytest.mark.parametrize("planes", [("grade+", "grade-"), ("a b", "a_b"), ("Grade", "grade"), ("π", "π!")])
def test_planes_whose_names_differ_in_a_sign_have_scores_of_their_own(seen: Any, planes: tuple[str, str]) -> None:
    _, track, around = seen(SCAN)
    tracks = [copy(track) for _ in planes]
    for number, (own, plane) in enumerate(zip(tracks, planes, strict=True)):
        own.plane = plane
        scores_path(own).parent.mkdir(exist_ok=True)
        np.save(scores_path(own), np.full((2, *SCAN.shape), number, np.float16))
    assert [float(around.annotation(own, 0).scores.max()) for own in tracks] == [0, 1]
    assert len({differing_path(own).name.casefold() for own in tracks}) == 2


def test_scores_of_earlier_versions_are_found_and_are_of_one_plane(seen: Any) -> None:
    _, track, around = seen(SCAN)
    plus, minus = copy(track), copy(track)
    plus.plane, minus.plane = "grade+", "grade-"
    folder = track.session.folder / "scores"
    folder.mkdir()
    np.save(folder / f"{track.row.id}-grade_.npy", np.full((2, *SCAN.shape), 0.5, np.float16))
    np.save(folder / f"{track.row.id}-grade_.mirrored.npy", np.full(SCAN.shape, 0.25, np.float16))
    assert around.annotation(plus, 0).scores.max() == 0.5
    assert around.differing(plus, 0).max() == 0.25
    assert around.annotation(minus, 0).scores is None
    scores_path(plus).unlink()  # as a prediction of a part does
    assert around.annotation(plus, 0).scores is None


@pytest.mark.parametrize("channels", [3, 4])
def test_a_picture_is_grey_where_it_is_looked_at_alone(seen: Any, channels: int) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (60, 80, channels)).astype(np.uint8)
    _, track, around = seen(picture, rgb=True)
    image = around.annotation(track, 0).image
    assert isinstance(image, Grey)  # nothing was worked out yet
    grey = picture[..., :3].mean(-1, dtype=np.float32)  # how clear a pixel is, is no intensity
    assert (image.shape, image.ndim, image.dtype) == (grey.shape, 2, grey.dtype)
    assert np.array_equal(image, grey)
    assert np.array_equal(image[3:9, 70:], grey[3:9, 70:])
    assert np.array_equal(image[np.ix_([1, 5], [0, 7])], grey[np.ix_([1, 5], [0, 7])])
    assert isinstance(image[3:9].T, Grey)
    assert np.array_equal(image[3:9].T[5], grey[3:9].T[5])
    labels = np.zeros(grey.shape, np.uint8)
    labels[10:20, 10:30] = 1
    drag, corners = ((15.0, 15.0), (15.0, 40.0)), ((12.0, 15.0), (18.0, 15.0), (18.0, 28.0))
    for name, points in {"grow": drag, "live wire": corners, "split by seeds": corners, "range brush": drag}.items():
        tool = TOOLS[name]
        options = tool.options.from_person({"low": 99} if name == "range brush" else {})
        both = [tool.run(Annotation.of(labels, image=one), Gesture(points, label=2), options) for one in (image, grey)]
        assert [np.array_equal(a.after, b.after) for a, b in zip(both[0].patches, both[1].patches, strict=True)]
    assert measure(Annotation.of(labels, image=image)).intensity == measure(Annotation.of(labels, image=grey)).intensity
