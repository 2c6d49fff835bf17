"""What is held out stays held out, is never learned from, and never divides a group."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest

from napari_seg.training.division import NOTHING
from napari_seg.training.holding_out import JUDGES, SHARE, apart, divided
from napari_seg.training.sample import Sample


def picture(name: str, group: str = "", size: int = 64, mask: np.ndarray | None = None) -> Sample:
    labels = np.zeros((size, size), np.int64)
    labels[::8, ::8] = np.arange(1, 1 + (size // 8) ** 2).reshape(size // 8, -1)
    return Sample(np.zeros((1, size, size), np.float32), labels, mask, name, group)


@pytest.mark.parametrize("count", [2, 5, 20, 60])
def test_whole_groups_are_held_out_and_stay_held_out(count: int) -> None:
    samples = [picture(f"{k}-{part}", f"patient {k}") for k in range(count) for part in range(2)]
    learned, held_out, _ = divided(samples)
    groups = [{sample.group for sample in part} for part in (learned, held_out)]
    assert not groups[0] & groups[1]
    assert groups[0] | groups[1] == {sample.group for sample in samples}
    assert len(groups[1]) == max(1, SHARE * count)
    again = divided(list(reversed(samples)))[1]
    assert {sample.name for sample in again} == {sample.name for sample in held_out}
    assert {sample.name for sample in divided(samples, seed=1)[0]} != {sample.name for sample in learned} or count < 5


def names(samples: Iterable[Sample]) -> set[str]:
    return {sample.name for sample in samples}


def test_what_was_learned_from_is_not_held_out_later() -> None:
    """Rounds of a session: a new model must not be measured on what the one before has learned."""
    samples = [picture(str(k)) for k in range(40)]
    known, before, now = set[str](), set[str](), NOTHING
    for count in range(2, 41):
        learned, held_out, now = divided(samples[:count], now)
        assert not names(held_out) & known
        assert before <= names(held_out)
        known, before = known | names(learned), names(held_out)
        assert divided(samples[:count], now) == (learned, held_out, now)
    assert len(before) >= 4


def test_the_blocks_of_an_image_stay_held_out_while_more_of_it_is_painted() -> None:
    known, before, now = np.zeros((200, 200), bool), set[str](), NOTHING
    for size in (60, 90, 130, 200):
        mask = np.zeros((200, 200), bool)
        mask[:size, :size] = True
        (learned,), held_out, now = divided([picture("a", size=200, mask=mask)], now)
        assert before <= names(held_out)
        before, known = names(held_out), known | learned.counts
        for sample in held_out:
            there = np.isin(picture("a", size=200).labels, sample.labels[sample.counts & (sample.labels > 0)])
            assert not (there & known & (picture("a", size=200).labels > 0)).any()
    assert before
    other = picture("b", size=200)
    learned, held_out, now = divided([picture("a", size=200), other], now)
    assert before <= names(held_out)  # also beside another image
    assert names(learned) >= {"a"}
    assert divided([picture("a", size=200), other], now)[1:] != ((), now)


def test_where_all_was_held_out_or_all_was_learned() -> None:
    pictures = [picture(name, size=200) for name in "ab"]
    (learned,), (held_out,), now = divided(pictures)
    assert divided([learned], now)[:2] == ((learned,), ())  # every part of it was learned from
    alone = divided([held_out], now)
    assert alone.learned  # else there were nothing to learn from
    assert names(divided(pictures, alone.division).learned) == {"a", "b"}
    assert names(divided(pictures, alone.division).held_out) == names(alone.held_out)


def test_a_single_image_is_divided_into_blocks_with_a_gap() -> None:
    image = picture("a", size=200)
    learned, held_out, _ = divided([image])
    assert held_out
    assert all(sample.name.startswith("a, block ") for sample in held_out)
    taken = np.zeros((200, 200), bool)
    assert learned[0].mask is not None
    near = ~learned[0].mask
    for sample in held_out:
        assert sample.mask is not None
        assert sample.mask.any()
        assert sample.mask.shape == sample.labels.shape == sample.image.shape[1:]
        taken |= np.isin(image.labels, sample.labels[sample.mask & (sample.labels > 0)]) & (image.labels > 0)
    assert not (taken & learned[0].mask).any()
    assert near.sum() > sum(int(sample.mask.sum()) for sample in held_out if sample.mask is not None)
    assert learned[0].mask.mean() > 0.5


def test_slices_of_one_volume_are_divided_at_the_same_place() -> None:
    slices = [picture("a", "scan", 120) for _ in range(3)]
    learned, held_out, _ = divided(slices)
    assert len(learned) == 3
    assert len(held_out) % 3 == 0
    assert len({sample.name for sample in held_out}) == len(held_out) // 3
    assert learned[0].mask is not None
    assert all(np.array_equal(learned[0].mask, sample.mask) for sample in learned)


def test_only_where_labels_count_can_be_held_out() -> None:
    mask = np.zeros((200, 200), bool)
    mask[:90, :90] = True
    learned, held_out, _ = divided(
        [picture("a", size=200, mask=mask), replace(picture("b"), mask=np.zeros((64, 64), bool))]
    )
    assert [sample.name for sample in learned] == ["a"]
    assert sum(int(sample.mask.sum()) for sample in held_out if sample.mask is not None) <= mask.sum() / 2
    small = np.zeros((200, 200), bool)
    small[2:30, 2:30] = True
    assert divided([picture("a", size=200, mask=small)])[1] == ()
    whole = picture("a", size=32)
    assert divided([whole])[:2] == ((whole,), ())


def test_those_that_choose_do_not_judge_where_there_are_enough() -> None:
    for count in (1, JUDGES - 1):
        held_out = [picture(str(k)) for k in range(count)]
        assert apart(held_out) == (tuple(held_out), tuple(held_out))
    for count in (JUDGES, 2 * JUDGES - 1):
        choosing, judging = apart([picture(str(k)) for k in range(count)])
        assert (len(choosing), len(judging)) == (0, count)
    held_out = [picture(str(k)) for k in range(13) for _ in range(2)]
    choosing, judging = apart(held_out)
    names = [{sample.name for sample in part} for part in (choosing, judging)]
    assert not names[0] & names[1]
    assert len(choosing) + len(judging) == 26
    assert len(names[1]) >= JUDGES


def test_images_of_one_name_are_several_and_of_one_group_on_one_side() -> None:
    held_out = [picture("ct", f"patient {k}") for k in range(13)]
    choosing, judging = apart(held_out)
    assert (len(choosing), len(judging)) == (6, 7)
    held_out = [picture(str(k), f"patient {k % 4}") for k in range(20)]
    choosing, judging = apart(held_out)
    assert not {sample.group for sample in choosing} & {sample.group for sample in judging}
    assert (len(choosing), len(judging)) == (10, 10)
    few = [picture(str(k), f"patient {max(0, k - 8)}") for k in range(12)]
    assert min(map(len, apart(few))) in (0, 9)  # never fewer than JUDGES that judge
    assert len(apart(few)[1]) >= JUDGES


def of_patients(count: int, each: int = 3) -> list[Sample]:
    """Images that are groups of their own, several of each patient."""
    return [replace(picture(f"{k}-{n}"), patient=f"P{k}") for k in range(count) for n in range(each)]


def patients(samples: Iterable[Sample]) -> set[str]:
    return {sample.patient for sample in samples}


@pytest.mark.parametrize("count", [2, 5, 20])
def test_no_patient_is_on_both_sides(count: int) -> None:
    learned, held_out, _ = divided(of_patients(count))
    assert not patients(learned) & patients(held_out)
    assert len(patients(held_out)) == max(1, SHARE * count)
    choosing, judging = apart(divided(of_patients(60))[1])
    assert choosing
    assert not patients(choosing) & patients(judging)


def test_patients_that_are_told_later_or_taken_back_never_bring_back_what_was_learned() -> None:
    told = of_patients(10)
    untold = [replace(sample, patient="") for sample in told]
    first = divided(untold)
    later = divided(told, first.division)
    assert not names(first.held_out) <= names(later.held_out)  # a patient was on both sides
    assert not names(later.held_out) & names(first.learned)
    assert not patients(later.learned) & patients(later.held_out)
    back = divided(untold, later.division)
    assert not names(back.held_out) & names(later.learned)


def test_a_new_image_of_a_patient_goes_to_where_the_patient_is() -> None:
    for seed in range(8):
        learned, held_out, division = divided(of_patients(6, each=2), seed=seed)
        new = [replace(picture(f"new {k}"), patient=f"P{k}") for k in range(6)]  # the others were moved elsewhere
        again = divided(new, division, seed=seed)
        assert patients(again.learned) >= patients(learned)
        assert patients(again.held_out) == patients(held_out)


def test_the_images_of_a_single_patient_are_held_out_one_by_one() -> None:
    samples = of_patients(1, each=5)
    learned, held_out, division = divided(samples)
    assert (len(learned), len(held_out)) == (4, 1)
    assert divided(samples, division) == (learned, held_out, division)


def test_an_image_that_was_divided_learns_whole_beside_another_of_its_patient() -> None:
    alone = replace(picture("a", size=200), patient="P1")
    first = divided([alone])
    assert first.held_out
    beside = replace(picture("b"), patient="P1")
    others = [replace(picture(f"{k}"), patient=f"Q{k}") for k in range(4)]
    learned, held_out, _ = divided([alone, beside, *others], first.division)
    assert not patients(learned) & patients(held_out)
    assert names(learned) >= {"a", "b"}


def test_a_patient_that_was_learned_when_there_was_no_other_is_not_held_out_later() -> None:
    first = of_patients(1, each=1)
    others = [replace(picture(f"new {k}"), patient=f"P{k}") for k in range(4)]  # of P0 another image
    for seed in range(20):
        _, held_out, _ = divided(others, divided(first, seed=seed).division, seed=seed)
        assert held_out
        assert "P0" not in patients(held_out)


def test_on_another_grid_nothing_that_was_learned_is_held_out() -> None:
    """An image is seen larger as soon as it is known how large its objects are: its blocks are others then."""
    first = divided([picture("a", size=152)])
    assert first.held_out
    again = divided([picture("a", size=304)], first.division)
    assert again.held_out == ()
    beside = divided([picture("a", size=304), *(picture(f"{k}") for k in range(4))], first.division)
    assert "a" in names(beside.learned)
    assert not any(name.startswith("a") for name in names(beside.held_out))


def test_images_of_one_patient_count_once_where_a_model_is_judged() -> None:
    held_out = of_patients(3, each=4)
    assert apart(held_out) == (tuple(held_out), tuple(held_out))  # three are too few to spare any
