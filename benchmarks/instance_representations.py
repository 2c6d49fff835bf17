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

import cc3d
import edt
import numpy as np
from scipy.ndimage import find_objects, gaussian_filter, map_coordinates

from napari_seg.jobs import run
from napari_seg.models.spec import ModelSpec
from napari_seg.tasks import losses
from napari_seg.tasks.instance import Instance, depth, without_small
from napari_seg.training import train as training
from napari_seg.training.cases import Case, find_cases
from napari_seg.training.plan import TrainSpec


class Neighbours(Instance):
    """Foreground, depth, and how close the next object is: 1 where it touches, 0 from half the own diameter on."""

    @property
    def channels(self) -> int:
        return 3

    def encode(self, labels: Any, spacing: tuple[float, ...]) -> Any:
        labels = np.ascontiguousarray(labels)
        return np.concatenate([super().encode(labels, spacing), _closeness(labels, spacing)[None]])

    def decode(self, scores: Any, spacing: tuple[float, ...]) -> Any:
        return super().decode(np.stack([scores[0], scores[1] - scores[2] ** 2]), spacing)


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


class Flows(Instance):
    """Foreground and the unit vector to the deepest pixel of the own object, coded 0..1 with 0.5 for none."""

    ndim: int = 2

    @property
    def channels(self) -> int:
        return 1 + self.ndim

    def encode(self, labels: Any, spacing: tuple[float, ...]) -> Any:
        deep = depth(labels, spacing)
        units = np.asarray(spacing) / min(spacing)
        flows = np.zeros((labels.ndim, *labels.shape), np.float32)
        for number, box in enumerate(find_objects(labels), 1):
            if box is None:
                continue
            own = labels[box] == number
            centre = np.unravel_index(np.argmax(np.where(own, deep[box], -1)), own.shape)
            axes = np.meshgrid(*(np.arange(n) for n in own.shape), indexing="ij")
            vector = np.stack([(c - a) * u for c, a, u in zip(centre, axes, units, strict=True)]).astype(np.float32)
            vector /= np.maximum(np.linalg.norm(vector, axis=0), 2)
            flows[(slice(None), *box)] += vector * own
        return np.concatenate([(labels > 0)[None].astype(np.float32), 0.5 + 0.5 * flows])

    def loss(self, logits: Any, target: Any, mask: Any) -> Any:
        inside = mask * target[:, :1]
        flow = losses.average((logits[:, 1:].sigmoid() - target[:, 1:]) ** 2, inside)
        fore = losses.binary(logits[:, :1], target[:, :1], mask)
        return fore + losses.dice(logits[:, :1].sigmoid(), target[:, :1], mask) + 20 * flow

    def decode(self, scores: Any, spacing: tuple[float, ...]) -> Any:
        inside = np.asarray(scores[0] > self.threshold)
        places = np.stack(np.nonzero(inside)).astype(np.float32)
        if places.shape[1] == 0:
            return inside.astype(np.uint8)
        units = (np.asarray(spacing) / min(spacing))[:, None]
        field = 2 * np.asarray(scores[1:], np.float32) - 1
        moved = places.copy()
        edge = np.array(inside.shape)[:, None] - 1
        for _ in range(60):
            step = np.stack([map_coordinates(part, moved, order=1, mode="nearest") for part in field])
            moved = np.clip(moved + step / units, 0, edge)
        ends = tuple(np.rint(moved).astype(int))
        crowd = np.zeros(inside.shape, np.float32)
        np.add.at(crowd, ends, 1)
        crowd = gaussian_filter(crowd, 1 / units[:, 0])
        sinks = cc3d.connected_components(crowd > 10 * self.seeds, connectivity=8 if inside.ndim == 2 else 26)
        labels = np.zeros(inside.shape, np.uint32)
        labels[inside] = sinks[ends]
        return without_small(labels, self.smallest)

    def variants(self) -> tuple[Instance, ...]:
        return tuple(
            self.model_copy(update={"threshold": t, "seeds": s, "smallest": n})
            for t in (0.4, 0.5, 0.6)
            for s in (0.05, 0.1, 0.2, 0.4, 0.8)
            for n in (0, 10, 20)
        )


CANDIDATES: dict[str, Any] = {"depth": Instance, "neighbours": Neighbours, "flows": Flows}


def compare(name: str, cases: list[Case], held_out: list[Case], spec: TrainSpec, folder: Path) -> dict[str, Any]:
    """Train one candidate on ``cases`` and measure it on ``held_out``, which training has never opened."""
    kind = CANDIDATES[name]
    plan = training.plan

    def planned(volumes: Any, train_spec: TrainSpec) -> ModelSpec:
        model = plan(volumes, train_spec)
        task = Flows(ndim=model.network.ndim) if kind is Flows else kind()
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
        seen = [s for case in cases for s in training.samples(*case.load(), model.spec, name=case.name)]
        model = training.replace(model, spec=training._tuned(model, seen, device))
    reports = []
    decoding = 0.0
    for case in held_out:
        image, labels = case.load()
        for sample in training.samples(image, labels, model.spec, name=case.name):
            scores = next(training._scored(model.network, model.spec, [sample], device))[1]
            start = time.perf_counter()
            found = model.spec.task.decode(scores, tuple(model.spec.input.spacing or (1.0,) * model.spec.network.ndim))
            decoding += time.perf_counter() - start
            reports.append(training.evaluate(sample.labels, found, "instance"))
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
