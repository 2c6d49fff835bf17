"""How well, and how fast, the tools of correction do what they are for.

    python benchmarks/correction.py interpolation --data ../shared/data
    python benchmarks/correction.py copy --data ../shared/data
    python benchmarks/correction.py seeds --data ../shared/data --split val
    python benchmarks/correction.py speed

``interpolation``: of each hippocampus every 3rd or 5th slice is given, the tool fills the rest. ``copy``: each slice is
made from the one before it. ``seeds``: pairs of touching nuclei are merged and split again from one seed in each; the
method was chosen on ``--split val``, ``test`` was run once at the end. ``speed``: single tools in a volume of
512 x 512 x 512 with 5000 objects. Everything goes through the registered tools, as in the window.
"""

from __future__ import annotations

import argparse
import csv
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import edt
import numpy as np
from numpy.typing import NDArray

from napari_seg.data.formats import read
from napari_seg.editing.annotation import Annotation
from napari_seg.editing.catalogue import TOOLS
from napari_seg.editing.edit import Edit, applied, apply
from napari_seg.editing.tools import Gesture

Array = NDArray[Any]
Pair = tuple[Array, Array | None, Array | None]
"""Two objects, 1 and 2; the image; the scores of a model."""


def use(name: str, annotation: Annotation, gesture: Gesture, **options: Any) -> Edit:
    return TOOLS[name].run(annotation, gesture, TOOLS[name].options(**options))


# slices


def hippocampi(data: Path, fold: str, count: int) -> Iterator[tuple[Array, Array, tuple[float, ...]]]:
    """Labels (1 anterior, 2 posterior), image and spacing of the first cases of a fold."""
    folder = data / "hippocampus_mr"
    for row in rows(folder, fold)[:count]:
        labels, image = (read(folder / part / f"{row['name']}.nii.gz") for part in ("labels", "images"))
        yield np.asarray(labels.data, np.uint8), np.asarray(image.data), labels.spacing or (1.0,) * 3


def rows(folder: Path, split: str) -> list[dict[str, str]]:
    with (folder / "split.csv").open(newline="") as file:
        return [row for row in csv.DictReader(file) if row["split"] == split]


def dice(a: Array, b: Array) -> float:
    return float(2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b)))


def shown(axis: int) -> tuple[int, int]:
    first, second = (k for k in range(3) if k != axis)
    return first, second


def interpolated(truth: Array, spacing: tuple[float, ...], axis: int, given: list[int]) -> Array:
    labels = np.zeros_like(truth)
    slab = (slice(None),) * axis + (given,)
    labels[slab] = truth[slab]
    annotation = Annotation.of(labels.copy(), objects=False, spacing=spacing, unit="mm")
    return apply(use("interpolate", annotation, Gesture(shown=shown(axis)), labels="all"), labels)


def interpolation(data: Path, fold: str) -> None:
    cases = [(labels, spacing) for labels, _, spacing in hippocampi(data, fold, 20)]
    print(f"Interpolation: Dice on {len(cases)} cases of {fold}, given slices counted; mean [lowest case]")
    print(f"  {'given':<44} {'axis 0':<16} {'axis 1':<16} {'axis 2':<16} mean")
    for step in (3, 5):
        for ends in (False, True):
            figures: dict[str, list[list[float]]] = {"foreground": [], "anterior": [], "posterior": []}
            for axis in range(3):
                found: dict[str, list[float]] = {name: [] for name in figures}
                for truth, spacing in cases:
                    given = list(range(0, truth.shape[axis], step))
                    there = np.flatnonzero(truth.any(shown(axis)))
                    given = sorted({*given, int(there[0]), int(there[-1])}) if ends else given
                    made = interpolated(truth, spacing, axis, given)
                    found["foreground"].append(dice(made > 0, truth > 0))
                    found["anterior"].append(dice(made == 1, truth == 1))
                    found["posterior"].append(dice(made == 2, truth == 2))
                for name, values in found.items():
                    figures[name].append(values)
            for name, axes in figures.items():
                what = f"every {step}{'rd' if step == 3 else 'th'} slice{', and both ends' if ends else ''}: {name}"
                cells = [f"{np.mean(values):.4f} [{min(values):.3f}]" for values in axes]
                print(f"  {what:<44} {cells[0]:<16} {cells[1]:<16} {cells[2]:<16} {np.mean(axes):.4f}")


def copy(data: Path, fold: str) -> None:
    cases = list(hippocampi(data, fold, 20))
    print(f"Copy to the next slice: Dice of the foreground with the next slice, mean over slices of {len(cases)} cases")
    print(f"  {'':<24} axis 0   axis 1   axis 2")
    for fit in ("nothing", "image"):
        cells = []
        for axis in range(3):
            found = []
            for truth, image, spacing in cases:
                for index in range(truth.shape[axis] - 1):
                    here, there = truth.take(index, axis), truth.take(index + 1, axis)
                    if here.any() and there.any():
                        labels = truth.copy()
                        labels[(slice(None),) * axis + (index + 1,)] = 0
                        annotation = Annotation.of(labels, objects=False, spacing=spacing, image=image)
                        point = tuple(float(index) if k == axis else 0.0 for k in range(3))
                        edit = use("copy to next", annotation, Gesture((point,), shown(axis)), fit=fit)
                        found.append(dice(apply(edit, labels.copy()).take(index + 1, axis) > 0, there > 0))
            cells.append(f"{np.mean(found):.4f}")
        name = {"nothing": "as it is", "image": "fitted to the image"}[fit]
        print(f"  {name:<24} {cells[0]:<8} {cells[1]:<8} {cells[2]}")


# seeds


def touching(data: Path, split: str, scored: Callable[[Array], Array] | None) -> Iterator[Pair]:
    """Each pair of touching nuclei of more than 50 pixels, cut out with a rim."""
    folder = data / "nuclei2d"
    for row in rows(folder, split):
        labels = np.asarray(read(folder / "labels" / f"{row['name']}.tif").data)
        picture = np.asarray(read(folder / "images" / f"{row['name']}.tif").data, np.float32)
        picture = picture.mean(-1) if picture.ndim > 2 else picture
        scores = scored(picture) if scored else None
        sizes = np.bincount(labels.ravel())
        for a, b in neighbours(labels):
            if min(sizes[a], sizes[b]) > 50:
                places = np.argwhere((labels == a) | (labels == b))
                low, high = np.maximum(places.min(0) - 8, 0), places.max(0) + 9
                box = tuple(slice(int(x), int(y)) for x, y in zip(low, high, strict=True))
                cut = labels[box]
                pair = np.where(cut == a, 1, np.where(cut == b, 2, 0)).astype(np.uint8)
                yield pair, picture[box], None if scores is None else scores[(slice(None), *box)]


def neighbours(labels: Array) -> list[tuple[int, int]]:
    """Pairs of labels that share a side or a corner of a pixel."""
    found: set[tuple[int, int]] = set()
    wide = np.pad(labels, 1)
    inner = wide[1:-1, 1:-1]
    for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
        other = wide[1 + down : wide.shape[0] - 1 + down, 1 + right : wide.shape[1] - 1 + right]
        meet = (inner > 0) & (other > 0) & (inner != other)
        ends = np.sort(np.stack([inner[meet], other[meet]], 1), axis=1)
        found.update((int(a), int(b)) for a, b in np.unique(ends, axis=0))
    return sorted(found)


def right(pair: Pair, seeds: list[tuple[float, ...]], by: str) -> int:
    """How many of the two objects the tool finds again at an IoU of 0.7 or more."""
    truth, image, scores = pair
    merged = (truth > 0).astype(np.uint8)
    annotation = Annotation.of(merged, image=image, scores=scores)
    found = apply(use("split by seeds", annotation, Gesture(tuple(seeds)), by=by), merged.copy())
    good = 0
    for label, seed in zip((1, 2), seeds, strict=True):
        mine, true = found == found[tuple(int(p) for p in seed)], truth == label
        good += np.count_nonzero(mine & true) / np.count_nonzero(mine | true) >= 0.7
    return good


def seeds(data: Path, split: str, model: str) -> None:
    scored = None
    if model:
        import napari_seg as ns
        from napari_seg.data.volume import Volume

        loaded = ns.load_model(model)

        def scored(picture: Array) -> Array:
            return np.asarray(ns.predict(loaded, Volume(picture, "YX")).scores)

    pairs = list(touching(data, split, scored))
    print(f"Split by seeds: {len(pairs)} pairs of touching nuclei of the {split} images; objects right at IoU 0.7")
    print(f"  {'by':<12} deepest point     random seed in the inner half, 5 draws: mean [lowest, highest]")
    for by in ("distance", "image", *(("scores",) if model else ()), "best"):
        deepest = np.mean([right(pair, [seed(pair[0] == k, None) for k in (1, 2)], by) for pair in pairs]) / 2
        draws = []
        for draw in range(5):
            rng = np.random.default_rng(draw)
            draws.append(np.mean([right(pair, [seed(pair[0] == k, rng) for k in (1, 2)], by) for pair in pairs]) / 2)
        print(f"  {by:<12} {deepest:.4f}            {np.mean(draws):.4f} [{min(draws):.4f}, {max(draws):.4f}]")


def seed(mask: Array, rng: np.random.Generator | None) -> tuple[float, ...]:
    """The deepest pixel, or a random one at least half as deep."""
    deep = edt.edt(np.pad(mask, 1))[1:-1, 1:-1]
    places = np.argwhere(deep == deep.max())[:1] if rng is None else np.argwhere(deep >= deep.max() / 2)
    return tuple(map(float, places[0 if rng is None else rng.integers(len(places))]))


# speed


def crowd(size: int = 512) -> Annotation:
    """Balls on a grid with some jitter; two of 50 000 voxels that touch, one of them with a hole."""
    rng = np.random.default_rng(0)
    labels = np.zeros((size,) * 3, np.uint16)
    middle, beside = np.full(3, size // 2), np.array([0, 0, 20])
    label = 10
    for place in np.ndindex(18, 18, 18):
        centre = 15 + 28 * np.array(place) + rng.integers(-2, 3, 3)
        if label < 5008 and (np.abs(centre - middle) > [44, 44, 68]).any():
            ball(labels, centre, int(rng.integers(9, 13)), label)
            label += 1
    ball(labels, middle - beside, 23, 1)
    ball(labels, middle + beside, 23, 2)
    ball(labels, middle - beside, 6, 0)
    image = np.zeros(labels.shape, np.uint8)
    np.multiply(labels > 0, 100, out=image, casting="unsafe")
    return Annotation.of(labels, image=image, spacing=(1.0, 1.0, 1.0))


def ball(labels: Array, centre: Array, radius: int, label: int) -> None:
    box = tuple(slice(max(0, int(c) - radius), int(c) + radius + 1) for c in centre)
    offsets = np.ogrid[box]
    labels[box][sum((o - int(c)) ** 2 for o, c in zip(offsets, centre, strict=True)) <= radius**2] = label


def speed() -> None:
    annotation = crowd()
    m = annotation.grid[0] / 2
    left, beyond = (m, m + 12, m - 20), (m, m, m + 20)
    line = tuple((m, m - 40 + k, m - 10) for k in range(81))
    across = tuple((m, m - 40 + k, m) for k in range(81))
    twin = applied(use("merge", annotation, Gesture((left, beyond))), own(annotation))
    voxels = [int((annotation.labels[annotation.box(k)] == k).sum()) for k in (1, 2)]
    objects = len(annotation.extents.labels)
    load = os.getloadavg()[0]
    print(f"Speed: {annotation.grid}, {objects} objects, those at hand of {voxels} voxels; load {load:.1f} before")
    print(f"  {'median of 11, in ms':<46} processor     clock   slowest   applied: processor     clock")
    todo: list[tuple[str, str, Annotation, Gesture, dict[str, Any]]] = [
        ("split along a line", "split", annotation, Gesture(line), {}),
        ("split along a line, both balls merged", "split", twin, Gesture(across), {}),
        *(
            (f"split by 2 seeds, by the {by}, both merged", "split by seeds", twin, Gesture((left, beyond)), {"by": by})
            for by in ("distance", "image")
        ),
        ("merge", "merge", annotation, Gesture((left, beyond)), {}),
        ("delete", "delete", annotation, Gesture((beyond,)), {}),
        ("fill holes", "fill holes", annotation, Gesture(selected=(1,)), {}),
        ("new number", "new id", annotation, Gesture((beyond,)), {}),
        ("smooth", "smooth", annotation, Gesture(selected=(1,)), {}),
        ("keep the largest part (two parts)", "largest part", two_parts(annotation), Gesture((beyond,)), {}),
        ("split apart (two parts)", "split apart", two_parts(annotation), Gesture((beyond,)), {}),
        ("interpolate (9 empty slices)", "interpolate", gap(annotation), Gesture(selected=(2,)), {}),
        ("copy to next slice, selected", "copy to next", annotation, Gesture(((m + 15, m, m),), (1, 2), 1, (2,)), {}),
        ("delete all smaller than 4000 voxels", "delete small", annotation, Gesture(), {"size": 4000.0}),
        ("delete all at the border", "delete border", border(annotation), Gesture(), {}),
    ]
    for title, name, here, gesture, options in todo:
        use(name, here, gesture, **options)  # the first use imports what it needs
        made, written = [], []
        for _ in range(11):
            begun = clocks()
            edit = use(name, here, gesture, **options)
            made.append(clocks() - begun)
            begun = clocks()
            after = applied(edit, here)
            written.append(clocks() - begun)
            applied(edit.inverse(), after)
        (cpu, wall), slowest = np.median(made, axis=0), max(wall for _, wall in made)
        writing = "{:9.1f} {:9.1f}".format(*np.median(written, axis=0))
        print(f"  {title:<46} {cpu:9.1f} {wall:9.1f} {slowest:9.1f}            {writing}")
    print(f"  load {os.getloadavg()[0]:.1f} after")


def clocks() -> Array:
    """Milliseconds of the processor, which another program does not lengthen much, and of the clock on the wall."""
    return 1000 * np.array([time.process_time(), time.perf_counter()])


def own(annotation: Annotation) -> Annotation:
    return Annotation.of(annotation.labels.copy(), image=annotation.image, spacing=annotation.spacing)


def two_parts(annotation: Annotation) -> Annotation:
    """The second ball cut in two by a plane of background."""
    there = own(annotation)
    box = there.box(2)
    assert box is not None
    inside = there.labels[box]
    plane = inside[:, 12]
    plane[plane == 2] = 0
    return there


def gap(annotation: Annotation) -> Annotation:
    there = own(annotation)
    box = there.box(2)
    assert box is not None
    middle = there.labels[box][18:27]
    middle[middle == 2] = 0
    return there


def border(annotation: Annotation) -> Annotation:
    there = own(annotation)
    for k, (row, column) in enumerate(np.ndindex(8, 8), 6000):
        ball(there.labels, np.array([3, 20 + 60 * row, 20 + 60 * column]), 6, k)
    return Annotation.of(there.labels, spacing=there.spacing)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=("interpolation", "copy", "seeds", "speed"))
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--fold", default="fold0", help="of the hippocampi; the method was chosen on fold1")
    parser.add_argument("--split", default="val", help="of the nuclei")
    parser.add_argument("--model", default="", help="seeds: measure the scores of this model too, on val only")
    options = parser.parse_args()
    if options.verb == "interpolation":
        interpolation(options.data, options.fold)
    elif options.verb == "copy":
        copy(options.data, options.fold)
    elif options.verb == "seeds":
        seeds(options.data, options.split, options.model)
    else:
        speed()


if __name__ == "__main__":
    main()
