"""Train a model on a time budget, watched, cancelled and resumed at will, and the same bits again at the same steps.

The general pattern is: 1. look at the data and plan the model, 2. time some steps on a copy and turn the minutes into a
number of steps, 3. train (:mod:`~napari_seg.training.course`): random patches, AdamW with warm-up and cosine decay, a
moving average of the weights, 4. at every checkpoint measure the averaged weights on the validation cases, keep the
best (without validation cases the last) as the model file and the whole state beside it, 5. choose the decoding
settings of the task on the validation cases.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from napari_seg.errors import SegError
from napari_seg.inference.backend import choose_device
from napari_seg.jobs import Steps, job
from napari_seg.models.ensemble import first_of
from napari_seg.models.model import Model
from napari_seg.models.shelf import state_of
from napari_seg.models.spec import ModelSpec
from napari_seg.models.zoo import refuse_unloaded
from napari_seg.training.cases import Lesson, find_cases
from napari_seg.training.course import Material, event, named_anew, refuse_another, run_course, settled, with_event
from napari_seg.training.division import NOTHING
from napari_seg.training.holding_out import divided
from napari_seg.training.memory import Memory, division_of, remember
from napari_seg.training.place import placed
from napari_seg.training.plan import TrainSpec, augmentation, batch_size, check_start, plan
from napari_seg.training.reading import by_split, look_at, refuse_one_sided, take_in
from napari_seg.training.sample import Sample
from napari_seg.training.test_set import refuse
from napari_seg.training.trainer import Settings, digest
from napari_seg.training.validation import tuned


@job
@placed
def train(
    data: str | Path | Sequence[Lesson],
    spec: TrainSpec,
    *,
    save_to: str | Path,
    start: Model | None = None,
    resume: bool = False,
    hold_out: bool = False,
    who: str = "",
) -> Steps[Model]:
    """Train on a folder with ``images/`` and ``labels/``, or on lessons, and return the model that ``save_to`` then
    holds.

    ``start`` goes on from a trained model: its network, task and input are kept, and settings that say otherwise raise
    ``SegError``; of an ensemble the first member is taken. ``resume`` goes on with a training that was stopped, from
    the state beside ``save_to``. ``hold_out``: where no lesson is marked for validation, a part of what is learned from
    is held out for it (:func:`~napari_seg.training.holding_out.divided`), and a selection of samples lies beside the
    model for the next time. ``who`` trains, for the model's history.
    Closing the generator stops at once; the best model so far is in the file.
    ``Progress.detail`` holds ``phase`` ("read", "keep", "timing", "train", "score", "tune"), ``step``, ``loss`` and,
    after a checkpoint and where there are validation cases, ``score`` (their mean Dice or mean AP).
    """
    TrainSpec.refuse_other(spec)
    if start is not None:
        refuse_unloaded(start)
    save_to = Path(save_to)
    start = None if start is None else first_of(start)
    if resume:
        refuse_another(save_to, spec.to_json(), start.digest if start else "")
    lessons: Sequence[Lesson] = find_cases(data, task=spec.task) if isinstance(data, str | Path) else tuple(data)
    learned, held_out, model_spec = yield from _prepare(lessons, spec, start)
    dividing, before = hold_out and not held_out, division_of(save_to) if resume else NOTHING
    if dividing:
        task = model_spec.task
        wanted = range(1, 1 + len(task.classes)) if task.kind == "semantic" else ()
        learned, held_out, before = divided(learned, before, wanted=wanted)
    refuse_one_sided(learned)
    if dividing:
        yield from remember.steps(
            save_to, learned, held_out, before=Memory(division=before), patch=model_spec.input.patch
        )
    settings = settings_of(model_spec, spec, learned)
    if start is not None:
        model_spec = named_anew(model_spec, save_to)
    first = start or Model.create(model_spec, seed=spec.seed)
    material = Material(learned, (), held_out)
    resumed = save_to if resume else None
    length = yield from settled(first, material, settings, steps=spec.steps, seconds=60 * spec.minutes, resumed=resumed)
    made = event(
        "trained",
        settings,
        length.steps,
        spec.to_json(),
        (*learned, *held_out),
        learned_from=len(learned),
        validated_on=len(held_out),
        started_from=start.spec.name if start else "",
        lessons=[dict(one.about) for one in lessons if one.about],
        who=who,
    )
    kept = with_event(replace(first, spec=model_spec), made)
    model = yield from run_course(
        first,
        kept,
        material,
        settings,
        length,
        save_to=save_to,
        asked=spec.to_json(),
        images="" if dividing else digest(learned),  # what was learned from is never held out where this divides
        start=start.digest if start else "",
        resume=resume,
        remembered=dividing,
    )
    if held_out:
        model = replace(model, spec=(yield from tuned(model, kept.spec.task, held_out, settings.device)))
        model.save(save_to)  # the weights came from this very file, so what is returned is what it holds
    state_of(save_to).unlink(missing_ok=True)
    return model


def settings_of(model: ModelSpec, spec: TrainSpec, learned: Sequence[Sample]) -> Settings:
    """What is decided of a training once its model and its samples are known."""
    return Settings(
        batch_size(model, spec),
        augmentation(model, spec, learned),
        spec.learning_rate,
        spec.weight_decay,
        spec.seed,
        choose_device(spec.device, spec.precision),
        loss=spec.loss,
    )


def _prepare(
    lessons: Sequence[Lesson], spec: TrainSpec, start: Model | None
) -> Steps[tuple[Sequence[Sample], Sequence[Sample], ModelSpec]]:
    """Plan the model from the lessons that are learned from, then bring all to its grid."""
    yield from refuse(lessons)
    if start is not None:
        check_start(start.spec, spec)
    looked_at = [lesson for lesson in lessons if lesson.split == "train" and start is None]
    total = len(looked_at) + len(lessons)
    facts = yield from look_at(looked_at, spec, total=total)
    model = start.spec if start else plan(facts, spec)
    taken = yield from take_in(lessons, model, total=total)
    learned, held_out = by_split(lessons, taken)
    if not learned:
        raise SegError("No image is left to learn from; mark some rows of the split with train.")
    return learned, held_out, model
