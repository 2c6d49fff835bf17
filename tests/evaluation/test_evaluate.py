"""Folders, grids and averages: the layout and the rules that people script against."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_seg.data.formats import write
from napari_seg.data.volume import Volume
from napari_seg.errors import SegError
from napari_seg.evaluation.evaluate import evaluate


def picture(folder: Path, name: str, labels: list[list[int]]) -> None:
    write(Volume(np.array(labels, np.uint8), "YX"), folder / f"{name}.png")


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    truth, prediction = tmp_path / "truth", tmp_path / "prediction"
    for folder in (truth, prediction):
        folder.mkdir()
    return truth, prediction


@pytest.mark.parametrize("side", ["truth", "prediction"])
def test_an_image_or_numbers_of_objects_are_no_classes(side, folders):
    mask, other = np.arange(16 * 16, dtype=np.uint16).reshape(16, 16), np.zeros((16, 16), np.uint16)
    for folder in folders:
        write(Volume(mask if folder.name == side else other, "YX"), folder / "a.png")
    with pytest.raises(SegError) as caught:
        evaluate(*folders)
    assert str(caught.value) == (
        f"a: the {side} holds 255 numbers besides 0, too many for classes, as an image or numbers of objects do; give "
        "a mask of classes, or evaluate it with the task instance."
    )
    with pytest.raises(SegError, match=f"^The {side} holds 255"):
        evaluate(*((mask if folder.name == side else other) for folder in folders))
    evaluate(*folders, "instance")
    for folder in folders:
        write(Volume(np.minimum(mask, 200), "YX"), folder / "a.png")
    assert len(evaluate(*folders).per_class) == 200


def test_semantic_layout_and_averages(folders):
    truth, prediction = folders
    picture(truth, "a", [[1, 1, 2, 2]])
    picture(prediction, "a", [[1, 1, 2, 0]])
    picture(truth, "b", [[1, 0, 0, 0]])  # class 2 in neither: left out for class 2
    picture(prediction, "b", [[0, 1, 0, 0]])
    picture(truth, "c", [[0, 0, 0, 0]])  # class 2 only found: 0
    picture(prediction, "c", [[0, 0, 0, 2]])
    report = json.loads(evaluate(truth, prediction, "semantic").to_json())
    assert set(report) == {"mean", "per_class", "per_case", "left_out"}
    assert report["per_class"]["1"] == {"dice": 0.5, "jaccard": 0.5}
    assert report["per_class"]["2"] == {"dice": pytest.approx((2 / 3) / 2), "jaccard": pytest.approx(0.5 / 2)}
    assert report["mean"] == {"dice": pytest.approx((0.5 + 1 / 3) / 2), "jaccard": pytest.approx((0.5 + 0.25) / 2)}
    assert [case["name"] for case in report["per_case"]] == ["a", "b", "c"]
    assert report["per_case"][0]["per_class"]["1"] == {"dice": 1.0, "jaccard": 1.0}


@pytest.mark.parametrize("wrong", [[[0, 1]], None, np.zeros(5, int), np.zeros((2, 2, 2, 2), int)])
def test_what_is_no_mask_is_refused_in_a_sentence(wrong):
    with pytest.raises(
        SegError, match=r"no Volume; read a file with read\(path\), or name the axes of an array: .*\.$"
    ):
        evaluate(wrong, np.zeros((4, 4), int))


def test_instance_layout_and_averages(folders):
    truth, prediction = folders
    picture(truth, "a", [[1, 1, 1, 1, 0, 2]])
    picture(prediction, "a", [[5, 5, 5, 0, 0, 0]])  # IoU 0.75 for one, the other missed
    picture(truth, "b", [[0, 0]])  # nothing in either: left out
    picture(prediction, "b", [[0, 0]])
    picture(truth, "c", [[3, 3]])
    picture(prediction, "c", [[9, 9]])
    report = json.loads(evaluate(truth, prediction, "instance").to_json())
    assert set(report) == {"ap", "mean_ap", "per_case", "left_out"}
    assert list(report["ap"]) == ["0.50", "0.55", "0.60", "0.65", "0.70", "0.75", "0.80", "0.85", "0.90"]
    assert report["ap"]["0.75"] == pytest.approx((0.5 + 1) / 2)
    assert report["ap"]["0.80"] == pytest.approx((0 + 1) / 2)
    assert report["mean_ap"] == pytest.approx(np.mean(list(report["ap"].values())))
    assert report["per_case"][1]["ap"]["0.50"] is None
    assert (report["per_case"][0]["truth"], report["per_case"][0]["found"]) == (2, 1)


def test_a_task_that_there_is_not():
    with pytest.raises(SegError, match="'panoptic' is not known; choose one of semantic, instance"):
        evaluate(np.ones((3, 4), np.uint8), np.ones((3, 4), np.uint8), "panoptic")


def test_nothing_at_all_is_null_not_nan():
    empty = np.zeros((3, 3), np.uint8)
    assert json.loads(evaluate(empty, empty, "instance").to_json())["mean_ap"] is None
    assert json.loads(evaluate(empty, empty, "semantic").to_json())["mean"] == {"dice": None, "jaccard": None}


def test_files_without_a_partner_are_named(folders):
    truth, prediction = folders
    for name in ("a", "b"):
        picture(truth, name, [[1]])
    picture(prediction, "a", [[1]])
    picture(prediction, "x", [[1]])
    report = evaluate(truth, prediction, "semantic")
    assert [case.name for case in report.per_case] == ["a"]
    assert len(report.notes) == 2
    assert "truth" in report.notes[0]
    assert ": b." in report.notes[0]
    assert ": x." in report.notes[1]
    assert json.loads(report.to_json())["left_out"] == [str(truth / "b.png"), str(prediction / "x.png")]


def test_stems_pair_across_formats(folders):
    truth, prediction = folders
    picture(truth, "a.b", [[1, 0]])
    write(Volume(np.array([[1, 0]], np.uint8), "YX"), prediction / "a.b.tif")
    assert evaluate(truth, prediction, "semantic").mean["dice"] == 1


def test_two_files_of_one_name_are_refused(folders):
    truth, prediction = folders
    picture(truth, "a", [[1]])
    picture(prediction, "a", [[1]])
    write(Volume(np.array([[1]], np.uint8), "YX"), prediction / "a.tif")
    with pytest.raises(SegError, match="same name"):
        evaluate(truth, prediction, "semantic")


def test_nothing_pairs(folders):
    truth, prediction = folders
    picture(truth, "a", [[1]])
    picture(prediction, "b", [[1]])
    with pytest.raises(SegError, match="pair by name"):
        evaluate(truth, prediction, "semantic")


def test_a_folder_and_a_file_do_not_compare(folders):
    truth, prediction = folders
    picture(truth, "a", [[1]])
    picture(prediction, "a", [[1]])
    with pytest.raises(SegError, match="two folders or two masks"):
        evaluate(truth, prediction / "a.png", "semantic")


@pytest.mark.parametrize("task", ["semantic", "instance"])
def test_a_path_that_does_not_exist_is_named(folders, task):
    truth, prediction = folders
    picture(truth, "a", [[1]])
    for there in (truth, truth / "a.png"):
        for pair in ((there, prediction / "nope"), (prediction / "nope", there)):
            with pytest.raises(SegError, match=r"There is no file or folder .*nope"):
                evaluate(*pair, task)


@pytest.mark.parametrize("task", ["semantic", "instance"])
def test_a_mask_that_is_none_is_named(folders, task):
    truth, prediction = folders
    for name in ("bad", "good"):
        picture(truth, name, [[1, 0]])
        write(Volume(np.array([[1.0, 0.0]], np.float32), "YX"), prediction / f"{name}.tif")
    assert evaluate(*folders, task).score == 1
    write(Volume(np.array([[0.5, 0.0]], np.float32), "YX"), prediction / "bad.tif")
    with pytest.raises(SegError, match=r"^bad: the prediction holds fractions"):
        evaluate(*folders, task)
    with pytest.raises(SegError, match=r"^The truth holds fractions"):
        evaluate(np.array([[0.5]]), np.array([[1]]), task)


def test_axes_are_for_the_files_that_leave_them_open(tmp_path):
    labels = np.zeros((3, 4, 5), np.uint8)
    labels[0, 1, 2:] = 1
    plain, other = tmp_path / "plain.tif", tmp_path / "other.tif"
    for path in (plain, other):
        tifffile.imwrite(path, labels, photometric="minisblack", metadata=None)
    scan = write(Volume(labels, "ZYX", (1.0, 1.0, 1.0), "mm"), tmp_path / "scan.nii.gz")  # in the file: XYZ
    with pytest.raises(SegError, match="axes"):
        evaluate(plain, scan)
    for pair in ((plain, other), (plain, scan), (scan, plain)):
        assert evaluate(*pair, axes="ZYX").mean["dice"] == 1


def test_series_is_for_the_files_with_several(tmp_path):
    several = tmp_path / "several.tif"
    with tifffile.TiffWriter(several) as file:
        for value in (0, 1):
            file.write(np.full((4, 4 + value), value, np.uint8), photometric="minisblack", metadata=None)
    picture(tmp_path, "one", [[1] * 5] * 4)
    assert evaluate(several, tmp_path / "one.png", series="1").mean["dice"] == 1


@pytest.mark.parametrize("task", ["semantic", "instance"])
def test_a_single_plane_is_a_mask_without_channels(task):
    labels = np.array([[1, 1, 0, 2]], np.uint8)
    plane, mask = Volume(labels[None], "CYX"), Volume(labels, "YX")
    for pair in ((plane, mask), (mask, plane), (plane, plane)):
        assert evaluate(*pair, task).score == 1
    films = Volume(labels[None, None], "TCYX"), Volume(labels[None], "TYX")
    assert evaluate(*films, task).score == 1
    with pytest.raises(SegError, match="same image"):
        evaluate(Volume(np.stack([labels, labels]), "CYX"), mask, task)


def test_single_files_need_not_have_the_same_name(folders):
    truth, prediction = folders
    picture(truth, "a", [[1, 2]])
    picture(prediction, "a_mask", [[1, 2]])
    assert evaluate(truth / "a.png", str(prediction / "a_mask.png"), "instance").mean_ap == 1


def test_shapes_must_fit():
    with pytest.raises(SegError, match="same image"):
        evaluate(np.zeros((2, 2)), np.zeros((2, 3)), "semantic")


AFFINES = np.eye(4), np.diag([2.0, 2.0, 2.0, 1.0])


@pytest.mark.parametrize(
    ("truth", "prediction", "task", "sentence"),
    [
        (np.zeros((4, 4), int), np.zeros((4, 5), int), "semantic", "The truth has the shape (4, 4) (YX), the"),
        (*(Volume(np.zeros((4, 4), int), "YX", affine=one) for one in AFFINES), "semantic", "Truth and prediction"),
        (*2 * (Volume(np.full((2, 3, 3), [[1, 2, 3]]), "CYX"),), "semantic", "Plane 0 of the truth holds 3"),
        (*2 * (Volume(np.zeros((2, 3, 3), int), "CYX"),), "instance", "The mask has several planes"),
        (*2 * (Volume(np.zeros((3, 3, 3), int), "YXS"),), "instance", "This is a colour picture"),
        (*2 * (Volume(np.arange(999)[None, None], "TYX"),), "semantic", "t=0: the truth holds 998 numbers"),
    ],
)  # fmt: skip
def test_what_is_said_of_masks_without_a_name_begins_with_no_name(truth, prediction, task, sentence):
    with pytest.raises(SegError) as told:
        evaluate(truth, prediction, task)
    assert str(told.value).startswith(sentence)


def test_places_must_fit():
    labels = np.ones((2, 2, 2), np.uint8)
    here, there = np.eye(4), np.eye(4)
    there[0, 3] = 5
    a, b = (Volume(labels, "ZYX", (1.0, 1.0, 1.0), "mm", affine) for affine in (here, there))
    assert evaluate(a, a, "instance").mean_ap == 1
    with pytest.raises(SegError, match="different places"):
        evaluate(a, b, "semantic")


def test_rounding_is_no_other_place():
    labels = np.ones((2, 2, 2), np.uint8)
    truth, *others = (
        Volume(labels, "ZYX", (1.0, 1.0, 1.0), "mm", np.eye(4) + np.eye(4)[:, [1, 2, 3, 0]] * [0, 0, 0, shift])
        for shift in (0, 0.006, 0.4)
    )
    assert [evaluate(truth, other).notes for other in others] == [
        (),
        ("Truth and prediction lie up to half a voxel from each other; they were compared voxel by voxel.",),
    ]


def test_where_one_says_its_place_the_voxels_of_the_files_are_compared(tmp_path):
    labels = np.zeros((8, 8, 8), np.uint8)
    labels[1:3, 2:5, 1] = 1
    for name, affine in (("placed", np.diag([1.0, 2.0, 3.0, 1.0])), ("bare", None)):
        nib.save(nib.Nifti1Image(labels, affine), tmp_path / f"{name}.nii.gz")
    tifffile.imwrite(tmp_path / "bare.tif", labels.T.copy(), metadata={"axes": "ZYX"})
    placed = tmp_path / "placed.nii.gz"
    for bare in (tmp_path / "bare.nii.gz", tmp_path / "bare.tif"):
        for pair in ((placed, bare), (bare, placed)):
            report = evaluate(*pair)
            assert report.mean["dice"] == 1
            assert any("Only one" in note for note in report.notes)


def test_what_reading_said_is_said_once_for_all_files(folders):
    truth, prediction = folders
    for name in ("a", "b"):
        picture(truth, name, [[1, 0]])
        Image.fromarray(np.array([[[1, 255], [0, 255]]], np.uint8), "LA").save(prediction / f"{name}.png")
    assert evaluate(*folders).notes == ("a, b: The transparency (alpha) of the picture was left out.",)


def test_classes_that_are_numbered_in_another_way_are_said(folders):
    truth, prediction = folders
    for name, value in (("a", 0), ("b", 255)):
        picture(truth, name, [[value, 0]])
        picture(prediction, name, [[1, 2]])
    (note,) = evaluate(*folders).notes
    assert "the truth holds 255, the prediction 1, 2" in note
    picture(truth, "a", [[2, 0]])
    assert evaluate(*folders).notes == ()
    assert evaluate(*folders, "instance").notes == ()


@pytest.mark.parametrize(
    ("planes", "words"),
    [
        (np.float32([[[0.05, 0.95]], [[0.05, 0.05]]]), "holds fractions"),
        (np.float32([[[-1, -1]], [[-1, -1]]]), "go from -1"),
        (np.uint8([[[1, 0]], [[7, 9]]]), "^Plane 1 of the prediction holds 2 numbers"),
    ],
)
def test_planes_that_are_no_classes_are_refused(planes, words):
    truth = Volume(np.uint8([[[1, 1]], [[1, 0]]]), "CYX")
    with pytest.raises(SegError, match=words):
        evaluate(truth, Volume(planes, "CYX"))
    assert evaluate(truth, Volume(np.uint8([[[255, 255]], [[2, 0]]]), "CYX")).mean["dice"] == 1


def test_classes_in_a_single_plane_are_told_apart():
    labels = np.zeros((8, 8), np.uint8)
    labels[:4], labels[4:] = 1, 2
    planes = [Volume(one[None], "CYX") for one in (labels, 3 - labels)]
    assert evaluate(*planes).mean["dice"] == 0


def test_overlapping_classes_are_planes():
    truth = Volume(np.array([[[1, 1]], [[1, 0]]], np.uint8), "CYX")
    found = Volume(np.array([[[1, 1]], [[0, 1]]], np.uint8), "CYX")
    report = evaluate(truth, found, "semantic")
    assert (report.per_class["1"]["dice"], report.per_class["2"]["dice"]) == (1, 0)
    with pytest.raises(SegError, match="task semantic"):
        evaluate(truth, found, "instance")


def test_planes_are_compared_by_their_names(folders, run):
    truth, prediction = folders
    planes = np.array([[[1, 1]], [[1, 0]]], np.uint8)
    write(Volume(planes, "CYX", channels=("liver", "tumour")), truth / "a.ome.tif")
    write(Volume(planes[::-1], "CYX", channels=("tumour", "liver")), truth / "b.ome.tif")
    for name in "ab":
        write(Volume(planes[::-1], "CYX", channels=("tumour", "Liver")), prediction / f"{name}.ome.tif")
    report = evaluate(truth, prediction)
    assert report.mean["dice"] == 1
    assert report.notes == ()
    lines = run("evaluate", truth, prediction).out.splitlines()
    assert [line.split()[:3] for line in lines[1:3]] == [["1", "liver", "1.000"], ["2", "tumour", "1.000"]]
    for channels in ((), ("liver", "vessel")):
        write(Volume(planes, "CYX", channels=channels), prediction / "a.ome.tif")
        report = evaluate(truth, prediction)
        assert report.mean["dice"] == 1
        [note] = report.notes
        assert note.startswith("a: The planes of truth and prediction do not have the same names")
        assert report.names == ()


def test_time_points_are_cases():
    truth = Volume(np.array([[[1, 1]], [[1, 0]]], np.uint8), "TYX", name="film")
    report = evaluate(truth, truth, "instance")
    assert [case.name for case in report.per_case] == ["film t=0", "film t=1"]


def test_an_image_in_the_place_of_objects_is_refused_and_what_may_be_classes_is_told() -> None:
    rng = np.random.default_rng(0)
    objects = np.kron(np.arange(25).reshape(5, 5), np.ones((8, 8), int)).astype(np.uint16)
    assert evaluate(objects, objects, "instance").notes == ()
    for grey in (rng.integers(0, 250, (40, 40)).astype(np.uint8), rng.normal(900, 80, (40, 40)).astype(np.uint16)):
        for pair, side in (((grey, objects), "truth"), ((objects, grey), "prediction")):
            words = (
                f"The {side} is an image and no mask, each of its grey values would count as an object; give the mask"
            )
            with pytest.raises(SegError, match=words):
                evaluate(*pair, "instance")
    for classes in (objects % 4, objects % 4 == 1):
        [note] = evaluate(classes, objects, "instance").notes
        assert note == (
            "Numbers of the truth come in several pieces each, as those of classes do and those of objects do not; "
            "where they are classes, evaluate with the task semantic or number the objects."
        )
        assert evaluate(classes, classes).notes == ()
    thin = np.arange(1600, dtype=np.uint16).reshape(40, 40)  # objects of one voxel, which nothing tells from an image
    [note] = evaluate(objects, thin, "instance").notes
    assert note.startswith("The prediction looks like an image")


def test_a_colour_picture_is_no_mask():
    colours = Volume(np.zeros((2, 2, 3), np.uint8), "YXS", name="photo")
    with pytest.raises(SegError, match="photo is a colour picture"):
        evaluate(colours, colours, "semantic")


def test_progress_names_the_case(folders):
    truth, prediction = folders
    for folder in folders:
        picture(folder, "a", [[1]])
    steps = evaluate.steps(truth, prediction, "semantic")
    first = next(steps)
    assert (first.done, first.total, first.message) == (0, 1, "a")
    steps.close()


def test_score_is_the_figure_to_choose_by():
    labels = np.array([[1, 1, 0, 2]])
    assert evaluate(labels, labels * (labels == 1), "semantic").score == 0.5
    assert evaluate(labels, labels * (labels == 1), "instance").score == 0.5
