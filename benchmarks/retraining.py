"""What retraining on corrections is worth, and whether it can be stopped, killed and gone on with.

    python benchmarks/retraining.py nuclei --data ../shared/data --output FOLDER [--on test]
    python benchmarks/retraining.py sparse --data ../shared/data --output FOLDER [--on test]
    python benchmarks/retraining.py rounds --data ../shared/data --output FOLDER [--on test]
    python benchmarks/retraining.py stop --data ../shared/data --output FOLDER
    python benchmarks/retraining.py resume --data ../shared/data --output FOLDER

``nuclei``: the shipped model, corrected on 5 histology images, 3 fixed draws; AP 0.5 on the other histology images and
on fluorescence, before and after. ``sparse``: hippocampi from nothing, one slice in five labelled, against the same
cases fully labelled. ``rounds``: hippocampi from nothing in 5 rounds: predict 5 new cases, correct the 3 slices of each
that come first in the queue (in the order of what a model would learn), retrain; against all 25 cases fully labelled in
the same time. ``stop``: seconds until a training has stopped and its best model is a file. ``resume``: killed and gone
on with, bit for bit.

Held-out images (the fluorescence rows ``test``, the hippocampi of ``fold0``) are opened with ``--on test`` only;
without it the rows ``val`` and ``fold1`` take their place, which is what to choose anything by. ``--minutes`` and
``--images`` make a short trial of it.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from napari_seg import evaluate, predict
from napari_seg.data.volume import Volume
from napari_seg.editing.teaching import choose_slices
from napari_seg.jobs import Progress, run
from napari_seg.models.model import Model
from napari_seg.models.zoo import find, load_model, samples_of
from napari_seg.training.cases import Case, Labelled, find_cases
from napari_seg.training.memory import Memory, load
from napari_seg.training.plan import TrainSpec
from napari_seg.training.retrain import Retrained, RetrainSpec, retrain
from napari_seg.training.train import train

DRAWS, SHOWN = 3, 5
HISTOLOGY = ("hist_purple", "hist_white")
EVERY, SLICES, ROUNDS, NEW = 5, 3, 5, 5
HIPPOCAMPUS = TrainSpec(task="semantic", classes=("anterior", "posterior"))


@dataclass(frozen=True, eq=False)
class Shown:
    """A lesson in memory: labels, and where a person has spoken."""

    name: str
    labelled: Labelled = field(repr=False)
    split: str = "train"
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def group(self) -> str:
        return self.name

    @property
    def patient(self) -> str:
        return ""

    def load(self) -> Labelled:
        return self.labelled


def in_order(cases: Iterable[Case], seed: int = 0) -> list[Case]:
    """Always the same order, by the hashes of names."""
    return sorted(cases, key=lambda case: hashlib.sha256(f"{seed} {case.name}".encode()).hexdigest())


def row(*cells: object) -> None:
    print("| " + " | ".join(f"{c:.3f}" if isinstance(c, float) else str(c) for c in cells) + " |", flush=True)


def head(*cells: str) -> None:
    row(*cells)
    print("|" + "---|" * len(cells), flush=True)


def told(words: str) -> Any:
    """Shows how far a job is, twice a minute."""
    last = [time.monotonic()]

    def tell(progress: Progress) -> None:
        if time.monotonic() - last[0] > 30:
            last[0] = time.monotonic()
            sys.stderr.write(f"{words}: {progress.fraction:.0%} {progress.message}\n")

    return tell


def memory_of(model: str | Path) -> Memory | None:
    path = samples_of(find(model))
    return load(path) if path else None


def retrained(
    start: Model, lessons: Sequence[Any], memory: Memory | None, path: Path, minutes: float, settings: Mapping[str, str]
) -> Retrained:
    spec = RetrainSpec.from_person({"minutes": minutes, **settings})
    return run(retrain.steps(start, lessons, spec, save_to=path, memory=memory), told(path.stem))


# nuclei -------------------------------------------------------------------------------------------------------------


def nuclei_of(data: Path, on: str, images: int | None) -> tuple[list[Case], list[Case]]:
    """The histology images, and the fluorescence images to measure on."""
    folder = data / "nuclei2d"
    split = folder / "split.csv"
    stained = [case for kind in HISTOLOGY for case in find_cases(folder, split=split, where={"kind": kind})]
    chosen = find_cases(folder, split=split, where={"kind": "fluorescence"}, hold_out="" if on == "test" else None)
    if on == "test":
        known = find_cases(folder, split=split, where={"kind": "fluorescence"})
        shining = [case for case in chosen if case.name not in {one.name for one in known}]
    else:
        shining = [case for case in chosen if case.split == "val"]
    return in_order(stained), in_order(shining)[:images]


def ap(model: Model, cases: Sequence[Case]) -> float:
    """AP 0.5, the mean over images, by the program's defaults."""
    figures = []
    for case in cases:
        image, truth, _ = case.load()
        figures.append(evaluate(truth, predict(model, image).labels, "instance").ap["0.50"] or 0.0)
    return fmean(figures)


def nuclei(
    data: Path, output: Path, on: str, minutes: float, images: int | None, draws: int, settings: Mapping[str, str]
) -> None:
    stained, shining = nuclei_of(data, on, images)
    start, memory = load_model("nuclei2d"), memory_of("nuclei2d")
    before = ap(start, shining)
    print(f"Fluorescence: {len(shining)} images ({on}), AP 0.5 of the shipped model {before:.3f}. {minutes:g} minutes.")
    head("draw", "histology before", "after", "rise", "fluorescence after", "fall", "verdict", "steps kept at")
    gains, losses = [], []
    for draw in range(draws):
        order = in_order(stained, draw)
        lessons = [replace(case, split="train") for case in order[:SHOWN]]
        others = order[SHOWN:][:images]
        made = retrained(start, lessons, memory, output / f"nuclei-{draw}.safetensors", minutes, settings)
        old, new, shown = ap(start, others), ap(made.model, others), ap(made.model, shining)
        details = made.model.spec.history[-1].details
        steps = f"{details['kept_at']} of {details['steps']}"
        row(draw, old, new, new - old, shown, before - shown, made.verdict and made.verdict.decision, steps)
        gains.append(new - old)
        losses.append(before - shown)
    print(f"Mean: histology rises by {fmean(gains):.3f} (wanted over 0.25), fluorescence falls by {fmean(losses):.3f}")


# hippocampi ---------------------------------------------------------------------------------------------------------


def hippocampi(data: Path, on: str, images: int | None) -> tuple[list[Case], list[Case]]:
    """Cases to learn from, never of fold0 or fold1, and those to measure on."""
    folder = data / "hippocampus_mr"
    split = folder / "split.csv"
    without_test = find_cases(folder, split=split, hold_out="fold0")
    names = {case.name for case in without_test}
    ours = {case.name for case in find_cases(folder, split=split, hold_out="fold1")} & names
    learned = [case for case in without_test if case.name in ours]
    if on == "test":
        measured = [case for case in find_cases(folder, split=split, hold_out="") if case.name not in names]
    else:
        measured = [case for case in without_test if case.name not in ours]
    return in_order(learned), in_order(measured)[:images]


def dice(model: Model, cases: Sequence[Case]) -> float:
    """The mean Dice of both classes, over cases."""
    figures: list[float] = []
    for case in cases:
        image, truth, _ = case.load()
        report = evaluate(truth, predict(model, image).labels)
        figures += [report.per_class.get(str(k), {"dice": 0.0})["dice"] or 0.0 for k in (1, 2)]
    return fmean(figures)


def with_slices(case: Case, chosen: Iterable[int]) -> Shown:
    """A case of which only some slices count."""
    labelled = case.load()
    mask = np.zeros(labelled.labels.grid, bool)
    mask[list(chosen)] = True
    labels = replace(labelled.labels, data=np.where(mask, np.asarray(labelled.labels.data), 0))
    return Shown(case.name, Labelled(labelled.image, labels, mask))


def from_nothing(lessons: Sequence[Any], path: Path, minutes: float) -> Model:
    spec = HIPPOCAMPUS.model_copy(update={"minutes": minutes, "name": path.stem})
    return run(train.steps(lessons, spec, save_to=path, hold_out=True), told(path.stem))


def sparse(data: Path, output: Path, on: str, minutes: float, images: int | None, cases: int = 20) -> None:
    learned, measured = hippocampi(data, on, images)
    learned = [replace(case, split="train") for case in learned[:cases]]
    few = [with_slices(case, range(EVERY // 2, case.load().labels.grid[0], EVERY)) for case in learned]
    print(f"{cases} cases, measured on {len(measured)} ({on}); {minutes:g} minutes each.")
    head("labelled", "Dice", "seconds", "steps")
    found = []
    for name, lessons in (("one slice in five", few), ("fully", learned)):
        began = time.monotonic()
        model = from_nothing(lessons, output / f"sparse-{name.split()[0]}.safetensors", minutes)
        spent = time.monotonic() - began
        found.append(dice(model, measured))
        row(name, found[-1], f"{spent:.0f}", model.spec.history[-1].details["steps"])
    print(f"Sparse labels cost {found[1] - found[0]:.3f} (wanted: at most 0.02)")


def most_to_learn(model: Model | None, image: Volume) -> list[int]:
    """The slices that are to be corrected, in the queue's order of what a model would learn, without the truth; with no
    model yet, some spread through the volume."""
    if model is None:
        return [round(image.grid[0] * k / (SLICES + 1)) for k in range(1, SLICES + 1)]
    return choose_slices(predict(model, image).scores, None, SLICES)


def rounds(data: Path, output: Path, on: str, minutes: float, images: int | None, settings: Mapping[str, str]) -> None:
    learned, measured = hippocampi(data, on, images)
    learned = [replace(case, split="train") for case in learned[: ROUNDS * NEW]]
    print(f"{ROUNDS} rounds of {NEW} cases, {SLICES} slices of each; measured on {len(measured)} ({on}).")
    head("round", "slices", "verdict", "gain", "Dice")
    model: Model | None = None
    lessons: list[Shown] = []
    path, figures = Path(), list[float]()
    for number in range(ROUNDS):
        new = learned[number * NEW : (number + 1) * NEW]
        lessons += [with_slices(case, most_to_learn(model, case.load().image)) for case in new]
        before, path = path, output / f"rounds-{number + 1}.safetensors"
        decision, gain = "", 0.0
        if model is None:
            model = from_nothing(lessons, path, minutes)
        else:
            made = retrained(model, lessons, memory_of(before) if before.exists() else None, path, minutes, settings)
            assert made.verdict is not None
            decision, gain = made.verdict.decision, made.verdict.gain
            if decision == "worse" or (decision == "undecided" and gain < 0):
                path = before  # the old model is kept
            else:
                model = made.model
        figures.append(dice(model, measured))
        row(number + 1, SLICES * len(lessons), decision, gain, figures[-1])
    whole = from_nothing(learned, output / "rounds-fully.safetensors", minutes * ROUNDS)
    wanted = dice(whole, measured)
    falls = [a - b for a, b in itertools.pairwise(figures)]
    print(f"Fully labelled, {minutes * ROUNDS:g} minutes: {wanted:.3f}")
    print(f"Largest fall {max(falls):.3f} (at most 0.01); the last is {wanted - figures[-1]:.3f} under (at most 0.04)")


# stopping and going on ----------------------------------------------------------------------------------------------

MOMENTS = {
    "reading": lambda at: at.detail.get("phase") == "read",
    "keeping a selection": lambda at: at.detail.get("phase") == "keep",
    "before the first checkpoint": lambda at: at.detail.get("step", 0) >= 2,
    "in a later step": lambda at: at.detail.get("step", 0) >= 12,
    "while looking at what was held out": lambda at: at.detail.get("phase") == "score" and at.fraction > 0.1,
    "while comparing": lambda at: at.detail.get("phase") == "compare",
}


def stop(data: Path, output: Path) -> None:
    stained, _ = nuclei_of(data, "val", 0)
    lessons = [replace(case, split="train") for case in in_order(stained)[:SHOWN]]
    start, memory = load_model("nuclei2d"), memory_of("nuclei2d")
    head("stopped", "seconds", "the file")
    for name, moment in MOMENTS.items():
        path = output / "stop.safetensors"
        path.unlink(missing_ok=True)
        job = retrain.steps(
            start, lessons, RetrainSpec(steps=20 if "compar" in name else 60), save_to=path, memory=memory
        )
        assert any(moment(progress) for progress in job)
        asked = time.perf_counter()
        job.close()
        seconds = time.perf_counter() - asked
        kept = Model.load(path).spec.history[-1].details["kept_at"] if path.exists() else None
        row(name, seconds, "none: the old model is as it was" if kept is None else f"kept after {kept} steps")


def resume(data: Path, output: Path, steps: int) -> None:
    """Each training is killed in every third of its steps and gone on with."""
    head("training", "killed", "bit for bit")
    for kind in ("retrain", "train"):
        whole, path = output / f"{kind}-whole.safetensors", output / f"{kind}-broken.safetensors"
        _work(kind, data, whole, steps)
        for old in output.glob(f"{path.name}*"):
            old.unlink()
        kills = 0
        for goal in (steps // 4, steps // 2, 3 * steps // 4):
            kills += _work(kind, data, path, steps, kill_at=goal, go_on=kills > 0)
        _work(kind, data, path, steps, go_on=kills > 0)
        a, b = load_file(whole), load_file(path)
        row(kind, f"{kills} times", "yes" if all(torch.equal(a[k], b[k]) for k in a) else "NO")


def _work(kind: str, data: Path, path: Path, steps: int, *, kill_at: int = 0, go_on: bool = False) -> int:
    """Train in a process of its own; killed when it has made so many steps. Whether it was."""
    order = [sys.executable, __file__, "work", kind, "--data", str(data), "--output", str(path), "--steps", str(steps)]
    with subprocess.Popen([*order, *(["--go-on"] if go_on else [])], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if kill_at and int(line) >= kill_at:
                process.send_signal(signal.SIGKILL)
                break
        process.stdout.read()
    assert kill_at or process.returncode == 0
    return int(process.returncode != 0)


def work(kind: str, data: Path, path: Path, steps: int, go_on: bool) -> None:
    stained, _ = nuclei_of(data, "val", 0)
    lessons = [replace(case, split="train" if k < 2 else "val") for k, case in enumerate(in_order(stained)[:3])]
    job: Any
    if kind == "retrain":
        spec = RetrainSpec(steps=steps, batch=4, patience=0)
        memory = memory_of("nuclei2d")
        job = retrain.steps(load_model("nuclei2d"), lessons, spec, save_to=path, memory=memory, resume=go_on)
    else:
        begun = TrainSpec(task="instance", width=16, batch=4, steps=steps)
        job = train.steps(lessons, begun, save_to=path, resume=go_on)
    for progress in job:
        if "step" in progress.detail:
            print(progress.detail["step"], flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["nuclei", "sparse", "rounds", "stop", "resume", "work"])
    parser.add_argument("kind", nargs="?", default="retrain", choices=["retrain", "train"])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--on", choices=["val", "test"], default="val")
    parser.add_argument("--minutes", type=float, help="of each training; without it those of the issue")
    parser.add_argument("--images", type=int, help="measure on so many only")
    parser.add_argument("--draws", type=int, default=DRAWS)
    parser.add_argument("--set", nargs="*", default=[], help="other settings, such as learning_rate=1e-4 old_share=0.7")
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--go-on", action="store_true")
    asked = parser.parse_args()
    if asked.what == "work":
        work(asked.kind, asked.data, asked.output, asked.steps, asked.go_on)
        return
    asked.output.mkdir(parents=True, exist_ok=True)
    settings = dict(pair.split("=", 1) for pair in asked.set)
    data, output, on, images = asked.data, asked.output, asked.on, asked.images
    if asked.what == "nuclei":
        nuclei(data, output, on, asked.minutes or 5.0, images, asked.draws, settings)
    elif asked.what == "sparse":
        sparse(data, output, on, asked.minutes or 15.0, images)
    elif asked.what == "rounds":
        rounds(data, output, on, asked.minutes or 3.0, images, settings)
    elif asked.what == "stop":
        stop(data, output)
    else:
        resume(data, output, asked.steps)


if __name__ == "__main__":
    main()
