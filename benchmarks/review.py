"""Does the review find what is wrong sooner than chance, or than looking at the smallest first?

    python benchmarks/review.py queue --data ../shared/data

predicts the validation images of ``nuclei2d`` and cases of fold0 of ``hippocampus_mr`` with the shipped models, puts
their objects and slices in the order of the queue, and asks the truth. The weights of the queue were chosen on these
very images: the line "weights of other images" refits them without a sixth of the images and measures that sixth, six
times. Test images are not opened.

    python benchmarks/review.py teaching --data ../shared/data

asks how much of what is wrong lies in the three slices that are to be corrected first for a training.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from napari_seg import predict
from napari_seg.editing import signals
from napari_seg.editing.annotation import Annotation
from napari_seg.editing.measures import measure
from napari_seg.editing.signals import Signal
from napari_seg.editing.stopping import ENOUGH, stopping
from napari_seg.editing.suspicion import disagreement, object_signals
from napari_seg.editing.teaching import choose_slices
from napari_seg.editing.through import Through, look_through
from napari_seg.evaluation.metrics import overlap
from napari_seg.inference.prediction import PredictSpec
from napari_seg.models.zoo import load_model
from napari_seg.training.cases import Case, find_cases

WRONG = 0.5
"""Below this IoU with the truth an object or a slice is wrong."""

FOLDS = 6


@dataclass(frozen=True, eq=False)
class Looked:
    """One image: for each object or slice the signals ``(n, signals)``, its size, its IoU, and how many voxels are
    wrong."""

    values: NDArray[np.float64]
    weights: NDArray[np.float64]
    size: NDArray[np.float64]
    iou: NDArray[np.float64]
    amiss: NDArray[np.float64]

    @property
    def wrong(self) -> NDArray[np.bool_]:
        return self.iou < WRONG

    @property
    def score(self) -> NDArray[np.float64]:
        return self.values @ self.weights


def queue(data: Path, cases: int) -> None:
    nuclei = find_cases(data / "nuclei2d", split=data / "nuclei2d" / "split.csv", where={"kind": "fluorescence"})
    chosen = [case for case in nuclei if case.split == "val"]
    print(f"Nuclei: {len(chosen)} validation images")
    plain, mirrored = objects(chosen)
    _print("objects", plain, mirrored)
    held_out = _fold0(data, cases)
    for name, (plain, mirrored) in zip(("axial", "coronal", "sagittal"), slices(held_out), strict=True):
        print(f"\nHippocampus: {len(held_out)} cases of fold0, {name} slices")
        _print("slices", plain, mirrored)


def teaching(data: Path, cases: int, count: int = 3) -> None:
    """The share of the wrong voxels of a case in a few of its slices, and how far apart these lie."""
    model, rng = load_model("hippocampus3d"), np.random.default_rng(0)
    shares: dict[str, list[float]] = {}
    apart: dict[str, list[int]] = {}
    for case in _fold0(data, cases):
        image, truth, _ = case.load()
        found = predict(model, image)
        labels = np.asarray(found.labels.data)
        wrong = (labels != np.asarray(truth.data)).sum((1, 2))
        seen = look_through(labels, found.scores, None, 0)
        held = np.flatnonzero(seen.area)
        worst = sum(signal.weight * signal.values for signal in signals.of_slices(seen))
        choices = {
            "most to learn": choose_slices(found.scores, None, count),
            "worst first": np.argsort(-worst, kind="stable")[:count].tolist(),
            "spread evenly": np.linspace(held[0], held[-1], count + 2).round().astype(int)[1:-1].tolist(),
            "random": rng.choice(held, count, replace=False).tolist(),
            "by the truth": np.argsort(-wrong, kind="stable")[:count].tolist(),
        }
        for name, slices_ in choices.items():
            shares.setdefault(name, []).append(wrong[slices_].sum() / max(1, wrong.sum()))
            apart.setdefault(name, []).append(int(np.diff(np.sort(slices_)).min()))
    print(f"Hippocampus: {len(shares['random'])} cases of fold0, {count} axial slices of each")
    for name, share in shares.items():
        print(f"{name:<14} {np.mean(share):6.1%} of what is wrong, nearest two {np.mean(apart[name]):.1f} slices apart")


def _fold0(data: Path, cases: int) -> list[Case]:
    folder, split = data / "hippocampus_mr", data / "hippocampus_mr" / "split.csv"
    learned = {case.name for case in find_cases(folder, split=split, hold_out="fold0")}
    return [case for case in find_cases(folder, split=split, hold_out="") if case.name not in learned][:cases]


def objects(cases: Iterable[Case]) -> tuple[list[Looked], list[Looked]]:
    """Without and with the disagreement of mirror images; images in which nothing was found are left out."""
    model, plain, mirrored = load_model("nuclei2d"), [], []
    for case in cases:
        image, truth, _ = case.load()
        found = predict(model, image)
        labels = np.asarray(found.labels.data)
        if not labels.any():
            continue
        apart = disagreement(found.scores, predict(model, image, PredictSpec(flips=True)).scores)
        annotation = Annotation.of(labels, scores=found.scores)
        table, pairs = measure(annotation), overlap(np.asarray(truth.data), labels)
        iou = np.zeros(len(table))
        np.maximum.at(iou, pairs.found_of, pairs.iou)
        amiss = table.voxels * (1 - iou)
        for where, differing in ((plain, None), (mirrored, apart)):
            given = object_signals(annotation, table, differing)
            where.append(Looked(*_matrix(given), table.voxels.astype(float), iou, amiss))
    return plain, mirrored


def slices(cases: Iterable[Case]) -> list[tuple[list[Looked], list[Looked]]]:
    """For each axis the slices that hold a mask or perhaps should; their IoU is that of voxels of the right class."""
    model = load_model("hippocampus3d")
    looks: list[tuple[list[Looked], list[Looked]]] = [([], []), ([], []), ([], [])]
    for case in cases:
        image, truth, _ = case.load()
        found = predict(model, image)
        apart = None
        if model.spec.mirrors:
            apart = disagreement(found.scores, predict(model, image, PredictSpec(flips=True)).scores)
        labels, said = np.asarray(found.labels.data), np.asarray(truth.data)
        for axis, sides in enumerate(looks):
            for where, differing in zip(sides, (None, apart), strict=True):
                where.append(_sliced(labels, said, look_through(labels, found.scores, differing, axis), axis))
    return looks


def _sliced(labels: NDArray[np.integer], said: NDArray[np.integer], seen: Through, axis: int) -> Looked:
    others = tuple(k for k in range(3) if k != axis)
    right = ((labels == said) & (said > 0)).sum(others)
    either = ((labels > 0) | (said > 0)).sum(others)
    iou = np.where(either > 0, right / np.maximum(either, 1), 1)
    amiss = (labels != said).sum(others).astype(float)
    shown = (seen.area > 0) | (seen.missing >= 0.5)
    values, weights = _matrix(signals.of_slices(seen))
    return Looked(values[shown], weights, seen.area[shown], iou[shown], amiss[shown])


def _matrix(given: Sequence[Signal]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return np.stack([signal.values for signal in given], 1).astype(float), np.array([s.weight for s in given])


def _print(what: str, plain: Sequence[Looked], mirrored: Sequence[Looked]) -> None:
    wrong = sum(np.count_nonzero(look.wrong) for look in plain)
    print(f"{sum(len(look.iou) for look in plain)} {what}, {wrong} of them wrong (IoU < {WRONG})")
    print(f"{'order':<26} {'all images as one queue':<36} {'each image its own queue'}")
    print(f"{'':<26} {'AP':>6} {'in first 20 %':>14} {'voxels':>8}      {'AP':>6} {'in first 20 %':>14}")
    rng = np.random.default_rng(0)
    draws = [_figures(plain, [rng.random(len(look.iou)) for look in plain]) for _ in range(50)]
    _line("random, mean of 50", np.mean(draws, 0))
    _line("smallest first", _figures(plain, [-look.size for look in plain]))
    _line("the queue", _figures(plain, [look.score for look in plain]))
    _line("weights of other images", _figures(plain, _refitted(plain)))
    _line("with mirror images", _figures(mirrored, [look.score for look in mirrored]))
    _stops(plain)


def _line(name: str, figures: Sequence[float]) -> None:
    ap, share, voxels, own_ap, own_share = figures
    print(f"{name:<26} {ap:>6.3f} {share:>14.0%} {voxels:>8.0%}      {own_ap:>6.3f} {own_share:>14.0%}")


def _figures(looks: Sequence[Looked], scores: Sequence[NDArray[np.float64]]) -> list[float]:
    """Average precision, share of the wrong ones and of all wrong voxels among the first fifth; then the mean over the
    images that have both right and wrong ones."""
    wrong, score = np.concatenate([look.wrong for look in looks]), np.concatenate(list(scores))
    first = np.argsort(-score, kind="stable")[: round(len(score) / 5)]
    amiss = np.concatenate([look.amiss for look in looks])
    own = [
        (_ap(s, look.wrong), _early(s, look.wrong))
        for look, s in zip(looks, scores, strict=True)
        if look.wrong.any() and not look.wrong.all()
    ]
    return [_ap(score, wrong), _early(score, wrong), amiss[first].sum() / amiss.sum(), *np.mean(own, 0)]


def _ap(score: NDArray[np.float64], wrong: NDArray[np.bool_]) -> float:
    hits = wrong[np.argsort(-score, kind="stable")]
    return float((np.cumsum(hits) / np.arange(1, len(hits) + 1))[hits].mean())


def _early(score: NDArray[np.float64], wrong: NDArray[np.bool_]) -> float:
    first = np.argsort(-score, kind="stable")[: round(len(score) / 5)]
    return float(wrong[first].sum() / wrong.sum())


def _refitted(looks: Sequence[Looked]) -> list[NDArray[np.float64]]:
    """The score of each image by weights (none below 0) fitted to the images of other folds."""
    fold = np.random.default_rng(0).permutation(len(looks)) % FOLDS
    scores: list[NDArray[np.float64]] = [np.zeros(0)] * len(looks)
    for k in range(FOLDS):
        learned = [look for look, f in zip(looks, fold, strict=True) if f != k]
        values = np.concatenate([look.values for look in learned])
        signs = 2.0 * np.concatenate([look.wrong for look in learned]) - 1

        def loss(b: NDArray[np.float64], x: NDArray[np.float64] = values, y: NDArray[np.float64] = signs) -> float:
            return float(np.logaddexp(0, -y * (x @ b[1:] + b[0])).mean() + 3e-4 * (b[1:] ** 2).sum())

        bounds = [(None, None)] + [(0, None)] * values.shape[1]
        b = minimize(loss, np.zeros(len(bounds)), bounds=bounds).x
        for at in np.flatnonzero(fold == k):
            scores[at] = looks[at].values @ b[1:] + b[0]
    return scores


def _stops(looks: Sequence[Looked]) -> None:
    """Whoever stops at the first 20 right ones in a row: what is promised of the rest, and what is true of it."""
    score, wrong = np.concatenate([look.score for look in looks]), np.concatenate([look.wrong for look in looks])
    wrong = wrong[np.argsort(-score, kind="stable")]
    verdicts: list[bool] = []
    for k, bad in enumerate(wrong.tolist(), 1):
        verdicts.append(not bad)
        stop = stopping(verdicts, len(wrong) - k)
        if stop.enough:
            rest = wrong[k:]
            print(
                f"first {ENOUGH} right in a row after {k} of {len(wrong)}, {wrong[:k].sum()} wrong among them: of the "
                f"rest at most {stop.count / len(rest):.1%} are promised to be wrong, {rest.mean():.1%} are"
            )
            return
    print(f"there are no {ENOUGH} right ones in a row")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", choices=("queue", "teaching"))
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--cases", type=int, default=40, help="of the hippocampus")
    options = parser.parse_args()
    {"queue": queue, "teaching": teaching}[options.table](options.data, options.cases)


if __name__ == "__main__":
    main()
