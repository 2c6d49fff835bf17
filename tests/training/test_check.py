"""The data check finds what is wrong with images and labels, and the fixes mend it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from napari_seg.data.volume import Volume
from napari_seg.errors import SegError
from napari_seg.training.cases import Labelled, fitting
from napari_seg.training.check import Finding, Looked, Wanted, check
from napari_seg.training.mending import FIXES, mended


@dataclass(frozen=True, eq=False)
class Given:
    """A case that lies in memory."""

    name: str
    image: Volume
    labels: Volume
    group: str
    patient: str = ""
    split: str = "train"
    trouble: str = ""

    def read(self) -> tuple[Volume, Volume]:
        if self.trouble:
            raise SegError(self.trouble)
        return self.image, self.labels

    @property
    def about(self) -> dict[str, object]:
        return {}

    def labelled(self, image: Volume, labels: Volume) -> Labelled:
        return Labelled(image, fitting(self.name, image, labels))


def discs(size: int = 40) -> np.ndarray:
    y, x = np.mgrid[:size, :size]
    labels = np.zeros((size, size), np.uint16)
    for number, (cy, cx) in enumerate(((9, 9), (9, 19), (28, 10), (28, 28)), 1):
        labels[(y - cy) ** 2 + (x - cx) ** 2 < 28] = number
    return labels


def given(name: str = "a", labels: np.ndarray | None = None, **about: object) -> Given:
    rng = np.random.default_rng(sum(map(ord, name)))
    shape = about.pop("shape", (40, 40))
    data = about.pop("image", rng.integers(0, 255, shape, np.uint8))
    labels = (discs() > 0).astype(np.uint8) if labels is None else labels
    spacing, own = about.pop("spacing", None), about.pop("labels_spacing", None)
    unit = "um" if spacing else "pixel"
    return Given(
        name,
        Volume(data, about.pop("axes", "ZYX"[-data.ndim :]), spacing=spacing, unit=unit),
        Volume(labels, about.pop("labels_axes", "ZYX"[-labels.ndim :]), spacing=own or spacing, unit=unit),
        str(about.pop("group", name)),
        **about,
    )


def three(**odd: object) -> list[Given]:
    """Two cases without a fault, and one that is odd."""
    return [given("first"), given("second"), given("odd", **odd)]


def only(found: tuple[Finding, ...], fix: str) -> Finding:
    """The one finding of these that this fixes."""
    [finding] = [finding for finding in found if finding.fix == fix]
    assert FIXES[fix].label
    return finding


def test_nothing_is_found_where_nothing_is_wrong() -> None:
    cases = [given("a"), given("b"), given("c")]
    assert check(cases, Wanted("semantic")) == ()
    assert check([given(n, discs()) for n in "abc"], Wanted("instance")) == ()


@pytest.mark.parametrize(
    ("odd", "task", "fix"),
    [
        ({"labels": np.ones((20, 20), np.uint8) * (discs()[::2, ::2] > 0)}, "semantic", "resize"),
        ({"spacing": (1.0, 1.0), "labels_spacing": (2.0, 2.0)}, "semantic", "respace"),
        ({"labels": (discs() > 0) + 1e-5 * (discs() > 0)}, "semantic", "round"),
        ({"labels": (discs() > 0) * 0.9 + 0.05}, "semantic", "threshold"),
        ({"labels": (discs() > 0).astype(np.int16) - 2 * (discs() == 2)}, "semantic", "no negatives"),
        ({"image": np.where(discs() == 1, np.nan, 1.0 + discs()).astype(np.float32)}, "semantic", "fill"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_odd_case_is_found_and_mended(odd: dict[str, object], task: str, fix: str) -> None:
    cases = three(**odd)
    found = check(cases, Wanted(task))
    finding = only(found, fix)
    assert finding.stops
    assert finding.cases == ("odd",)
    assert "odd" in finding.sentence
    better = mended(cases, found, {fix})
    assert not [later for later in check(better, Wanted(task)) if later.fix == fix]
    assert [case.name for case in better] == ["first", "second", "odd"]


def test_labels_of_another_size_lie_in_place_when_they_are_resized() -> None:
    fine = np.kron((discs() > 0).astype(np.uint8), np.ones((2, 2), np.uint8))
    cases = three(labels=fine)
    [*_, odd] = mended(cases, check(cases, Wanted("semantic")), {"resize"})
    assert np.array_equal(odd.load().labels.data, discs() > 0)
    assert odd.about == {"mended": ("resize",)}
    with pytest.raises(SegError, match="make them equal"):
        mended(cases, (), ())[-1].load()


def test_labels_that_lie_turned_are_for_a_person_to_look_at() -> None:
    """A quarter turn and a mirrored axis give the same shape, and a guess would lie wrong."""
    for there in (np.rot90((discs() > 0)[:, :30]), (discs() > 0)[:, :30].T):
        cases = three(shape=(40, 30), labels=there.astype(np.uint8))
        finding = only(check(cases, Wanted("semantic")), "leave out")
        assert finding.stops
        assert "of odd lie turned or mirrored, and nothing tells which; look at them" in finding.sentence
    assert "turn" not in FIXES


def ball(shape: tuple[int, ...], affine: np.ndarray) -> Volume:
    """A ball in the world, as any grid shows it."""
    index = np.stack([*np.indices(shape), np.ones(shape)])
    world = np.tensordot(affine, index, 1)[:3]
    inside = ((world - np.reshape((15, 12, 10), (3, 1, 1, 1))) ** 2).sum(0) < 49
    spacing = tuple(np.linalg.norm(affine[:3, :3], axis=0).tolist())
    return Volume(inside.astype(np.uint8), "ZYX", spacing, "mm", affine)


def placed(step: float = 1.0, corner: tuple[float, ...] = (0, 0, 0)) -> np.ndarray:
    affine = np.zeros((4, 4))
    affine[[0, 1, 2], [2, 1, 0]] = step  # columns, rows, slices
    affine[:, 3] = *corner, 1
    return affine


@pytest.mark.parametrize(
    ("shape", "affine"),
    [
        ((16, 24, 30), placed(corner=(0, 0, 2))),  # cut to its extent along the slices
        ((10, 12, 15), placed(2, (0.5, 0.5, 0.5))),  # coarser
        ((20, 24, 30), placed(1.3, (-4, -3, -3))),  # as many voxels, of another series
        ((20, 24, 30), placed(corner=(3, 0, 0))),  # as many and as large, elsewhere
        ((30, 24, 20), placed()[:, [2, 1, 0, 3]]),  # the axes in the other order
    ],
)
def test_labels_that_say_where_they_lie_are_laid_there_and_never_stretched(
    shape: tuple[int, ...], affine: np.ndarray
) -> None:
    truth = ball((20, 24, 30), placed())
    rng = np.random.default_rng(0)
    cases = [
        Given(name, replace(truth, data=rng.integers(0, 255, truth.grid, np.uint8)), labels, name)
        for name, labels in (("a", truth), ("b", truth), ("odd", ball(shape, affine)))
    ]
    [finding] = found = check(cases, Wanted("semantic"))
    assert (finding.fix, finding.cases, finding.stops) == ("lay", ("odd",), True)
    better = mended(cases, found, {"lay"})
    assert check(better, Wanted("semantic")) == ()
    laid, there = np.asarray(better[2].load().labels.data) > 0, np.asarray(truth.data) > 0
    assert 2 * (laid & there).sum() / (laid.sum() + there.sum()) > 0.9
    with pytest.raises(SegError):
        mended(cases, (), ())[2].load()


def test_labels_of_another_place_are_not_mended() -> None:
    truth = ball((20, 24, 30), placed())
    rng = np.random.default_rng(0)
    cases = [
        Given(name, replace(truth, data=rng.integers(0, 255, truth.grid, np.uint8)), labels, name)
        for name, labels in (("a", truth), ("b", truth), ("odd", replace(truth, affine=placed(corner=(500, 0, 0)))))
    ]
    [finding] = check(cases, Wanted("semantic"))
    assert (finding.fix, finding.cases) == ("leave out", ("odd",))
    assert "see that both are of the same patient" in finding.sentence


def test_labels_without_a_place_are_resized_only_where_nothing_speaks_against_it() -> None:
    half = (discs() > 0)[::2, ::2].astype(np.uint8)
    cut = (discs() > 0)[:, :30].astype(np.uint8)
    assert only(check(three(labels=half), Wanted("semantic")), "resize").cases == ("odd",)
    [finding] = check(three(labels=cut), Wanted("semantic"))
    assert "cannot be made to fit; export them anew" in finding.sentence
    usual = [given(name, spacing=(1.0, 1.0)) for name in "ab"]
    sized = check([*usual, given("odd", half, spacing=(1.0, 1.0), labels_spacing=(2.0, 2.0))], Wanted("semantic"))
    assert only(sized, "lay").cases == ("odd",)
    [finding] = check([*usual, given("odd", half, spacing=(1.0, 1.0))], Wanted("semantic"))
    assert finding.fix == "leave out"


def test_masks_of_0_and_255_and_classes_with_gaps_are_numbered_anew() -> None:
    bright = (255 * (discs() > 0)).astype(np.uint8)
    cases = [given(n, bright) for n in "abc"]
    found = check(cases, Wanted("semantic"))
    assert "0 and 255" in only(found, "renumber").sentence
    assert {1} == {int(case.read()[1].data.max()) for case in mended(cases, found, {"renumber"})}
    gaps = np.where(discs() > 2, 40, np.where(discs() > 0, 7, 0)).astype(np.uint8)
    cases = [given("a", gaps), given("b", gaps), given("c", np.where(gaps == 40, 7, gaps))]
    better = mended(cases, found := check(cases, Wanted("semantic")), {"renumber"})
    assert all(finding.fix != "renumber" for finding in check(cases, Wanted("semantic", classes=40)))
    assert "7, 40" in only(found, "renumber").sentence
    assert [np.unique(case.read()[1].data).tolist() for case in better] == [[0, 1, 2], [0, 1, 2], [0, 1]]


def test_a_binary_mask_is_split_where_objects_are_asked() -> None:
    touching = (discs() > 0) | (np.mgrid[:40, :40][0] == 9) & (np.mgrid[:40, :40][1] > 8) & (np.mgrid[:40, :40][1] < 20)
    cases = [given(n, touching.astype(np.uint8)) for n in "abc"]
    found = check(cases, Wanted("instance"))
    assert only(found, "split").stops
    assert {len(np.unique(case.read()[1].data)) - 1 for case in mended(cases, found, {"split"})} == {4}


def test_labels_that_do_not_fit_at_all_are_left_out_or_stop_the_training() -> None:
    cases = three(labels=np.ones((7, 31), np.uint8))
    found = check(cases, Wanted("semantic"))
    assert only(found, "leave out").stops
    assert [case.name for case in mended(cases, found, {"leave out"})] == ["first", "second"]
    assert [case.name for case in mended(cases, found, ())] == ["first", "second", "odd"]


def test_fractions_above_one_are_no_probabilities() -> None:
    found = check(three(labels=discs() * 0.7), Wanted("semantic"))
    assert "save them as whole numbers" in only(found, "leave out").sentence


def test_a_file_that_cannot_be_read_is_one_finding_among_others() -> None:
    cases = [*three(), Given("broken", *given().read(), "broken", trouble="broken.tif is cut short; copy it again.")]
    found = check(cases, Wanted("semantic"))
    assert [finding.sentence for finding in found] == ["broken.tif is cut short; copy it again."]
    assert len(mended(cases, found, {"leave out"})) == 3


def test_empty_labels_warn_and_stop_only_where_all_are_empty() -> None:
    nothing = np.zeros((40, 40), np.uint8)
    assert not only(check(three(labels=nothing), Wanted("semantic")), "leave out").stops
    found = check([given(n, nothing) for n in "abc"], Wanted("semantic"))
    assert found[0].stops
    assert "label something first" in found[0].sentence


def test_classes_with_too_little_are_told() -> None:
    few = (discs() > 0).astype(np.uint8)
    few[0, :3] = 2
    assert any("Class 2 has 3 voxels" in f.sentence for f in check(three(labels=few), Wanted("semantic")))
    few[0, 1:3] = 0
    assert any("Class 2 has 1 voxel in" in f.sentence for f in check([given(labels=few)], Wanted("semantic")))
    more = np.where(discs() == 1, 2, discs() > 0).astype(np.uint8)
    assert any(
        "Class 2 occurs in odd alone" in f.sentence for f in check(three(labels=np.tile(more, 1)), Wanted("semantic"))
    )


def squares(*numbers: int) -> np.ndarray:
    """A small square for each number."""
    labels = np.zeros((40, 40), np.uint16)
    for place, number in enumerate(numbers):
        y, x = divmod(place, 8)
        labels[5 * y : 5 * y + 3, 5 * x : 5 * x + 3] = number
    return labels


@pytest.mark.parametrize("counts", [(22, 30, 25), (5, 3, 7), (5,)])
def test_numbers_of_objects_are_no_classes(counts: tuple[int, ...]) -> None:
    cases = [given(name, squares(*range(1, n + 1))) for name, n in zip("abc", counts, strict=False)]
    finding = check(cases, Wanted("semantic"))[0]
    names, most = ", ".join(case.name for case in cases), max(counts)
    assert finding.sentence == (
        f"The labels of {names} hold {most} numbers, which look like those of objects and not of classes; if they are, "
        "learn single objects (task instance)."
    )
    assert not finding.stops
    assert not [one for one in check(cases, Wanted("semantic")) if "Class" in one.sentence]
    assert not [one for one in check(cases, Wanted("instance")) if "numbers" in one.sentence]
    assert not [one for one in check(cases, Wanted("semantic", classes=40)) if "objects" in one.sentence]


def test_numbers_of_objects_that_no_classes_can_be_stop_a_training() -> None:
    for numbers in (range(1, 60, 2), range(200, 230)):
        finding = check([given(name, squares(*numbers)) for name in "abc"], Wanted("semantic"))[0]
        assert finding.stops
        assert "learn single objects (task instance)" in finding.sentence


def test_small_organs_and_classes_of_several_pieces_are_classes() -> None:
    organs = [given(name, squares(1, 2, 3, 4, 5)) for name in "abc"]
    pieces = [given(name, squares(*numbers)) for name, numbers in zip("ab", ((1, 2, 3, 4, 1), (1, 2, 3)), strict=True)]
    large = [given(name, squares(1, 2, 3, 4)[:12, :20], shape=(12, 20)) for name in "a"]
    for cases in (organs, pieces, large):
        assert not [one for one in check(cases, Wanted("semantic")) if "objects" in one.sentence]


def test_the_same_image_twice_is_found_whatever_its_name() -> None:
    same = np.random.default_rng(1).integers(0, 9, (40, 40), np.uint8)
    cases = [given("a", image=same), given("b", image=same.copy()), given("c")]
    finding = only(check(cases, Wanted("semantic")), "keep one")
    assert not finding.stops
    cases[1] = given("b", image=same.copy(), split="val")
    finding = only(found := check(cases, Wanted("semantic")), "keep one")
    assert finding.stops
    assert "for validation" in finding.sentence
    assert [case.name for case in mended(cases, found, {"keep one"})] == ["a", "c"]


def test_a_patient_on_both_sides_of_the_split_stops_the_training() -> None:
    cases = [given("a", group="p1"), given("b", group="p1", split="val"), given("c"), given("d", split="val")]
    found = check(cases, Wanted("semantic"))
    assert "p1" in only(found, "one side").sentence
    assert [case.split for case in mended(cases, found, {"one side"})] == ["train", "train", "train", "val"]


def test_a_spacing_far_from_the_others_and_one_that_is_not_known_are_told() -> None:
    usual = [given(n, spacing=(0.5, 0.5)) for n in "abcd"]
    found = check([*usual, given("odd", spacing=(0.5, 5.0))], Wanted("semantic"))
    assert "odd" in only(found, "leave out").sentence
    found = check([*usual, given("odd")], Wanted("semantic"))
    assert ["odd" in finding.sentence for finding in found] == [True]


def test_the_same_size_in_another_unit_is_the_same_size() -> None:
    def sized(name: str, step: float, unit: str, labels_step: float, labels_unit: str) -> Given:
        case = given(name, spacing=(step, step), labels_spacing=(labels_step, labels_step))
        return replace(case, image=replace(case.image, unit=unit), labels=replace(case.labels, unit=labels_unit))

    alike = [
        sized("a", 0.5, "um", 0.0005, "mm"),
        sized("b", 500, "nm", 0.5, "um"),
        sized("c", 0.0005, "mm", 500, "nm"),
        sized("d", 0.5, "um", 1.5, "pixel"),
    ]
    assert check(alike, Wanted("semantic")) == ()
    odd = sized("odd", 0.5, "mm", 0.5, "mm")
    [finding] = check([*alike, odd], Wanted("semantic"))
    assert "odd are far from the usual 0.5 x 0.5 um" in finding.sentence
    [finding] = check([*alike, sized("odd", 500, "um", 500, "nm")], Wanted("semantic"))[:1]
    assert finding.fix == "respace"
    [finding] = check([*alike, sized("odd", 0.5, "pixel", 0.5, "pixel")], Wanted("semantic"))
    assert "The files of odd do not say how large a voxel is" in finding.sentence


def test_channels_of_other_names_are_told_and_another_order_is_not() -> None:
    def named(name: str, *channels: str, split: str = "train") -> Given:
        case = given(name, image=np.random.default_rng(ord(name)).integers(0, 255, (2, 40, 40), np.uint8), axes="CYX")
        return replace(case, image=replace(case.image, channels=channels), split=split)

    usual = [named("a", "bright", "dark"), named("b", "dark", "bright"), named("c", "bright", "dark")]
    unnamed = named("d")
    assert not check(usual, Wanted("semantic"))
    assert not check(usual, Wanted("semantic", channels=("dark", "bright")))
    [finding] = check([*usual, unnamed], Wanted("semantic"))
    assert not finding.stops
    assert "of d have no names, so they are taken as they lie" in finding.sentence
    odd = named("e", "DAPI", "bright", split="val")
    finding = only(check([*usual, odd], Wanted("semantic")), "leave out")
    assert finding.stops
    assert "of e are named DAPI, bright, of the others bright, dark" in finding.sentence
    [finding] = check([*usual, odd], Wanted("semantic", channels=("dark", "bright")))
    assert not finding.stops
    assert "of e are named DAPI, bright, the model learned dark, bright" in finding.sentence


def test_one_image_alone_and_images_of_different_kinds() -> None:
    [finding] = check([given("a", discs())], Wanted("instance"))
    words = "There is a single image (a), so nothing tells how others will fare; label a second one."
    assert finding.sentence == words  # true also where no part of it is held out
    assert not finding.stops
    volume = given("deep", np.ones((3, 40, 40), np.uint8), shape=(3, 40, 40))
    assert "3D" in only(check([given("a"), given("b"), volume], Wanted("semantic")), "leave out").sentence
    colour = given("rgb", shape=(40, 40, 3), axes="YXS")
    assert "3 channels" in only(check([given("a"), given("b"), colour], Wanted("semantic")), "leave out").sentence
    assert check([], Wanted("semantic"))[0].stops


def test_planes_of_overlapping_classes_count_by_plane() -> None:
    planes = np.stack([discs() > 0, discs() > 3]).astype(np.uint8)
    looked = Looked.at(given("a", planes, labels_axes="CYX"))
    assert looked.planes == 2
    assert looked.values == (1, 2)
    assert check([given(n, planes, labels_axes="CYX") for n in "abc"], Wanted("semantic")) == ()


def test_edges_empty_and_one_pixel() -> None:
    for shape in ((0, 5), (1, 1)):
        found = check([given(n, np.zeros(shape, np.uint8), shape=shape) for n in "ab"], Wanted("semantic"))
        assert any("empty" in finding.sentence for finding in found)


def test_all_sentences_end_and_name_what_to_do() -> None:
    cases = three(labels=(255 * (discs() > 0)).astype(np.uint8), spacing=(1.0, 1.0))
    for finding in check(cases, Wanted("semantic")):
        assert finding.sentence.endswith(".")
        assert ";" in finding.sentence or finding.fix
