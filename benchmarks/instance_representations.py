"""Which picture of touching objects should the network learn? Same network, steps and data for each; a table in the
end.

    python benchmarks/instance_representations.py --data ../shared/data --steps 1600 --output FOLDER

The candidates: ``depth`` (foreground and normalised distance to the own border, seeded watershed), ``neighbours`` (the
same and the closeness of the next object; Scherr et al., PLoS ONE 2020), ``flows`` (foreground and unit vectors to the
centre, followed to where they meet; Stringer et al., Nature Methods 2021).
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import edt
import fastremap
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects, gaussian_filter

from napari_seg.evaluation.evaluate import evaluate
from napari_seg.inference.backend import Runner
from napari_seg.jobs import Progress, run
from napari_seg.models.spec import ModelSpec
from napari_seg.tasks import losses
from napari_seg.tasks.instance import Instance, without_small
from napari_seg.training import train as training
from napari_seg.training.cases import Case, find_cases
from napari_seg.training.plan import TrainSpec
from napari_seg.training.sample import samples
from napari_seg.training.validation import scores_of, tuned


class Depth(Instance):
    """Foreground, and how deep inside its object a pixel lies: 1 at the deepest. Decoded by basins of the depth."""

    seeds: float = 0.15

    def variants(self) -> tuple[Instance, ...]:
        return tuple(
            self.model_copy(update={"threshold": threshold, "seeds": seeds, "smallest": smallest})
            for threshold in (0.4, 0.5, 0.6)
            for seeds in (0.1, 0.15, 0.2, 0.25, 0.3)
            for smallest in (0, 10, 20)
        )

    @property
    def channels(self) -> int:
        return 2

    def encode(self, labels: Any, spacing: tuple[float, ...]) -> Any:
        return np.stack([(labels > 0).astype(np.float32), depth(labels, spacing)])

    def loss(self, logits: Any, target: Any, mask: Any) -> Any:
        return losses.binary(logits, target, mask) + losses.dice(logits[:, :1].sigmoid(), target[:, :1], mask)

    def decode(self, scores: Any, spacing: tuple[float, ...]) -> Any:
        inside = scores[0] > self.threshold
        sigma = min(spacing) / np.asarray(spacing)  # one pixel of the finest axis: enough to melt twin summits
        deep = gaussian_filter(np.asarray(scores[1], np.float32), sigma)
        return without_small(joined(basins(deep, inside), deep, self.seeds), self.smallest)


class Neighbours(Depth):
    """Foreground, depth, and how close the next object is: 1 where it touches, 0 from half the own diameter on."""

    @property
    def channels(self) -> int:
        return 3

    def encode(self, labels: Any, spacing: tuple[float, ...]) -> Any:
        labels = np.ascontiguousarray(labels)
        return np.concatenate([super().encode(labels, spacing), _closeness(labels, spacing)[None]])

    def decode(self, scores: Any, spacing: tuple[float, ...]) -> Any:
        return super().decode(np.stack([scores[0], scores[1] - scores[2] ** 2]), spacing)


def basins(heights: NDArray[np.float32], inside: NDArray[np.bool_]) -> Any:
    """A number 1..N for each summit inside, and for each pixel inside the number of the summit it belongs to."""
    from skimage.measure import label
    from skimage.morphology import local_maxima
    from skimage.segmentation import watershed

    walled = np.pad(np.where(inside, heights, -1), 1, constant_values=-1)  # also an even plateau has a rim to fall to
    core = (slice(1, -1),) * inside.ndim
    summits = label(local_maxima(walled, connectivity=1)[core] & inside, connectivity=1)
    return watershed(-heights, summits, mask=inside)  # type: ignore[no-any-return]


def joined(parts: Any, heights: NDArray[np.float32], rise: float) -> Any:
    """Join neighbouring basins until every summit rises at least ``rise`` above each saddle to a higher one.

    ``parts``: the :func:`basins` of ``heights``. The numbers of the result may have gaps.
    """
    low, high, saddles = _saddles(parts, heights)
    peaks = np.zeros(int(parts.max(initial=0)) + 1, np.float32)
    np.maximum.at(peaks, parts.ravel(), heights.ravel())
    parents = np.arange(len(peaks))

    def root(basin: int) -> int:
        while parents[basin] != basin:
            parents[basin] = basin = parents[parents[basin]]
        return basin

    flat = np.flatnonzero(np.minimum(peaks[low], peaks[high]) - saddles < rise)  # joining only ever raises a peak
    for edge in flat[np.argsort(-saddles[flat], kind="stable")]:
        a, b = root(low[edge]), root(high[edge])
        if peaks[a] > peaks[b]:
            a, b = b, a
        if a != b and peaks[a] - saddles[edge] < rise:
            parents[a] = b
    while not np.array_equal(parents, above := parents[parents]):
        parents = above
    return parents[parts]


def _saddles(
    parts: Any, heights: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """The pairs of basins that touch, and the highest pass between the two."""
    keys, passes = [], []
    for axis in range(parts.ndim):
        here = tuple(slice(None, -1) if k == axis else slice(None) for k in range(parts.ndim))
        there = tuple(slice(1, None) if k == axis else slice(None) for k in range(parts.ndim))
        a, b = parts[here], parts[there]
        touch = np.nonzero((a != b) & (a > 0) & (b > 0))
        pair = np.sort(np.stack([a[touch], b[touch]]).astype(np.int64), 0)
        keys.append(pair[0] << 32 | pair[1])
        passes.append(np.minimum(heights[here][touch], heights[there][touch]))
    pairs, which = np.unique(np.concatenate(keys), return_inverse=True)
    saddles = np.full(len(pairs), -np.inf, np.float32)
    np.maximum.at(saddles, which, np.concatenate(passes))
    return pairs >> 32, pairs & 0xFFFFFFFF, saddles


def depth(labels: Any, spacing: tuple[float, ...]) -> NDArray[np.float32]:
    """The distance to the border of the own object over the largest one in it: 0 outside, 1 at the summit."""
    distance = edt.edt(np.ascontiguousarray(labels), anisotropy=spacing, black_border=False)
    distance[~np.isfinite(distance)] = 1
    compact, _ = fastremap.renumber(labels, preserve_zero=True, in_place=False)
    summits = np.zeros(int(compact.max()) + 1, np.float32)
    np.maximum.at(summits, compact.ravel(), distance.ravel())
    return np.asarray(distance / np.maximum(summits, 1e-6)[compact], np.float32)


def _closeness(labels: Any, spacing: tuple[float, ...]) -> Any:
    result = np.zeros(labels.shape, np.float32)
    for number, box in enumerate(find_objects(labels), 1):
        if box is None:
            continue
        own = labels[box] == number
        units = np.asarray(spacing) / min(spacing)
        reach = (own.sum() * units.prod() * 2 * own.ndim / np.pi) ** (1 / own.ndim) / 2
        pad = np.ceil(reach / units).astype(int) + 1
        wide = tuple(slice(max(0, s.start - p), s.stop + p) for s, p in zip(box, pad, strict=True))
        part = labels[wide]
        others = (part > 0) & (part != number)
        if others.any():
            distance = edt.edt(np.ascontiguousarray(~others), anisotropy=tuple(units), black_border=False)
            near = np.clip(1 - (distance - 1) / reach, 0, 1)
            result[wide] = np.where(part == number, near, result[wide])
    return result


CANDIDATES: dict[str, Any] = {"depth": Depth, "neighbours": Neighbours, "flows": Instance}


def compare(name: str, cases: list[Case], held_out: list[Case], spec: TrainSpec, folder: Path) -> dict[str, Any]:
    """Train one candidate on ``cases`` and measure it on ``held_out``, which training has never opened."""
    kind = CANDIDATES[name]
    plan = training.plan

    def planned(volumes: Any, train_spec: TrainSpec) -> ModelSpec:
        model = plan(volumes, train_spec)
        task = kind(ndim=model.network.ndim, smallest=model.task.smallest)
        network = model.network.model_copy(update={"out_channels": task.channels})
        return model.model_copy(update={"task": task, "network": network})

    training.plan = planned  # type: ignore[assignment]
    load = training.Model.load
    training.Model.load = classmethod(  # type: ignore[method-assign, assignment]
        lambda cls, path: _with_task(load(path), kind)
    )
    began = time.perf_counter()
    try:
        save_to = folder / f"{name}.safetensors"
        stopped = save_to.with_name(f"{save_to.name}.resume").exists()
        model = run(training.train.steps(cases, spec, save_to=save_to, resume=stopped), _watch(name))
    finally:
        training.plan, training.Model.load = plan, load  # type: ignore[method-assign]
    seconds = time.perf_counter() - began
    device = training.choose_device()
    if all(
        case.split == "train" for case in cases
    ):  # nothing was left to choose the thresholds on but what was learned
        seen = [s for case in cases for s in samples(*case.load(), model.spec, name=case.name)]
        model = training.replace(model, spec=run(tuned(model, seen, device)))
    runner = Runner(model.network, model.spec.task, device, ndim=model.spec.network.ndim)
    reports = []
    decoding = 0.0
    for case in held_out:
        image, labels = case.load()
        for sample in samples(image, labels, model.spec, name=case.name):
            scores = run(scores_of(runner, model.spec, sample, Progress(0, 1)))
            start = time.perf_counter()
            found = model.spec.task.decode(scores, tuple(model.spec.input.spacing or (1.0,) * model.spec.network.ndim))
            decoding += time.perf_counter() - start
            reports.append(evaluate(sample.labels, found, "instance"))
    ap = {key: float(np.mean([r.ap[key] for r in reports])) for key in reports[0].ap}
    mean = float(np.mean([r.mean_ap for r in reports]))
    task = json.loads(model.spec.task.to_json())
    return {"candidate": name, "ap": ap, "mean_ap": mean, "train_s": seconds, "decode_s": decoding, "task": task}


def _with_task(model: Any, kind: Any) -> Any:
    task = kind.from_file(model.spec.task.to_json())
    return training.replace(model, spec=model.spec.model_copy(update={"task": task}))


def _watch(name: str) -> Any:
    def watch(progress: Any) -> None:
        if "score" in progress.detail:
            print(f"{time.strftime('%H:%M:%S')} {name}: {progress.done}/{progress.total} {progress.detail}", flush=True)

    return watch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--steps", type=int, default=1600)
    parser.add_argument("--set", choices=("nuclei2d", "nuclei3d_ovule"), default="nuclei2d")
    parser.add_argument("--only", choices=sorted(CANDIDATES), nargs="*", default=sorted(CANDIDATES))
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=0, help="of torch; 0 = all cores")
    options = parser.parse_args()
    if options.threads:
        training.torch.set_num_threads(options.threads)
    options.output.mkdir(parents=True, exist_ok=True)
    spec = TrainSpec(task="instance", steps=options.steps, name="candidate")
    data = options.data / options.set
    if options.set == "nuclei2d":
        cases = list(find_cases(data, split=data / "split.csv", where={"kind": "fluorescence"}))
        rounds = [([c for c in cases if c.split == "train"], [c for c in cases if c.split == "val"])]
    else:
        cases = list(find_cases(data))
        one, two = (training.replace(case, split="train") for case in cases)
        rounds = [([one], [two]), ([two], [one])]
    for name in options.only:
        for number, (learned, held_out) in enumerate(rounds):
            # nuclei2d: the validation images choose the checkpoint and the thresholds, and are what is compared on
            training_cases = learned + (held_out if options.set == "nuclei2d" else [])
            folder = options.output / f"{options.set}_{number}"
            folder.mkdir(exist_ok=True)
            result = compare(name, training_cases, held_out, spec, folder)
            print(json.dumps(result), flush=True)
            (folder / f"{name}.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main()
