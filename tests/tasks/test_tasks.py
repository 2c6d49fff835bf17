"""The contract of every task, and what each promises of its own."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from napari_seg.choices import LossKind
from napari_seg.errors import SegError
from napari_seg.tasks import losses
from napari_seg.tasks.instance import Instance, flows, without_small
from napari_seg.tasks.semantic import Semantic
from napari_seg.training.plan import TrainSpec

TASKS = {"semantic": Semantic(classes=("a", "b")), "instance": Instance()}


def task_of(name: str, ndim: int) -> Semantic | Instance:
    """The task for so many dimensions."""
    return Instance(ndim=3) if (name, ndim) == ("instance", 3) else TASKS[name]


def discs(*, touching: bool = True, ndim: int = 2) -> NDArray[np.int64]:
    """Two balls of radius 8 that touch, or one."""
    axes = np.meshgrid(*(np.arange(n) for n in (20,) * (ndim - 1) + (40,)), indexing="ij")
    labels = np.zeros(axes[0].shape, np.int64)
    for number, x in ((1, 11), (2, 27)) if touching else ((1, 11),):
        labels[sum((a - 9.5) ** 2 for a in axes[:-1]) + (axes[-1] - x) ** 2 < 8.3**2] = number
    return labels


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("name", TASKS)
def test_decoding_what_was_encoded_gives_the_labels_back(name: str, ndim: int) -> None:
    task, labels = task_of(name, ndim), discs(ndim=ndim)
    found = task.decode(task.encode(labels, (1.0,) * ndim), (1.0,) * ndim)
    assert np.array_equal(found > 0, labels > 0)
    assert len(np.unique(found)) == 3
    agree = [np.mean(found[labels == k] == np.bincount(found[labels == k]).argmax()) for k in (1, 2)]
    assert min(agree) > 0.98
    assert found.dtype == np.uint8


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("name", TASKS)
def test_variants_decoded_together_are_those_decoded_one_by_one(name: str, ndim: int) -> None:
    task, spacing = task_of(name, ndim), (2.0,) + (1.0,) * (ndim - 1)
    if name == "instance":
        task = task.model_copy(update={"smallest": 20.0})
    target = task.encode(discs(ndim=ndim), spacing)
    scores = 0.4 * target + 0.6 * np.random.default_rng(0).random(target.shape, np.float32)
    together = list(task.decode_variants(scores, spacing))
    apart = [variant.decode(scores, spacing) for variant in task.variants()]
    assert len(together) == len(apart)
    for one, other in zip(together, apart, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    assert name == "semantic" or len({labels.max() for labels in apart}) > 10


@pytest.mark.parametrize("kind", get_args(LossKind))
@pytest.mark.parametrize("name", TASKS)
def test_pixels_outside_the_mask_do_not_matter(name: str, kind: LossKind) -> None:
    task, labels = TASKS[name], discs()
    target = torch.from_numpy(task.encode(labels, (1.0, 1.0)))[None]
    logits = torch.randn(1, task.channels, *labels.shape, generator=torch.Generator().manual_seed(0))
    mask = torch.zeros(1, 1, *labels.shape)
    mask[..., :20] = 1
    other, wrong = logits.clone(), target.clone()
    other[..., 20:] += 5
    wrong[..., 20:] = 1 - wrong[..., 20:]
    assert torch.equal(task.loss(logits, target, mask, kind), task.loss(other, wrong, mask, kind))
    logits.requires_grad_(True)
    task.loss(logits, target, mask, kind).backward()
    assert logits.grad is not None
    assert not logits.grad[..., 20:].any()
    assert logits.grad[..., :20].any()


@pytest.mark.parametrize("kind", get_args(LossKind))
@pytest.mark.parametrize("name", TASKS)
def test_nothing_known_gives_no_gradient(name: str, kind: LossKind) -> None:
    task = TASKS[name]
    logits = torch.zeros(1, task.channels, 8, 8, requires_grad=True)
    target = torch.from_numpy(task.encode(np.ones((8, 8), np.int64), (1.0, 1.0)))[None]
    task.loss(logits, target, torch.zeros(1, 1, 8, 8), kind).backward()
    assert logits.grad is not None
    assert not logits.grad.any()


@pytest.mark.parametrize("kind", get_args(LossKind))
@pytest.mark.parametrize("name", [*TASKS, "overlapping"])
def test_every_loss_is_small_where_all_is_right_and_large_where_all_is_wrong(name: str, kind: LossKind) -> None:
    overlapping = Semantic(classes=("a", "b"), overlapping=True)
    task = overlapping if name == "overlapping" else TASKS[name]
    labels = np.stack([discs() == k for k in (1, 2)]) if name == "overlapping" else discs()
    target = torch.from_numpy(task.encode(labels, (1.0, 1.0)))[None]
    right, mask = (target.clamp(1e-3, 1 - 1e-3)).logit() * 5, torch.ones(1, 1, *discs().shape)
    if name == "instance":
        right = target.clamp(1e-3, 1 - 1e-3).logit()
    assert task.loss(right, target, mask, kind) < 0.05
    assert task.loss(-right, target, mask, kind) > 1


def test_the_losses_differ_as_they_promise() -> None:
    target = torch.zeros(1, 1, 4, 4)
    target[..., :2, :] = 1
    mask, missing, excess = torch.ones(1, 1, 4, 4), target.clone(), target.clone()
    missing[..., 0, :], excess[..., 3, :] = 0, 1
    assert losses.tversky(missing, target, mask) > losses.dice(missing, target, mask)
    assert losses.tversky(excess, target, mask) < losses.dice(excess, target, mask)
    assert losses.tversky(missing, target, mask, 0.5).item() == pytest.approx(losses.dice(missing, target, mask).item())
    logits = torch.tensor([[[[4.0, -1.0]]]])  # one pixel is nearly right, one is wrong; both are inside
    shares = []
    for kind in ("dice", "focal"):
        given = logits.clone().requires_grad_(True)
        losses.binary(given, torch.ones(1, 1, 1, 2), torch.ones(1, 1, 1, 2), kind).backward()
        assert given.grad is not None
        shares.append(float(given.grad[..., 0] / given.grad[..., 1]))
    assert shares[1] < shares[0] / 10


@pytest.mark.parametrize("name", TASKS)
def test_scores_lie_between_0_and_1(name: str) -> None:
    scores = TASKS[name].activate(torch.randn(1, TASKS[name].channels, 8, 8) * 50)
    assert scores.min() >= 0
    assert scores.max() <= 1


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (3, 1, 2)])
def test_the_smallest_grids(name: str, shape: tuple[int, ...]) -> None:
    task = task_of(name, len(shape))
    for labels in (np.zeros(shape, np.int64), np.ones(shape, np.int64)):
        spacing = (1.0,) * len(shape)
        found = task.decode(task.encode(labels, spacing), spacing)
        assert np.array_equal(found, labels)


def test_overlapping_classes_are_planes() -> None:
    task = Semantic(classes=("a", "b"), overlapping=True)
    labels = np.zeros((2, 4, 4), np.int64)
    labels[0, :3], labels[1, 1:] = 1, 1
    assert task.channels == 2
    assert np.array_equal(task.decode(task.encode(labels, (1.0, 1.0)), (1.0, 1.0)), labels)


def test_each_overlapping_class_learns_from_its_own_plane_where_labels_count() -> None:
    task = Semantic(classes=("a", "b"), overlapping=True)
    labels = np.zeros((2, 8, 8), np.uint8)
    labels[0, :5], labels[1, 3:] = 1, 1
    target = torch.from_numpy(task.encode(labels, (1.0, 1.0)))[None]
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., :4] = 1
    right = (target * 2 - 1) * 20
    assert task.loss(right, target, mask) < 1e-3
    for wrong in (0, 1):
        logits = right.clone()
        logits[:, wrong] *= -1
        logits.requires_grad_(True)
        loss = task.loss(logits, target, mask)
        assert loss > 1
        loss.backward()
        assert logits.grad is not None
        assert not logits.grad[..., 4:].any()
        assert logits.grad[0, wrong, :, :4].abs().max() > logits.grad[0, 1 - wrong].abs().max()


def test_flows_point_to_the_middle_and_fade_there() -> None:
    labels = np.pad(np.ones((9, 9), np.int64), 2)
    vectors = flows(labels, (1.0, 1.0))
    assert not vectors[:, labels == 0].any()
    assert vectors[:, 6, 6].tolist() == [0, 0]
    assert vectors[:, 6, 5].tolist() == [0, 0.5]
    assert vectors[:, 2, 6].tolist() == [1, 0]
    assert vectors[:, 6, 10].tolist() == [0, -1]


def test_flows_are_physical() -> None:
    labels = np.pad(np.ones((3, 9, 9), np.int64), 2)
    thick = flows(labels, (4.0, 1.0, 1.0))
    np.testing.assert_allclose(np.linalg.norm(thick[:, 2, 2, 2]), 1, rtol=1e-6)
    assert thick[0, 2, 3, 3] == pytest.approx(4 / np.sqrt(16 + 9 + 9))  # one slice up is as far as four pixels aside


def test_mirrored_scores_are_those_of_the_mirrored_labels() -> None:
    labels = discs()
    for axes in ((2,), (3,), (2, 3)):
        turned = np.flip(labels, [axis - 2 for axis in axes])
        scores = torch.from_numpy(Instance().encode(turned, (1.0, 1.0)))[None]
        back = Instance().mirror(scores, axes)[0]
        inside = labels > 0
        wrong = np.abs(back.numpy() - Instance().encode(labels, (1.0, 1.0)))[:, inside]
        assert wrong.mean() < 0.05  # the deepest pixel of a disc of even width has a twin


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_every_foreground_pixel_belongs_to_an_object(seed: int) -> None:
    scores = np.random.default_rng(seed).random((3, 24, 24), np.float32)
    task = Instance(threshold=0.4)
    assert np.array_equal(task.decode(scores, (1.0, 1.0)) > 0, scores[0] > 0.4)


def test_small_objects_are_dropped_and_the_rest_renumbered() -> None:
    labels = np.array([[0, 7, 7, 7], [3, 0, 9, 9]])
    assert without_small(labels, 2).tolist() == [[0, 1, 1, 1], [0, 0, 2, 2]]
    assert without_small(labels, 2).dtype == np.uint8


def test_seventy_thousand_objects_have_numbers_of_their_own() -> None:
    labels = np.zeros((1060, 1060), np.int64)
    labels[::4, ::4] = np.arange(1, 265 * 265 + 1).reshape(265, 265)
    found = Instance().decode(Instance().encode(labels, (1.0, 1.0)), (1.0, 1.0))
    assert found.max() == 265 * 265
    assert found.dtype == np.uint32


@pytest.mark.parametrize(
    ("own", "names", "taught"),
    [
        (("liver", "spleen"), ("liver",), True),
        (("liver", "spleen"), ("liver", "spleen", "tumour"), True),
        (("liver", "spleen"), ("spleen", "liver"), False),
        (("liver", "spleen"), ("class 1",), False),
        (("liver",), ("class 1",), True),
        (("liver",), ("class 1", "tumour"), False),
        (("liver",), (), True),
    ],
)
def test_a_model_learns_from_masks_with_its_own_classes(
    own: tuple[str, ...], names: tuple[str, ...], taught: bool
) -> None:
    assert Semantic(classes=own).taught_by(names) is taught


def test_of_overlapping_classes_each_is_taught_by_a_mask_of_its_own() -> None:
    task = Semantic(classes=("lung", "tumour"), overlapping=True)
    assert [task.taught_by(names) for names in (("tumour",), ("lung",), ("heart",), ())] == [True, True, False, True]


@pytest.mark.parametrize("spec", [Semantic, TrainSpec])
def test_each_class_has_a_name_of_its_own(spec: type[Semantic | TrainSpec]) -> None:
    assert spec.from_person({"classes": (" liver", "spleen\t")}).classes == ("liver", "spleen")
    for names, words in ((("a", " a"), "two classes are named a"), (("a", " "), "a class has no name")):
        with pytest.raises(SegError, match=f"classes: {words}"):
            spec.from_person({"classes": names})


def test_objects_have_one_name() -> None:
    assert TrainSpec(task="instance", classes=("cell",)).classes == ("cell",)
    with pytest.raises(SegError, match=r"objects are of one kind, but 2 names are given"):
        TrainSpec.from_person({"task": "instance", "classes": ("cell", "nucleus")})
