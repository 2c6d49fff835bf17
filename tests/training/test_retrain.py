"""Retraining: what is learned and what is not forgotten, stopping at any moment, going on, and what the file says."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
import pytest
import torch
from lessons import InMemory, discs, lesson, memory_for, model_for, quick, samples_for
from safetensors.torch import load_file

from napari_seg.data.volume import Volume
from napari_seg.errors import SegError
from napari_seg.inference.backend import Runner, choose_device
from napari_seg.inference.predict import predict
from napari_seg.inference.prediction import PredictSpec
from napari_seg.jobs import Job, Progress, run
from napari_seg.models.ensemble import ensemble
from napari_seg.models.model import Model
from napari_seg.models.shelf import state_of
from napari_seg.training import adopt, blending, course
from napari_seg.training import retrain as retrain_module
from napari_seg.training.augment import Augmentation
from napari_seg.training.division import Division, known_as
from napari_seg.training.memory import beside, load
from napari_seg.training.plan import TrainSpec
from napari_seg.training.retrain import judged, retrain
from napari_seg.training.sample import samples
from napari_seg.training.train import train
from napari_seg.training.trainer import Settings, Trainer
from napari_seg.training.validation import score, scores_of

LESSONS = tuple(lesson(seed) for seed in range(4))
MODEL = model_for(LESSONS)
MEMORY = memory_for(MODEL, [lesson(20), lesson(21)], [lesson(22)])


def same(a: Path, b: Path) -> bool:
    one, other = load_file(a), load_file(b)
    return all(torch.equal(one[key], other[key]) for key in one)


def test_a_training_is_shortened_where_its_steps_take_longer_than_they_did(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(*asked: Any, **more: Any) -> Any:
        yield Progress(0, 1)
        return course.Length(40, seconds=0.0)

    monkeypatch.setattr(retrain_module, "settled", late)
    shown: list[int] = []
    path = tmp_path / "m.safetensors"
    steps = retrain.steps(MODEL, LESSONS, quick(steps=None), save_to=path, memory=MEMORY)
    run(steps, lambda progress: shown.append(progress.detail.get("step", 0)))
    assert max(shown) == 2  # it ends at the first checkpoint
    assert Model.load(path).spec.history[-1].details["verdict"]


@pytest.mark.parametrize(
    ("pace", "seconds", "total"), [(1.0, 50, 100), (0.9, 50, 100), (0.5, 50, 75), (9.0, 0, 50), (9.0, -5, 50)]
)
def test_how_many_steps_fit(pace: float, seconds: float, total: int) -> None:
    half_way: Any = SimpleNamespace(step=50, total=100)
    assert course._in_time(half_way, pace, seconds) == total
    assert course._in_time(half_way, pace, float("inf")) == 100


@pytest.mark.parametrize(
    ("weight", "older", "then"),
    [
        (0.8, 0.6, 0.9),
        (0.9, 0.694, 0.95),
        (0.95, 0.1, 0.95),
        (0.95, 0.7, 0.9375),
        (0.8, 0.9, 0.8),
        (0.85, 0.696, 0.8125),
    ],
)
def test_older_samples_weigh_more_while_they_are_forgotten(weight: float, older: float, then: float) -> None:
    assert course._balanced(weight, 0.8, 0.7, {"score": 0.5, "older": older}) == pytest.approx(then)
    assert course._balanced(weight, 0.8, None, {"score": 0.5}) == weight


def test_it_learns_a_new_kind_of_image_and_does_not_forget_the_old(tmp_path: Path) -> None:
    old = [lesson(seed) for seed in range(6)]
    start = model_for(old, width=8)
    spec = TrainSpec(task="instance", steps=80, batch=4, learning_rate=1e-2, device="cpu", precision="fp32")
    start = train(old, spec, save_to=tmp_path / "start.safetensors", start=start)
    memory = memory_for(start, old[:3], [lesson(30), lesson(31)])
    new = [replace(lesson(seed, bright=-80), about={"revision": seed}) for seed in range(40, 45)]
    shown: list[dict[str, Any]] = []
    made = run(
        retrain.steps(
            start,
            new,
            quick(steps=80, learning_rate=5e-3),
            save_to=tmp_path / "new.safetensors",
            memory=memory,
            parent="abc",
            who="Ada",
        ),
        lambda progress: shown.append({"at": progress.fraction, **progress.detail}),
    )
    other = samples_for(start, [lesson(seed, bright=-80) for seed in (50, 51, 52)])
    device, at = choose_device("cpu", "fp32"), Progress(0, 1)

    def worth(model: Model, of: Any) -> float:
        return run(score(model.network, model.spec, of, device, at))

    assert worth(made.model, other) > worth(start, other) + 0.2
    assert worth(made.model, memory.check) > worth(start, memory.check) - 0.3
    assert made.verdict is not None
    assert made.verdict.decision == "undecided"  # of five images one is held out
    assert {unit.name for unit in made.verdict.corrections} == {sample.name for sample in made.held_out}
    assert len(made.verdict.older) == 2
    # what was told on the way
    assert [one["at"] for one in shown] == sorted(one["at"] for one in shown)
    assert {one["phase"] for one in shown if "phase" in one} >= {"read", "timing", "train", "score", "compare"}
    assert len([one for one in shown if "score" in one]) == course.CHECKPOINTS
    assert [one["before"] for one in shown if "before" in one] == [made.model.spec.history[-1].details["before"]]
    # what the file says
    kept = Model.load(tmp_path / "new.safetensors")
    assert kept.spec == made.model.spec
    assert kept.spec.name == "new"
    assert [past.what for past in kept.spec.history] == ["trained", "retrained"]
    details = kept.spec.history[-1].details
    assert (details["parent"], details["parent_hash"], details["who"]) == (start.spec.name, "abc", "Ada")
    assert details["lessons"] == [{"revision": seed} for seed in range(40, 45)]  # and no name: it may be a patient's
    assert details["older_samples"] == 3
    assert details["verdict"]["decision"] == "undecided"
    assert details["steps"] == 80
    assert 0 < details["kept_at"] <= 80
    # and beside it lies what the next training starts from
    remembered = load(beside(tmp_path / "new.safetensors"))
    assert any(sample.name.startswith("image ") for sample in remembered.learn)
    assert not (tmp_path / "new.safetensors.resume").exists()


def test_rgb_images_are_learned_as_a_prediction_sees_them() -> None:
    grey, labels = discs(0)
    colour = np.stack([grey, grey // 2, grey // 3], -1)
    image = Volume(colour, "YXS")
    (seen,) = samples(image, Volume(labels, "YX"), MODEL.spec)
    prediction = predict(MODEL, image, PredictSpec(device="cpu", precision="fp32", diameter=MODEL.spec.input.diameter))
    runner = Runner(MODEL.network, MODEL.spec.task, choose_device("cpu", "fp32"), ndim=2)
    mine = run(scores_of(runner, MODEL.spec, seen, Progress(0, 1)))
    np.testing.assert_allclose(mine, prediction.scores.astype(np.float32), atol=2e-3)


def test_objects_of_other_sizes_are_learned_at_the_size_that_the_model_knows() -> None:
    (here,) = samples_for(MODEL, [lesson(0)])
    image, labels = discs(0)
    large = InMemory("large", *(Volume(np.kron(a, np.ones((4, 4), a.dtype)), "YX") for a in (image, labels)))
    few = replace(large, labels=Volume(np.where(labels == 1, 1, 0).repeat(4, 0).repeat(4, 1), "YX"))
    more = [Volume(np.tile(np.asarray(v.data), (2, 2)), "YX") for v in (large.image, large.labels)]
    more[1] = Volume(np.asarray(more[1].data) + 4 * np.kron([[0, 1], [2, 3]], np.ones((128, 128), int)), "YX")
    more[1] = Volume(np.where(np.tile(np.asarray(large.labels.data), (2, 2)) > 0, more[1].data, 0), "YX")
    assert here.grid == (32, 32)
    assert samples_for(MODEL, [few])[0].grid == (128, 128)  # too few objects to tell
    (scaled,) = samples_for(MODEL, [replace(large, image=more[0], labels=more[1])])
    assert abs(scaled.grid[0] - 64) <= 2


MOMENTS = {
    "reading": lambda at: at.detail.get("phase") == "read",
    "timing": lambda at: at.detail.get("phase") == "timing",
    "before the first checkpoint": lambda at: at.detail.get("step") == 1,
    "after a step": lambda at: at.detail.get("step") == 4,
    "while looking at what was held out": lambda at: at.detail.get("phase") == "score" and at.fraction > 0.4,
    "while comparing": lambda at: at.detail.get("phase") == "compare",
}


@pytest.mark.parametrize("moment", MOMENTS.values(), ids=MOMENTS.keys())
def test_stopping_is_quick_and_leaves_a_model(moment: Callable[[Progress], bool], tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    spec = quick(steps=None, minutes=10) if moment is MOMENTS["timing"] else quick(steps=60, patience=0)
    steps = retrain.steps(MODEL, LESSONS, spec, save_to=path, memory=MEMORY)
    assert any(moment(progress) for progress in steps)
    began = time.monotonic()
    steps.close()
    assert time.monotonic() - began < 2
    if moment in (MOMENTS["reading"], MOMENTS["timing"]):
        assert not path.exists()
        return
    kept, before = Model.load(path), path.rename(tmp_path / "before.safetensors")
    path.write_bytes(before.read_bytes())
    details = kept.spec.history[-1].details
    if moment is MOMENTS["before the first checkpoint"]:
        assert details["kept_at"] == 0  # what it began with
        weights, half = kept.network.state_dict(), MODEL.network.state_dict()
        assert all(torch.equal(weights[k], v.half().float() if v.ndim > 1 else v) for k, v in half.items())
    verdict = run(judged.steps(MODEL, path, LESSONS, spec, memory=MEMORY))
    assert len(verdict.corrections) == 1
    assert len(verdict.older) == 1
    assert Model.load(path).spec.history[-1].details["verdict"]["decision"] == verdict.decision
    assert same(path, before)
    assert {sample.name for sample in load(beside(path)).learn} > {"20", "21"}  # its children know what it learned


@pytest.mark.parametrize("moment", list(MOMENTS)[3:])
def test_stopped_and_resumed_ends_with_the_bits_of_an_unbroken_run(moment: str, tmp_path: Path) -> None:
    spec = quick()
    whole = retrain(MODEL, LESSONS, spec, save_to=tmp_path / "whole.safetensors", memory=MEMORY)
    path = tmp_path / "broken.safetensors"
    steps = retrain.steps(MODEL, LESSONS, spec, save_to=path, memory=MEMORY)
    assert any(MOMENTS[moment](progress) for progress in steps)
    steps.close()
    resumed = retrain(MODEL, LESSONS, spec, save_to=path, memory=MEMORY, resume=True)
    assert same(tmp_path / "whole.safetensors", path)
    assert resumed.model.spec.task == whole.model.spec.task
    assert resumed.verdict == whole.verdict
    ours, theirs = (made.model.spec.history[-1].details for made in (resumed, whole))
    assert ours["scores"] == theirs["scores"]
    assert ours["before"] == theirs["before"]


class Killed(BaseException):
    pass


@pytest.mark.parametrize("which", range(1, 7))
def test_killed_between_the_model_and_its_state(which: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files are written in turn; whatever write a kill falls on, going on ends with the same bits."""
    spec = quick(seed=3)
    retrain(MODEL, LESSONS, spec, save_to=tmp_path / "whole.safetensors", memory=MEMORY)
    path, left = tmp_path / "broken.safetensors", [which]
    rename = Path.replace

    def until_killed(source: Path, target: Path) -> Path:
        if Path(target).name in ("broken.safetensors", "broken.safetensors.resume") and Path(source).exists():
            left[0] -= 1
            if left[0] < 0:
                raise Killed
        return rename(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", until_killed)
        with pytest.raises(Killed):
            retrain(MODEL, LESSONS, spec, save_to=path, memory=MEMORY)
    if not state_of(path).exists():
        assert which <= 2
        with pytest.raises(SegError, match="start anew"):
            retrain(MODEL, LESSONS, spec, save_to=path, memory=MEMORY, resume=True)
        return
    retrain(MODEL, LESSONS, spec, save_to=path, memory=MEMORY, resume=True)
    assert same(tmp_path / "whole.safetensors", path)


@pytest.mark.parametrize("corrected", ["train", "val"])
def test_going_on_forgets_figures_only_where_what_is_measured_was_corrected(
    corrected: Literal["train", "val"], tmp_path: Path
) -> None:
    path, judge = tmp_path / "m.safetensors", replace(lesson(8), split="val")
    steps = retrain.steps(MODEL, [*LESSONS, judge], quick(patience=0), save_to=path, memory=MEMORY)
    assert any(progress.detail.get("step") == 3 for progress in steps)
    steps.close()
    more = [*LESSONS, judge, replace(lesson(9), split=corrected)]
    made = retrain(MODEL, more, quick(patience=0), save_to=path, memory=MEMORY, resume=True)
    told = [step for step, _ in made.model.spec.history[-1].details["scores"]]
    first = 4 if corrected == "val" else 1
    assert told
    assert told == [*range(first, first + len(told))]


def test_a_stopped_training_of_another_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    steps = retrain.steps(MODEL, LESSONS, quick(), save_to=path)
    assert any(progress.detail.get("step") == 3 for progress in steps)
    steps.close()
    with pytest.raises(SegError, match="of another model"):
        retrain(model_for(LESSONS, width=6), LESSONS, quick(), save_to=path, resume=True)
    with pytest.raises(SegError, match="other settings: steps was 6 and is 7; resume with the same ones"):
        retrain(MODEL, [], quick(steps=7), save_to=path, resume=True)


def test_a_stopped_training_goes_on_from_the_file_it_began_with(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    steps = retrain.steps(MODEL, LESSONS, quick(), save_to=path, parent="abc")
    assert any(progress.detail.get("step") == 3 for progress in steps)
    steps.close()
    with pytest.raises(SegError, match=r"another file than this .*; start from that one, or anew"):
        retrain(MODEL, LESSONS, quick(), save_to=path, parent="def", resume=True)
    assert retrain(MODEL, LESSONS, quick(), save_to=path, parent="abc", resume=True).verdict


def test_it_ends_early_where_nothing_gets_better(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_better(*_: Any) -> Any:
        yield Progress(0, 1)
        return 0.5

    monkeypatch.setattr(course, "score", no_better)
    seen: list[int] = []
    spec = quick(steps=20, patience=3)
    made = run(
        retrain.steps(MODEL, LESSONS, spec, save_to=tmp_path / "m.safetensors"),
        lambda progress: seen.append(progress.detail.get("step", 0)),
    )
    assert max(seen) == 3
    assert made.model.spec.history[-1].details["steps"] == 20
    seen.clear()
    run(
        retrain.steps(MODEL, LESSONS, quick(steps=20, patience=0), save_to=tmp_path / "n.safetensors"),
        lambda progress: seen.append(progress.detail.get("step", 0)),
    )
    assert max(seen) == 20
    seen.clear()
    judges = [
        replace(lesson(seed), split="val") for seed in range(30, 36)
    ]  # they judge the result, and so choose nothing
    run(
        retrain.steps(MODEL, (*LESSONS, *judges), spec, save_to=tmp_path / "o.safetensors"),
        lambda progress: seen.append(progress.detail.get("step", 0)),
    )
    assert max(seen) == 20


def test_minutes_are_everything(tmp_path: Path) -> None:
    began, shown = time.monotonic(), list[Progress]()
    spec = quick(steps=None, minutes=0.05)
    steps = retrain.steps(MODEL, LESSONS, spec, save_to=tmp_path / "m.safetensors", memory=MEMORY)
    made = run(steps, shown.append)
    assert made.model.spec.history[-1].details["steps"] >= 1
    assert time.monotonic() - began < 60
    timed = [at for at in shown if at.detail.get("phase") == "timing"]
    assert {at.message for at in timed} == {"timing some steps", "timing a look at the validation cases"}
    assert {at.fraction for at in timed} == {retrain_module.READ}  # the bar stands still


@pytest.mark.parametrize(
    ("seconds", "pace", "checkpoint", "steps"),
    [(300, 1.0, 5.0, 200), (300, 8.0, 12.0, 15), (300, 9.0, 7.0, 18), (10, 8.0, 12.0, 1)],
)
def test_where_steps_are_slow_each_has_a_checkpoint_of_its_own(
    seconds: float, pace: float, checkpoint: float, steps: int
) -> None:
    found = course.steps_within(seconds, pace, checkpoint)
    assert found == steps
    assert found * pace + min(found, course.CHECKPOINTS) * checkpoint <= max(seconds, pace + checkpoint)


def test_a_loss_that_is_no_number_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(SegError, match=r"went astray in step .*lower learning rate, such as"):
        retrain(MODEL, LESSONS, quick(steps=40, learning_rate=1e30, patience=0), save_to=tmp_path / "m.safetensors")
    assert Model.load(tmp_path / "m.safetensors").spec.history[-1].details["kept_at"] == 0


def test_too_little_memory_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def starved(*_: Any) -> float:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(Trainer, "_advance", starved)
    with pytest.raises(SegError, match=r"Memory ran out while training on 4 patches of 32 x 32 .*close other programs"):
        retrain(MODEL, LESSONS, quick(), save_to=tmp_path / "m.safetensors")


def test_a_lesson_of_an_image_that_is_remembered_takes_its_place(tmp_path: Path) -> None:
    memory = memory_for(MODEL, [LESSONS[0], lesson(20)], [LESSONS[1], lesson(22)])
    made = retrain(MODEL, LESSONS, quick(), save_to=tmp_path / "m.safetensors", memory=memory)
    assert made.model.spec.history[-1].details["older_samples"] == 1
    assert made.verdict is not None
    assert [unit.name for unit in made.verdict.older] == ["22"]


def test_of_an_image_that_is_learned_again_nothing_older_is_remembered(tmp_path: Path) -> None:
    memory = memory_for(MODEL, [LESSONS[0], lesson(20)], [LESSONS[1], lesson(22)])
    path = tmp_path / "m.safetensors"
    made = retrain(MODEL, LESSONS, quick(steps=1), save_to=path, memory=memory)
    found = load(beside(path))
    learned, check = ([sample.group for sample in part] for part in (found.learn, found.check))
    assert not {*learned} & {*check}
    assert len({*learned, *check}) == len(learned + check) == 6
    assert {"group of 20", known_as(LESSONS[0].group), known_as(LESSONS[1].group)} - {*learned} <= {
        known_as(sample.group) for sample in made.held_out
    }


def test_through_all_rounds_nothing_is_held_out_that_was_learned_from(tmp_path: Path) -> None:
    known, memory, held_out = set[str](), None, set[str]()
    for count in range(2, 12):
        lessons, path = [lesson(seed) for seed in range(count)], tmp_path / f"{count}.safetensors"
        made = retrain(MODEL, lessons, quick(steps=1), save_to=path, memory=memory)
        memory = load(beside(path))
        before, held_out = held_out, {known_as(sample.group) for sample in made.held_out}
        assert before <= held_out
        assert not held_out & known
        known |= {known_as(one.group) for one in lessons} - held_out
        assert memory.division == Division(frozenset(known), frozenset(held_out))


def test_a_comparison_later_is_on_what_was_held_out_though_more_was_corrected(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    steps = retrain.steps(MODEL, LESSONS[:2], quick(), save_to=path)
    assert any(progress.detail.get("step") == 3 for progress in steps)
    steps.close()
    (held_out,) = load(beside(path)).division.held_out
    verdict = run(judged.steps(MODEL, path, [*LESSONS, *(lesson(seed) for seed in range(4, 20))], quick()))
    names = {known_as(f"group of {unit.name}") for unit in verdict.corrections}
    assert held_out in names
    assert not names & load(beside(path)).division.learned


def test_the_only_image_of_a_new_class_is_learned(tmp_path: Path) -> None:
    start = model_for([lesson(0, classes=1)], task="semantic", classes=("light",))
    lessons = [lesson(seed, classes=1) for seed in range(5)]
    for k in range(5):
        new = [lesson(seed, classes=1 + (seed == k)) for seed in range(5)]
        made = retrain(start, new, quick(steps=1, new_classes=("dark",)), save_to=tmp_path / f"{k}.safetensors")
        assert made.held_out
        assert str(k) not in {sample.name for sample in made.held_out}
    with pytest.raises(SegError, match="is nowhere in what the model would learn from"):
        retrain(start, lessons, quick(steps=1, new_classes=("dark",)), save_to=tmp_path / "none.safetensors")


def test_killed_when_all_but_the_end_is_done_it_is_not_blended_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory, blends, unlink = memory_for(MODEL, [lesson(20)], [lesson(k) for k in range(30, 42)]), [0], Path.unlink
    plain = blending.unforgetful

    def counted(*asked: Any) -> Any:
        blends[0] += 1
        return plain(*asked)

    def until_killed(path: Path, **more: Any) -> None:
        if path.name == "m.safetensors.resume":
            raise Killed
        unlink(path, **more)

    monkeypatch.setattr(retrain_module, "unforgetful", counted)
    path = tmp_path / "m.safetensors"
    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", until_killed)
        with pytest.raises(Killed):
            retrain(MODEL, LESSONS, quick(), save_to=path, memory=memory)
    before = path.rename(tmp_path / "before.safetensors")
    path.write_bytes(before.read_bytes())
    made = retrain(MODEL, LESSONS, quick(), save_to=path, memory=memory, resume=True)
    assert blends == [1]
    assert same(before, path)
    assert made.model.spec.history == Model.load(before).spec.history


def test_few_corrected_pixels_weigh_as_much_as_whole_older_images() -> None:
    mask = np.zeros((32, 32), bool)
    mask[2:14, 2:14] = True
    sparse, old = samples_for(MODEL, [lesson(0, mask=mask)]), samples_for(MODEL, [lesson(1)])
    settings = Settings(4, Augmentation(), 1e-3, 0.0, 0, choose_device("cpu", "fp32"), 0.5)
    made = Trainer(MODEL, sparse, settings, 10, old)
    _, target, known = made.source.batch(0)
    logits = torch.randn(target.shape, generator=torch.Generator().manual_seed(0))
    parts = [MODEL.spec.task.loss(logits[part], target[part], known[part]) for part in (slice(2), slice(2, 4))]
    assert float(known[:2].sum()) < 0.3 * float(known[2:].sum())
    assert float(made._loss(logits, target, known)) == pytest.approx(float(sum(parts)) / 2)


def test_of_an_ensemble_a_member_goes_on_and_must_be_better_than_all_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    joined, compared = ensemble([MODEL, Model.create(MODEL.spec, seed=9)]), list[Model]()
    whole = Job(lambda old, *rest, **more: compared.append(old) or adopt.compare.steps(old, *rest, **more))
    monkeypatch.setattr(retrain_module, "compare", whole)
    made = retrain(joined, LESSONS, quick(steps=2), save_to=tmp_path / "new.safetensors", memory=MEMORY)
    assert compared == [joined]
    assert made.model.spec.members == ()
    assert made.verdict is not None


def test_what_the_model_said_of_older_samples_is_learned_too() -> None:
    new, old = samples_for(MODEL, [lesson(0)]), samples_for(MODEL, [lesson(1)])
    settings = Settings(4, Augmentation(), 1e-3, 0.0, 0, choose_device("cpu", "fp32"), 0.5, 0.5)
    made = Trainer(MODEL, new, settings, 10, old)
    image, target, _ = made.source.batch(0)
    mixed = made._as_before(image, target)
    assert torch.equal(mixed[:2], target[:2])
    with torch.no_grad():
        said = MODEL.spec.task.activate(MODEL.network(image[2:]))
    torch.testing.assert_close(mixed[2:], (target[2:] + said) / 2)
    made.advance()
    assert torch.equal(made._as_before(image, target), mixed)  # always as it was before
    assert Trainer(MODEL, new, settings, 10).before is None


def test_it_goes_on_with_the_loss_of_the_first_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds: list[str] = []
    plain = Trainer._loss
    monkeypatch.setattr(Trainer, "_loss", lambda self, *rest: kinds.append(self.settings.loss) or plain(self, *rest))
    spec = TrainSpec(task="instance", steps=1, batch=2, loss="tversky", device="cpu", precision="fp32")
    start = train(LESSONS, spec, save_to=tmp_path / "start.safetensors", start=MODEL)
    for model in (start, MODEL):
        retrain(model, LESSONS, quick(steps=1), save_to=tmp_path / "new.safetensors", memory=MEMORY)
    assert kinds == ["tversky", "tversky", "dice"]


@pytest.mark.parametrize("held_out", [1, 6, 12])
def test_what_is_forgotten_is_watched_however_many_are_held_out(held_out: int, tmp_path: Path) -> None:
    """With 6 all judge and none chooses; the older samples that judge are others than those that are watched."""
    memory = memory_for(MODEL, [lesson(20)], [lesson(seed) for seed in range(30, 42)])
    lessons = [*LESSONS, *(replace(lesson(60 + k), split="val") for k in range(held_out))]
    shown: list[dict[str, Any]] = []
    steps = retrain.steps(MODEL, lessons, quick(), save_to=tmp_path / "m.safetensors", memory=memory)
    made = run(steps, lambda progress: shown.append(dict(progress.detail)))
    assert [one for one in shown if "score" in one]
    assert all("older" in one for one in shown if "score" in one)
    assert made.verdict is not None
    assert len(made.verdict.older) == 6


def test_checkpoints_are_chosen_by_older_samples_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that is a little better on the corrections and has forgotten the rest is not the best."""
    check = [lesson(seed) for seed in range(30, 42)]
    memory, minded = memory_for(MODEL, [lesson(20)], check), set[str]()
    looks = [0, 0]

    def told(*asked: Any) -> Any:
        yield Progress(0, 1)
        older = asked[2][0].name not in {one.name for one in LESSONS}
        looks[older] += 1
        if older:
            minded.update(sample.name for sample in asked[2])
            return 0.9 if looks[older] < 4 else 0.5
        return looks[older] / 100

    monkeypatch.setattr(course, "score", told)
    made = retrain(MODEL, LESSONS, quick(patience=0), save_to=tmp_path / "m.safetensors", memory=memory)
    assert made.model.spec.history[-1].details["kept_at"] == 2  # the first look is at what it began with
    assert made.verdict is not None
    assert len(minded) == 6
    assert not minded & {unit.name for unit in made.verdict.older}
    assert len(made.verdict.older) == 6
