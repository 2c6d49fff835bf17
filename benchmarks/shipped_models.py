"""Train the models that come with the program, and measure them on data that they never saw.

    python benchmarks/shipped_models.py train nuclei2d --data ../shared/data --output FOLDER
    python benchmarks/shipped_models.py measure nuclei2d --data ../shared/data --model FOLDER/nuclei2d.safetensors
    python benchmarks/shipped_models.py ship nuclei2d --data ../shared/data --model FOLDER/nuclei2d.safetensors
    python benchmarks/shipped_models.py samples nuclei2d --data ../shared/data

``train`` never opens the held-out rows of the split. ``measure`` predicts them with the program's defaults and prints
each figure with a 95 % interval (bootstrap over cases). ``ship`` measures, writes figures and card into the model and
puts it into the package. ``samples`` chooses, always the same, those of the training and validation cases that lie
beside the shipped model, so that a retraining does not forget; ``ship`` does so too.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from napari_seg import evaluate, predict
from napari_seg.data.formats import read
from napari_seg.data.volume import Volume
from napari_seg.evaluation.metrics import THRESHOLDS
from napari_seg.jobs import Progress, run
from napari_seg.models.file import read_spec
from napari_seg.models.model import Model
from napari_seg.models.spec import Card, ModelSpec
from napari_seg.training.augment import Augmentation
from napari_seg.training.blending import blended
from napari_seg.training.cases import Case, find_cases
from napari_seg.training.course import told_more
from napari_seg.training.memory import Memory, beside, choose, save
from napari_seg.training.plan import TrainSpec
from napari_seg.training.sample import Sample, samples
from napari_seg.training.train import train

WEIGHTS = Path(__file__).parent.parent / "napari_seg" / "weights"


@dataclass(frozen=True)
class Recipe:
    """Which data, what is held out, how it is trained, and what a person should know.

    ``where`` selects rows of the split. Without ``validate`` the validation cases are learned from too, and the last
    checkpoint is taken: for data of few patients. ``modality`` is written into the model where the files do not say it.
    ``then``: a second training that goes on from the first, of whose last checkpoint ``share`` is taken and the rest of
    the first (:func:`~napari_seg.training.blending.blended`).
    """

    folder: str
    hold_out: str
    spec: TrainSpec
    card: Card
    where: dict[str, str] = field(default_factory=dict)
    validate: bool = True
    modality: str = ""
    then: TrainSpec | None = None
    share: float = 1.0

    def learned(self, data: Path) -> tuple[Case, ...]:
        cases = find_cases(data / self.folder, split=self._split(data), where=self.where, hold_out=self.hold_out)
        return cases if self.validate else tuple(replace(case, split="train") for case in cases)

    def samples(self, data: Path, model: ModelSpec) -> Memory:
        """A selection of what the model learned from, and of its validation cases. Held-out cases are never opened.

        The validation cases of a recipe without ``validate`` were learned from too; the file says so.
        """
        parts: dict[str, list[Sample]] = {"train": [], "val": []}
        cases = find_cases(data / self.folder, split=self._split(data), where=self.where, hold_out=self.hold_out)
        for case in cases:
            image, labels, mask = case.load()
            parts[case.split] += samples(image, labels, model, mask=mask, name=case.name, group=case.group)
        about = {
            "data": self.card.data,
            "licence": self.card.licence,
            "attribution": self.card.attribution,
            "check": "never learned from" if self.validate else "learned from too",
        }
        return choose(parts["train"], parts["val"], patch=model.input.patch, about=about)

    def held_out(self, data: Path) -> list[Case]:
        names = {case.name for case in self.learned(data)}
        everything = find_cases(data / self.folder, split=self._split(data), where=self.where, hold_out="")
        return [case for case in everything if case.name not in names]

    def _split(self, data: Path) -> Path:
        return data / self.folder / "split.csv"


HIPPOCAMPUS = TrainSpec(task="semantic", name="hippocampus3d", classes=("anterior", "posterior"), minutes=28)

RECIPES = {
    "nuclei2d": Recipe(
        "nuclei2d",
        "test",
        TrainSpec(task="instance", name="nuclei2d", classes=("nucleus",), minutes=60),
        Card(
            summary="Nuclei in 2D fluorescence images, each with a number of its own",
            data="Kaggle 2018 Data Science Bowl, BBBC038v1 of the Broad Bioimage Benchmark Collection, with the masks "
            "as corrected by the community; the fluorescence images of its stage 1 training set",
            licence="CC0-1.0",
            attribution="Caicedo et al., Nature Methods 2019; BBBC038v1, Ljosa et al., Nature Methods 2012",
            limits="Learned from fluorescence of nuclei only: on stained tissue, bright field or whole cells expect "
            "failures.",
        ),
        {"kind": "fluorescence"},
    ),
    "hippocampus3d": Recipe(
        "hippocampus_mr",
        "fold0",
        HIPPOCAMPUS,
        Card(
            summary="Anterior and posterior hippocampus in T1-weighted MR of the head",
            data="Medical Segmentation Decathlon, Task04 Hippocampus (200 of its volumes, cropped around the "
            "hippocampus)",
            licence="CC-BY-SA-4.0",
            attribution="Antonelli et al., Nature Communications 2022; Vanderbilt University Medical Center. The "
            "weights are shared under the same licence.",
            limits="Learned from volumes cropped around one hippocampus (about 35 x 50 x 36 mm): choose such a box in "
            "a whole head. All of them show the hippocampus of the same side; the other side was learned from their "
            "mirror images. Not a medical device.",
        ),
        modality="MR",
        then=HIPPOCAMPUS.model_copy(
            update={"steps": 330, "augmentation": Augmentation(flips=(2,), turns=False, rotation=20, scaling=1.25)}
        ),
        share=0.6,  # of 1, 0.9, ... 0.6 the first that costs its own side no more than 0.0005 on the validation cases
    ),
    "heart2d": Recipe(
        "heart_lv_mr",
        "test",
        TrainSpec(
            task="semantic",
            name="heart2d",
            classes=("left ventricle",),
            minutes=18,
            width=16,
            depth=5,
            norm="instance",
            normalisation="zscore",
            patch=(192, 192),
            augmentation=Augmentation(
                flips=False,
                turns=False,
                rotation=30,
                scaling=1.4,
                elastic=0.15,
                brightness=0.3,
                contrast=0.4,
                gamma=0.4,
                noise=0.15,
                blur=1.2,
            ),
        ),
        Card(
            summary="Cavity of the left ventricle in short-axis cine MR slices",
            data="Sunnybrook Cardiac Data, 2009 Cardiac MR Left Ventricle Segmentation Challenge, as slices",
            licence="CC0-1.0",
            attribution="Radau et al., The MIDAS Journal 2009",
            limits="Learned from 256 x 256 short-axis slices of one scanner; slices without a ventricle are rare in "
            "its data. Not a medical device.",
        ),
        validate=False,
        modality="MR",
    ),
}


def learn(name: str, data: Path, output: Path, steps: int | None, *, resume: bool) -> None:
    recipe = RECIPES[name]
    spec = recipe.spec.model_copy(update={"steps": steps})
    began = time.perf_counter()
    save_to = output / f"{name}.safetensors"
    cases = recipe.learned(data)
    model = run(train.steps(cases, spec, save_to=save_to, resume=resume), _watch)
    if recipe.then is not None:
        cases = tuple(case for case in cases if case.split == "train")
        second = run(train.steps(cases, recipe.then, save_to=save_to, start=model), _watch)
        model = told_more(blended(model, second, recipe.share), {"blend": recipe.share})
        model.save(save_to)
    print(f"{name}: {_steps(model.spec)} steps in {(time.perf_counter() - began) / 60:.1f} minutes")


def measure(name: str, data: Path, path: Path) -> dict[str, float]:
    """The figures on the held-out cases, by name; printed with their intervals. Where mirror images along one axis were
    learned, those of the cases are measured, too."""
    model, recipe = Model.load(path), RECIPES[name]
    rows: dict[str, list[float]] = {}
    for case in recipe.held_out(data):
        image, labels = read(case.image), read(case.labels)
        for key, value in _figures(model, image, labels).items():
            rows.setdefault(key, []).append(value)
        if len(model.spec.mirrors) == 1:
            mirrored = (_mirrored(volume, model.spec.mirrors[0]) for volume in (image, labels))
            for key, value in _figures(model, *mirrored).items():
                rows.setdefault(f"{key}, mirrored", []).append(value)
    kind = "AP" if model.spec.task.kind == "instance" else "Dice"
    shown = {"0.50", "0.75", "mean"} if kind == "AP" else set(rows)
    figures = {}
    print(f"{name}: {kind} on {len(recipe.held_out(data))} held-out cases, mean [95 % interval]")
    for key in sorted(shown & set(rows)):
        values = np.array(rows[key])
        draws = np.random.default_rng(0).choice(values, (2000, len(values))).mean(1)
        low, high = np.percentile(draws, (2.5, 97.5))
        title = f"AP {key}" if key != "mean" else f"AP mean {THRESHOLDS[0]}..{THRESHOLDS[-1]}"
        title = title if kind == "AP" else f"Dice {key}"
        print(f"  {title:<28} {values.mean():.3f} [{low:.3f}, {high:.3f}]  n={len(values)}")
        figures[f"held out: {title}"] = round(float(values.mean()), 4)
    return figures


def _figures(model: Model, image: Volume, labels: Volume) -> dict[str, float]:
    """AP by IoU and its mean, or Dice by class."""
    report = evaluate(labels, predict(model, image).labels, model.spec.task.kind)
    found = (
        {**report.ap, "mean": report.mean_ap}
        if model.spec.task.kind == "instance"
        else {model.spec.task.classes[int(k) - 1]: figures["dice"] for k, figures in report.per_class.items()}
    )
    return {key: value for key, value in found.items() if value is not None}


def _mirrored(volume: Volume, axis: int) -> Volume:
    return replace(volume, data=np.flip(np.asarray(volume.data), axis))


def _steps(spec: ModelSpec) -> int:
    """Of all trainings that a model comes from."""
    return sum(int(event.details["steps"]) for event in spec.history if event.what == "trained")


def ship(name: str, data: Path, path: Path) -> None:
    model, recipe = Model.load(path), RECIPES[name]
    figures = measure(name, data, path)
    card = recipe.card.model_copy(update={"scores": figures})
    seen = model.spec.input.model_copy(update={"modality": model.spec.input.modality or recipe.modality})
    spec = model.spec.model_copy(update={"card": card, "name": name, "input": seen})
    target = replace(model, spec=spec).save(WEIGHTS / f"{name}.safetensors")
    print(f"{target.name}: {target.stat().st_size / 1e6:.1f} MB")
    keep_samples(name, data)


def keep_samples(name: str, data: Path) -> None:
    """Write the samples beside the shipped model, and its page."""
    target, recipe = WEIGHTS / f"{name}.safetensors", RECIPES[name]
    spec = read_spec(target)
    memory = recipe.samples(data, spec)
    path = save(memory, beside(target))
    page = _page(name, recipe, spec, memory)
    target.with_suffix(".md").write_text(page, encoding="utf-8")
    print(f"{path.name}: {len(memory.learn)} + {len(memory.check)} samples, {path.stat().st_size / 1e6:.2f} MB")


def _page(name: str, recipe: Recipe, spec: ModelSpec, memory: Memory) -> str:
    card, details = recipe.card, spec.history[0].details
    validated = details["validated_on"]
    chosen = f"chosen on {validated} other images" if validated else "the last ones, as planned"
    steps = f"{details['steps']} steps of {details['batch']} patches in {details['precision']}"
    for event in spec.history[1:]:
        chosen += f"; {event.details['blend']:.0%} of the last one of a second training"
        steps += f", then {event.details['steps']} in {event.details['precision']} with mirror images"
    scores = "\n".join(f"| {key.removeprefix('held out: ')} | {value:.3f} |" for key, value in spec.card.scores.items())
    return f"""# {name}

{card.summary}.

| | |
|---|---|
| Data | {card.data} |
| Licence | {card.licence} |
| Attribution | {card.attribution} |
| Learned from | {details["learned_from"]} images |
| Checkpoint and thresholds | {chosen} |
| Held out | rows `{recipe.hold_out}` of the split: never opened in training; the shipped weights are these very ones |
| Training | {steps} |
| Samples beside it | {len(memory.learn)} to learn from again and {len(memory.check)} to check on \
({memory.about["check"]}), under the licence and with the attribution above |

Limits: {card.limits}

| figure on the held-out part | |
|---|---|
{scores}
"""


def _watch(progress: Progress) -> None:
    if "score" in progress.detail:
        now = time.strftime("%H:%M:%S")
        print(f"{now} {progress.done:.0f}/{progress.total:.0f} {dict(progress.detail)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=("train", "measure", "ship", "samples"))
    parser.add_argument("name", choices=sorted(RECIPES))
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--output", type=Path, default=Path("runs"))
    parser.add_argument("--model", type=Path)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--threads", type=int, default=0, help="of torch; 0 = all cores")
    parser.add_argument("--resume", action="store_true")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    if options.verb == "train":
        learn(options.name, options.data, options.output, options.steps, resume=options.resume)
    elif options.verb == "samples":
        keep_samples(options.name, options.data)
    elif options.model is None:
        sys.exit("Name the model with --model.")
    else:
        {"measure": measure, "ship": ship}[options.verb](options.name, options.data, options.model)


if __name__ == "__main__":
    main()
