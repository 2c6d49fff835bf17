"""What the record of a mask says, and that it says nothing of the patient."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from session_images import a_store, blocks_of, month_of_work, squares, step

import napari_seg
from napari_seg.editing.annotation import CASE, Entry, box_key, object_key, slice_key
from napari_seg.errors import SegError
from napari_seg.session.predicted import Predicted, predictions
from napari_seg.session.provenance import provenance, record_path, when, write_record
from napari_seg.session.records import Origin, Plane, row_key
from napari_seg.session.store import Store

TOLD = Predicted("nuclei2d", "0f", {"precision": "fp32", "threshold": None}, 0.125)


def predict(store: Store, image: int, *labels: int, at: float = 0.0) -> None:
    blocks = blocks_of(store, image, squares(*labels))
    store.commit(image, step(blocks, tool="predict", who="Ann", at=at, said="keep", origin=TOLD.origin("mask")))


def say(store: Store, image: int, tool: str, who: str, **rows: Entry) -> None:
    named = {row_key("mask", key.replace("_", " ")): entry for key, entry in rows.items()}
    store.commit(image, step({}, tool=tool, who=who, rows=named))


def test_the_model_the_steps_and_what_was_said(tmp_path: Path) -> None:
    store, image = a_store(tmp_path)
    predict(store, image, 1, 2, 3, at=1e9)
    for who, count in (("Ann", 2), ("Bob", 1)):
        for k in range(count):
            store.commit(image, step(blocks_of(store, image, squares(1, 2, 3, 4 + k)), tool="brush", who=who))
    say(store, image, "accept", "Ann", object_1=Entry(state="accepted"), object_2=Entry(state="flagged"))
    say(store, image, "reject", "Ann", object_9=Entry(state="rejected"), object_8=Entry(state="accepted"))  # both gone
    said = {slice_key(0, 7): Entry(state="accepted"), slice_key(0, 3): Entry(state="accepted")}
    said |= {box_key((slice(1, 5), slice(2, 9))): Entry(state="accepted"), slice_key(1, 1): Entry(state="flagged")}
    said |= {CASE: Entry(state="flagged", comment="ask Eve")}
    store.commit(image, step({}, tool="case flagged", who="Bob", rows={row_key("mask", k): e for k, e in said.items()}))
    store.spend(image, "2026-01-01", "Ann", 61.25)
    found = provenance(store, image, "mask")
    assert found["program"] == f"napari-seg {napari_seg.__version__}"
    assert found["mask"] == {"revision": store.image(image).head, "numbers": "objects", "classes": []}
    assert found["prediction"] == {
        "model": "nuclei2d",
        "model_hash": "0f",
        "settings": TOLD.settings,
        "at": "2001-09-09T01:46:40+00:00",
        "revision": 1,
        "expected_wrong": 0.125,
    }
    steps = [(step["who"], step["tool"], step["steps"], step["voxels"]) for step in found["steps_by_hand"]]
    assert steps == [
        ("Ann", "accept", 1, 0),
        ("Ann", "brush", 2, 50),
        ("Ann", "reject", 1, 0),
        ("Bob", "brush", 1, 25),
        ("Bob", "case flagged", 1, 0),
    ]
    assert found["review"] == {"accepted": 1, "rejected": 1, "flagged": 1, "unseen": 2}  # 3 and 4
    assert found["finished"] == {"slices": {"y": [3, 7]}, "boxes": ["1:5 2:9"]}
    assert found["case"] == {"state": "flagged", "comment": "ask Eve"}
    assert found["seconds_spent"] == 61.2
    assert json.loads(json.dumps(found)) == found
    assert "image.tif" not in json.dumps(found)  # the name of a file may be a patient's


def test_what_was_undone_does_not_count(tmp_path: Path) -> None:
    store, image = a_store(tmp_path)
    predict(store, image, 1)
    store.commit(image, step(blocks_of(store, image, squares(1, 2)), who="Ann"))
    store.commit(image, step(blocks_of(store, image, squares(1, 2, 3)), who="Ann"))
    store.undo(image, 0.0, "Bob")
    assert [step["steps"] for step in provenance(store, image, "mask")["steps_by_hand"]] == [1]
    store.redo(image, 0.0, "Bob")
    assert [step["steps"] for step in provenance(store, image, "mask")["steps_by_hand"]] == [2]
    for _ in range(3):
        store.undo(image, 0.0, "Bob")
    found = provenance(store, image, "mask")
    assert found["prediction"] is None
    assert found["steps_by_hand"] == []
    assert found["review"]["unseen"] == 0
    assert len(predictions(store, image)) == 1


def test_steps_are_counted_after_old_revisions_were_joined(tmp_path: Path) -> None:
    store, image = a_store(tmp_path)
    predict(store, image, 1)
    for k, tool in enumerate(("brush", "brush", "split", "brush")):
        store.commit(image, step(blocks_of(store, image, squares(1, k + 2)), tool=tool, who="Ann", at=float(k)))
    month_of_work(store, image, 1e9)
    before = provenance(store, image, "mask")
    assert store.thin(1e9) > 0
    assert provenance(store, image, "mask")["steps_by_hand"] == before["steps_by_hand"]
    assert [(s["tool"], s["steps"]) for s in before["steps_by_hand"]] == [("brush", 3), ("split", 1)]


def test_classes_and_their_regions(tmp_path: Path) -> None:
    store, image = a_store(tmp_path, (4, 30, 30), 2)
    store.put_plane(image, Plane("organs", False, ("liver", "spleen")))
    rows = {row_key("organs", "region 1 at 2 3 4"): Entry(state="accepted"), row_key("mask", CASE): Entry(comment="no")}
    store.commit(image, step({}, rows=rows))
    found = provenance(store, image, "organs")
    assert found["mask"]["classes"] == ["liver", "spleen"]
    assert found["review"] == {"accepted": 1, "rejected": 0, "flagged": 0}
    assert found["prediction"] is None
    assert found["case"] == {"state": "unseen", "comment": ""}  # what was said of another mask
    with pytest.raises(SegError, match="choose one of mask, organs"):
        provenance(store, image, "kidneys")


def test_a_file_counts_the_steps_in_its_own_planes(tmp_path: Path) -> None:
    store, image = a_store(tmp_path)
    other = Plane("tumour", False, ("tumour",))
    store.put_plane(image, Plane("mask", False, ("liver",)))
    store.put_plane(image, other)
    predict(store, image, 1)
    for k in range(2):
        blocks = {
            place._replace(plane="tumour"): b for place, b in blocks_of(store, image, squares(*[1] * k, 1)).items()
        }
        store.commit(image, step(blocks, tool="brush", who="Ann", at=float(k)))
    store.commit(image, step(blocks_of(store, image, squares(1, 1)), tool="eraser", who="Ann"))
    say(store, image, "flag", "Ann", slice_0_1=Entry(state="accepted"))
    accepted = {
        row_key(plane, key): Entry(state="accepted") for plane in ("mask", "tumour") for key in (CASE, "slice 0 2")
    }
    store.commit(image, step({}, tool="accept", who="Ann", rows=accepted))

    def counted(*planes: str) -> list[tuple[str, int]]:
        return [(s["tool"], s["steps"]) for s in provenance(store, image, *planes)["steps_by_hand"]]

    assert counted("mask") == [("accept", 1), ("eraser", 1), ("flag", 1)]
    assert counted("tumour") == [("accept", 1), ("brush", 2)]
    assert counted("mask", "tumour") == [("accept", 1), ("brush", 2), ("eraser", 1), ("flag", 1)]
    both = provenance(store, image, "mask", "tumour")
    assert both["mask"]["classes"] == ["liver", "tumour"]
    assert both["prediction"]["model"] == "nuclei2d"
    assert both["finished"]["slices"] == {"y": [2]}  # slice 1 only in one of them
    assert both["case"]["state"] == "accepted"
    month_of_work(store, image, 1e9)
    assert store.thin(1e9) > 0
    assert ("brush", 2) in counted("tumour")


def test_settings_that_were_kept_plainly_are_read(tmp_path: Path) -> None:
    store, image = a_store(tmp_path)
    store.commit(image, step({}, at=5.0, origin=Origin("old", "1e", json.dumps({"threshold": 0.4}))))
    (past,) = predictions(store, image)
    assert (past.plane, past.predicted) == ("", Predicted("old", "1e", {"threshold": 0.4}))
    assert provenance(store, image, "mask")["prediction"]["model"] == "old"


def test_the_record_lies_beside_the_mask_and_is_whole_or_not_there(tmp_path: Path) -> None:
    assert record_path(tmp_path / "a.b.nii.gz", "a.b") == tmp_path / "a.b.review.json"
    inside = tmp_path / "image.zarr" / "labels" / "nuclei"
    assert record_path(inside, "nuclei") == tmp_path / "image.zarr.nuclei.review.json"
    path = tmp_path / "a.review.json"
    write_record({"who": "Änn"}, path)
    write_record({"who": "Eve"}, path)
    assert json.loads(path.read_text(encoding="utf-8")) == {"who": "Eve"}
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(SegError, match="choose another folder"):
        write_record({}, tmp_path / "nowhere" / "a.review.json")
    assert when(0.0) == "1970-01-01T00:00:00+00:00"


def test_object_keys_are_those_of_the_tools() -> None:
    assert object_key(12) == "object 12"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows counts the whole path")
def test_a_record_whose_name_is_too_long_says_what_helps(tmp_path: Path) -> None:
    mask = tmp_path / f"{'a' * 250}.nii"  # a name that a disk takes
    with pytest.raises(SegError, match=r"could not be written \(file name too long\); choose a shorter name.$"):
        write_record({}, record_path(mask, mask.stem))
