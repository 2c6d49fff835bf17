"""Whether a retrained model is taken when it should be: ten wrong sets of corrections, and ten honest ones.

    python benchmarks/adoption.py wrong --data ../shared/data --output FOLDER
    python benchmarks/adoption.py honest --data ../shared/data --output FOLDER

Each set is 8 images to learn from and 6 that judge, all labelled alike: who labels wrongly does it everywhere, so the
judging images are wrong too. ``wrong``: labels moved, mirrored, swapped, random, half missing; once on histology with
the shipped nuclei (a new kind of image, on which the model may learn anything without forgetting the old), once on
hippocampi (the same kind as ever). ``honest``: six draws of histology images, two of hippocampi of the other side, one
of inverted and one of blurred and noisy ones, each with right labels.

Printed is what each verdict was, and what the model is really worth: its gain on 6 further images with right labels.
``--minutes`` of each retraining; ``--only`` the sets with these words in their names; ``--steps`` for a short trial.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from retraining import Shown, head, in_order, memory_of, row, told
from scipy.ndimage import gaussian_filter, label

from napari_seg.data.volume import Volume
from napari_seg.inference.backend import choose_device
from napari_seg.jobs import run
from napari_seg.models.zoo import load_model
from napari_seg.training.adopt import compare
from napari_seg.training.cases import Labelled, find_cases
from napari_seg.training.reading import take_in
from napari_seg.training.retrain import RetrainSpec, retrain

LEARNED, JUDGED, FURTHER = 8, 6, 6
SIDE = 256
"""Histology images are cut down to so many pixels."""

Array = NDArray[Any]
Kind = Literal["nuclei", "hippocampi"]
Change = Callable[[list[Labelled]], list[Labelled]]


@dataclass(frozen=True)
class Set:
    """Corrections: which draw of which images, what is done to all of them, and what to the labels that are taught."""

    name: str
    kind: Kind
    draw: int = 0
    to_images: Change = list
    to_labels: Change = list


def relabelled(change: Callable[[Array, np.random.Generator], Array]) -> Change:
    """The same change of the labels of each image, random draws apart."""

    def changed(images: list[Labelled]) -> list[Labelled]:
        rng = np.random.default_rng(0)
        return [
            one._replace(
                labels=replace(one.labels, data=np.ascontiguousarray(change(np.asarray(one.labels.data), rng)))
            )
            for one in images
        ]

    return changed


def repainted(change: Callable[[Array, np.random.Generator], Array]) -> Change:
    def changed(images: list[Labelled]) -> list[Labelled]:
        rng = np.random.default_rng(0)
        return [
            one._replace(image=replace(one.image, data=change(np.asarray(one.image.data, np.float32), rng)))
            for one in images
        ]

    return changed


def of_the_next(images: list[Labelled]) -> list[Labelled]:
    """Each image with the labels of the next one that is as large."""
    by_size: dict[tuple[int, ...], list[int]] = {}
    for number, one in enumerate(images):
        by_size.setdefault(one.labels.shape, []).append(number)
    following = {a: b for group in by_size.values() for a, b in zip(group, group[1:] + group[:1], strict=True)}
    return [one._replace(labels=images[following[number]].labels) for number, one in enumerate(images)]


def random_shapes(classes: int, width: float) -> Change:
    def shapes(labels: Array, rng: np.random.Generator) -> Array:
        noise = gaussian_filter(rng.normal(size=labels.shape), width)
        found = label(noise > np.quantile(noise, 1 - np.mean(labels > 0)))[0]
        return found if not classes else np.where(found > 0, 1 + found % classes, 0)

    return relabelled(shapes)


def every_second_object(labels: Array, rng: np.random.Generator) -> Array:
    objects = rng.permutation(np.unique(labels[labels > 0]))
    return np.where(np.isin(labels, objects[::2]), 0, labels)


def every_second_slice(labels: Array, rng: np.random.Generator) -> Array:
    return np.where((np.arange(len(labels)) % 2 == 0)[:, None, None], labels, 0)


def other_side(images: list[Labelled]) -> list[Labelled]:
    return repainted(lambda image, _: image[..., ::-1])(relabelled(lambda labels, _: labels[..., ::-1])(images))


WRONG = (
    Set("nuclei moved by 6 pixels", "nuclei", 0, to_labels=relabelled(lambda labels, _: np.roll(labels, 6, 0))),
    Set("hippocampi moved by 4 voxels", "hippocampi", 0, to_labels=relabelled(lambda labels, _: np.roll(labels, 4, 1))),
    Set("nuclei mirrored", "nuclei", 1, to_labels=relabelled(lambda labels, _: labels[:, ::-1])),
    Set("hippocampi mirrored", "hippocampi", 1, to_labels=relabelled(lambda labels, _: labels[:, ::-1])),
    Set("nuclei with the labels of other images", "nuclei", 2, to_labels=of_the_next),
    Set(
        "hippocampi with swapped classes",
        "hippocampi",
        2,
        to_labels=relabelled(lambda labels, _: np.where(labels > 0, 3 - labels, 0)),
    ),
    Set("nuclei random", "nuclei", 3, to_labels=random_shapes(0, 5)),
    Set("hippocampi random", "hippocampi", 3, to_labels=random_shapes(2, 3)),
    Set("nuclei half missing", "nuclei", 4, to_labels=relabelled(every_second_object)),
    Set("hippocampi half missing", "hippocampi", 4, to_labels=relabelled(every_second_slice)),
)

HONEST = (
    *(Set(f"nuclei draw {draw}", "nuclei", 10 + draw) for draw in range(6)),
    *(Set(f"hippocampi of the other side, draw {draw}", "hippocampi", 10 + draw, other_side) for draw in range(2)),
    Set("hippocampi inverted", "hippocampi", 12, repainted(lambda image, _: image.max() - image)),
    Set(
        "hippocampi blurred and noisy",
        "hippocampi",
        13,
        repainted(lambda image, rng: gaussian_filter(image, 1) + rng.normal(size=image.shape) * 0.5 * image.std()),
    ),
)


def images_of(data: Path, kind: Kind, draw: int) -> tuple[list[str], list[Labelled]]:
    """Images that the shipped model never learned from, in an order of the draw."""
    folder = data / {"nuclei": "nuclei2d", "hippocampi": "hippocampus_mr"}[kind]
    split = folder / "split.csv"
    if kind == "nuclei":
        stains = ("hist_purple", "hist_white")
        cases = [case for stain in stains for case in find_cases(folder, split=split, where={"kind": stain})]
    else:
        known = {case.name for case in find_cases(folder, split=split, hold_out="fold0")}
        cases = [case for case in find_cases(folder, split=split, hold_out="") if case.name not in known]
    chosen = in_order(cases, draw)[: LEARNED + JUDGED + FURTHER]
    return [case.name for case in chosen], [_cut(case.load()) if kind == "nuclei" else case.load() for case in chosen]


def _cut(one: Labelled) -> Labelled:
    def part(volume: Volume) -> Volume:
        where = tuple(slice(SIDE) if axis in "YX" else slice(None) for axis in volume.axes)
        return replace(volume, data=np.asarray(volume.data)[where])

    return one._replace(image=part(one.image), labels=part(one.labels))


def judge(one: Set, data: Path, output: Path, minutes: float, steps: int | None) -> tuple[str, float]:
    """Retrain on a set; the decision, and what the new model really gains."""
    names, right = images_of(data, one.kind, one.draw)
    right = one.to_images(right)
    taught = one.to_labels(right[: LEARNED + JUDGED])
    lessons = [
        Shown(name, labelled, "train" if number < LEARNED else "val")
        for number, (name, labelled) in enumerate(zip(names, taught, strict=False))
    ]
    model = {"nuclei": "nuclei2d", "hippocampi": "hippocampus3d"}[one.kind]
    start, spec = load_model(model), RetrainSpec(minutes=minutes, steps=steps)
    path = output / f"{one.name.replace(' ', '-')}.safetensors"
    made = run(retrain.steps(start, lessons, spec, save_to=path, memory=memory_of(model)), told(one.name))
    verdict = made.verdict
    assert verdict is not None
    further = [Shown(name, labelled) for name, labelled in zip(names[-FURTHER:], right[-FURTHER:], strict=True)]
    samples = run(take_in(further, start.spec, total=len(further)))
    truly = compare(start, made.model, [sample for few in samples for sample in few], [], choose_device()).gain
    row(one.name, verdict.decision, verdict.gain, verdict.loss, truly, verdict.sentence)
    return verdict.decision, truly


def measure(
    sets: Sequence[Set], data: Path, output: Path, minutes: float, steps: int | None
) -> list[tuple[str, float]]:
    head("corrections", "verdict", "gain", "loss on older samples", "true gain", "in words")
    return [judge(one, data, output, minutes, steps) for one in sets]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("which", choices=("wrong", "honest"))
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--output", type=Path, default=Path("runs"))
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    sets = [one for one in (WRONG if options.which == "wrong" else HONEST) if options.only in one.name]
    options.output.mkdir(parents=True, exist_ok=True)
    found = measure(sets, options.data, options.output, options.minutes, options.steps)
    if options.which == "wrong":
        print(f"wrong models adopted: {sum(decision == 'better' for decision, _ in found)} of {len(found)}")
        return
    good = [decision for decision, truly in found if truly > 0]
    print(f"good models refused: {sum(decision != 'better' for decision in good)} of {len(good)}", end="")
    print(f" ({sum(decision == 'undecided' for decision in good)} of them left to the person)")


if __name__ == "__main__":
    main()
