"""The engine: a process of its own that loads models and predicts, so that the window never computes.

1. The window starts ``python -m napari_seg.engine FOLDER`` and talks to it in lines of JSON: orders come in on standard
   input, answers go out on standard output. Arrays do not travel in lines: they are ``.npy`` files in ``FOLDER``, a
   private temporary folder of that window.
2. Orders are carried out one after the other. An order names a verb of :data:`VERBS`; each verb is a generator that
   yields ``Progress`` and returns its answer, so that a cancel is seen between any two steps.
3. When the window is gone, standard input ends: the engine then removes the folder and exits, whatever it was doing.

The window's side of it is :mod:`napari_seg.gui.engine`.
"""

from __future__ import annotations

import importlib
import json
import os
import queue
import shutil
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from napari_seg.data.formats import read, read_answered
from napari_seg.data.unchanged import refuse_changed
from napari_seg.data.volume import Source, Volume
from napari_seg.errors import SegError, as_bug, plain
from napari_seg.files import written
from napari_seg.inference.prediction import Prediction, PredictSpec, Region
from napari_seg.jobs import Progress, Steps
from napari_seg.models.file import SUFFIX, file_hash

if TYPE_CHECKING:
    from napari_seg.models.model import Model
    from napari_seg.session.learning import Taught
    from napari_seg.session.pupils import Pupil
    from napari_seg.training.cases import Lesson
    from napari_seg.training.live import Live
    from napari_seg.training.memory import Memory
    from napari_seg.training.retrain import RetrainSpec

KEPT = 3
"""How many predictions keep their scores, so that their thresholds can still be changed."""

SHARE = 0.1
"""Of the free space of a disk, scores take at most this much."""

Order = Mapping[str, Any]
Answer = dict[str, Any]


@dataclass
class Desk:
    """What the engine keeps between orders: the folder, the last model, the last predictions by their order, and the
    model that learns ``live``, by what it learns."""

    folder: Path
    models: dict[tuple[str, int], Model] = field(default_factory=dict)
    hashes: dict[tuple[str, int], str] = field(default_factory=dict)
    predictions: dict[int, Prediction] = field(default_factory=dict)
    live: tuple[str, Live] | None = None

    def model(self, path: str) -> Model:
        from napari_seg.models.model import Model

        key = self._key(path)
        if key not in self.models:
            self.models = {key: Model.load(Path(path))}
        return self.models[key]

    def model_hash(self, path: str) -> str:
        """SHA-256 of the file of a model: names of models are not unique."""
        key = self._key(path)
        if key not in self.hashes:
            self.hashes = {key: file_hash(path)}
        return self.hashes[key]

    def _key(self, path: str) -> tuple[str, int]:
        return path, Path(path).stat().st_mtime_ns if Path(path).exists() else 0

    def keep(self, order: int, prediction: Prediction) -> None:
        self.predictions[order] = prediction
        while len(self.predictions) > KEPT:
            del self.predictions[next(iter(self.predictions))]

    def save(self, array: np.ndarray[Any, Any], order: int) -> str:
        path = self.folder / f"answer-{order}.npy"
        np.save(path, array, allow_pickle=False)
        return str(path)


def volume_from(image: Mapping[str, Any]) -> Volume:
    """The volume that an order describes: an array in a file of the window's folder, or a file to be read lazily."""
    spacing = tuple(image["spacing"]) if image["spacing"] else None
    if "array" not in image:
        volume = read(image["path"], axes=image["axes"])
        refuse_changed(image["marks"], image["name"])
        if (volume.axes, volume.shape) != (image["axes"], tuple(image["shape"])):
            raise SegError(f"{image['name']} has another size in its file than in the window; open it again.")
        return replace(volume, spacing=spacing, unit=image["unit"], name=image["name"])
    source = image["source"]
    return Volume(
        np.load(image["array"], mmap_mode="r", allow_pickle=False),
        image["axes"],
        spacing=spacing,
        unit=image["unit"],
        affine=np.array(image["affine"]) if image["affine"] else None,
        channels=tuple(image["channels"]),
        name=image["name"],
        interval=image.get("interval"),
        source=Source(Path(source["path"]), source["format"], source["series"], source["modality"]) if source else None,
    )


def warm_up(desk: Desk, order: Order) -> Steps[Answer]:
    """Import what takes long, for ``live`` trainings too, and say what the engine will compute on and how fast."""
    from napari_seg.inference.forecast import device_report

    yield from ()
    if order.get("live"):
        importlib.import_module("napari_seg.training.live")
    report = device_report()
    return {"device": report.device, "precision": report.precision, "why": report.why, "pace": report.pace}


def predict(desk: Desk, order: Order) -> Steps[Answer]:
    from napari_seg.inference.predict import predict as prediction_of

    model = desk.model(order["model"])
    region = _region(order["region"])
    settings = PredictSpec.model_validate(order["settings"])
    prediction = yield from prediction_of.steps(model, volume_from(order["image"]), settings, region=region)
    desk.keep(order["id"], prediction)
    return _answer(desk, order, prediction)


def predict_file(desk: Desk, order: Order) -> Steps[Answer]:
    """Read the image of a path and segment all of it; the answer says besides what image it is. No scores are kept.

    ``axes`` are used where the file does not say what its axes are. ``sized``: the fingerprint of an image, and what
    is kept of the size that a person gave its voxels.
    """
    from napari_seg.inference.predict import predict as prediction_of
    from napari_seg.session.fingerprint import identity
    from napari_seg.session.found_again import as_large
    from napari_seg.session.session import twin
    from napari_seg.session.sizes import Size, size_of

    yield Progress(0, 1, "Reading")
    volume = read_answered(Path(order["path"]), order["axes"])
    known_by, voxels = identity(volume)
    image, told = order.get("sized") or ("", "")
    if image in (known_by, twin(known_by, voxels)):
        volume = as_large(volume, size_of(told, Size.of(volume)))
    model, settings = desk.model(order["model"]), PredictSpec.model_validate(order["settings"])
    prediction = yield from prediction_of.steps(model, volume, settings)
    about = {
        "axes": volume.axes,
        "shape": volume.shape,
        "spacing": volume.spacing,
        "unit": volume.unit,
        "name": volume.name,
        "fingerprint": known_by,
        "voxels": voxels,
    }
    return {**_answer(desk, order, prediction), "image": about}


def _answer(desk: Desk, order: Order, prediction: Prediction) -> Answer:
    from napari_seg.inference.expectation import expected_wrong

    labels = np.asarray(prediction.labels.data)
    return {
        "labels": desk.save(labels, order["id"]),
        "axes": prediction.labels.axes,
        "sizes": sizes(labels, prediction),
        "notes": list(prediction.notes),
        "seconds": prediction.seconds,
        "settings": prediction.spec.model_dump(mode="json"),
        "model_hash": desk.model_hash(order["model"]),
        "doubt": expected_wrong(prediction),
    }


def redecode(desk: Desk, order: Order) -> Steps[Answer]:
    """New labels from the scores of an earlier prediction; ``region`` is a box over the spatial axes, or ``None``."""
    from napari_seg.inference.predict import redecode as labels_of

    yield from ()
    prediction = desk.predictions.get(order["prediction"])
    if prediction is None:
        raise SegError("The scores of this prediction are no longer kept; press Segment again.")
    region = _region(order["region"])
    labels = np.asarray(labels_of(prediction, **order["thresholds"], region=region))
    return {"labels": desk.save(labels, order["id"]), "sizes": sizes(labels, prediction), "region": order["region"]}


def keep_scores(desk: Desk, order: Order) -> Steps[Answer]:
    """Write the scores of an earlier prediction of a whole image into a file, for tools that look at them.

    They are a cache: nothing is written where they would take more than a tenth of the free space.
    """
    yield from ()
    prediction, path = desk.predictions.get(order["prediction"]), Path(order["path"])
    if prediction is None or prediction.region is not None:
        path.unlink(missing_ok=True)
        return {}
    path.parent.mkdir(exist_ok=True)
    if prediction.scores.nbytes < SHARE * shutil.disk_usage(path.parent).free:
        with written(path, ".npy") as aside:
            np.save(aside, prediction.scores, allow_pickle=False)
    return {}


def compare_mirrored(desk: Desk, order: Order) -> Steps[Answer]:
    """Predict once more, as the mean over all mirror images, and write into a file how far that differs from the
    ``scores`` of before: ``(time,) *grid`` in 0..1. ``settings`` are those of the prediction before."""
    from napari_seg.editing.suspicion import disagreement
    from napari_seg.inference.predict import predict as prediction_of

    if desk.model_hash(order["model"]) != order["model_hash"]:
        raise SegError("The model is another one than when the mask was made; segment the image again.")
    scores = np.load(order["scores"], mmap_mode="r", allow_pickle=False)
    settings = PredictSpec.model_validate(order["settings"]).model_copy(update={"flips": True})
    mirrored = yield from prediction_of.steps(desk.model(order["model"]), volume_from(order["image"]), settings)
    ndim = mirrored.labels.ndim
    if scores.ndim > ndim + 1:
        apart = np.stack([disagreement(a, b) for a, b in zip(scores, mirrored.scores, strict=True)])
    else:
        apart = disagreement(scores, mirrored.scores)
    with written(Path(order["path"]), ".npy") as aside:
        np.save(aside, apart, allow_pickle=False)
    return {"seconds": mirrored.seconds}


def retrain(desk: Desk, order: Order) -> Steps[Answer]:
    """Train on the lessons of sessions: go on from a model and compare the result with it, or begin from nothing.

    ``model``: its file, empty for none. ``lessons``: of each the folder of the ``session``, the ``image``, the
    ``plane``, and the ``volume`` where the image lies in no file. ``settings``: those of ``RetrainSpec``, or of
    ``TrainSpec`` where there is no model. ``mend``: the sentences of findings that a person ``agreed`` to have mended,
    with the ``task`` and the number of ``classes`` they were found for; or ``None``. The answer has the ``verdict``,
    where there was something to compare.
    """
    from napari_seg.training.plan import TrainSpec
    from napari_seg.training.retrain import retrain as retraining
    from napari_seg.training.train import train as training

    began = time.perf_counter()
    path, resume, who = Path(order["save_to"]), bool(order["resume"]), order["who"]
    verdict = None
    if order["model"]:
        model, memory, lessons, settings = yield from _corrections(desk, order, order["model"])
        hash_ = desk.model_hash(order["model"])
        job = retraining.steps(
            model, lessons, settings, save_to=path, memory=memory, resume=resume, parent=hash_, who=who
        )
        verdict = (yield from job).verdict
    else:
        begun = TrainSpec.from_person({"name": path.name.removesuffix(SUFFIX), **order["settings"]})
        lessons = yield from _mended(_lessons(order), order)
        yield from training.steps(lessons, begun, save_to=path, resume=resume, hold_out=True, who=who)
    seconds = time.perf_counter() - began
    return {"model": str(path), "verdict": verdict and verdict.model_dump(mode="json"), "seconds": seconds}


def compare(desk: Desk, order: Order) -> Steps[Answer]:
    """Compare the model of a training that was stopped with the one it began with: ``old`` and ``new``, with the
    ``lessons`` and ``settings`` of that order. The history of the new one tells the verdict."""
    from napari_seg.training.retrain import judged

    model, memory, lessons, settings = yield from _corrections(desk, order, order["old"])
    verdict = yield from judged.steps(model, order["new"], lessons, settings, memory=memory)
    return {"verdict": verdict.model_dump(mode="json")}


def examine(desk: Desk, order: Order) -> Steps[Answer]:
    """Look at the lessons of sessions before a training: what is wrong with them, and what would be trained, and why.

    ``settings``: those of ``TrainSpec``; without a network the advised one is planned. ``agreed``: the sentences of
    findings that are to be mended. Of each finding the answer says the words of its ``fix`` (empty where only a person
    can mend it) and the images that it would leave out, ``[session, image]``. ``plan`` is empty where something has to
    be mended first.
    """
    import psutil

    from napari_seg.session.looked_over import as_agreed, looked_over
    from napari_seg.training.check import Wanted
    from napari_seg.training.mending import FIXES, left_out
    from napari_seg.training.plan import TrainSpec, plan
    from napari_seg.training.reading import look_at
    from napari_seg.training.reasons import advice, reasons

    settings, agreed = TrainSpec.from_person(order["settings"]), {*order["agreed"]}
    cases, found = yield from looked_over(_lessons(order), Wanted(settings.task, len(settings.classes)))
    keys = {case.name: [str(case.lesson.folder), case.lesson.image.id] for case in cases}
    findings = [
        {
            "sentence": one.sentence,
            "stops": one.stops,
            "fix": FIXES[one.fix].label if one.fix else "",
            "left_out": [keys[name] for name in left_out(one)],
        }
        for one in found
    ]
    answer: Answer = {"findings": findings, "plan": [], "advice": None}
    lessons = as_agreed(cases, found, agreed)
    if lessons and not any(one.stops and one.sentence not in agreed for one in found):
        facts = yield from look_at(lessons, settings, total=len(lessons))
        advised = advice(facts, psutil.virtual_memory().available)
        taken = settings.network if "network" in settings.model_fields_set else advised.chosen
        model = plan(facts, settings.model_copy(update={"network": taken}))
        answer["plan"] = [list(reason) for reason in reasons(facts, settings, model)]
        answer["advice"] = list(advised)
    return answer


def measure(desk: Desk, order: Order) -> Steps[Answer]:
    """Segment the image of a ``case`` and measure its mask against its labels."""
    from napari_seg.training.cases import Case
    from napari_seg.training.measuring import measure_case

    told = order["case"]
    case = Case(told["name"], Path(told["image"]), Path(told["labels"]), told["group"], axes=told["axes"])
    settings = PredictSpec.model_validate(order["settings"])
    found = yield from measure_case(desk.model(order["model"]), case, settings, surfaces=order["surfaces"])
    return {"measured": found.model_dump(mode="json")}


def mark_test(desk: Desk, order: Order) -> Steps[Answer]:
    """Mark the ``images`` of these files as test set; ``axes`` are those of files that leave them open. ``new``: how
    many were not yet."""
    from napari_seg.training.test_set import add

    new = yield from add.steps([Path(path) for path in order["images"]], axes=order["axes"])
    return {"new": len(new)}


def live(desk: Desk, order: Order) -> Steps[Answer]:
    """Learn for some seconds from the one of ``lessons``, and predict the ``region`` of its image anew.

    The network stays in memory until another model or mask is learned from. ``settings``: those of ``LiveSpec``.
    """
    from napari_seg.inference.predict import predict as prediction_of
    from napari_seg.training.live import Live, LiveSpec
    from napari_seg.training.sample import samples
    from napari_seg.training.test_set import refuse

    began = time.perf_counter()
    model, memory, learning = _taught(desk, order, order["model"])
    lesson = learning.lessons[0]
    (named,) = order["lessons"]
    what = json.dumps([desk.model_hash(order["model"]), {**named, "volume": ""}, order["settings"]])
    if desk.live is None or desk.live[0] != what:
        yield from refuse([lesson])
        desk.live = what, Live(model, LiveSpec.from_person(order["settings"]), memory)
    learner = desk.live[1]
    image, labels, mask = lesson.load()
    channel, named = learning.channel, {"name": lesson.name, "group": lesson.group}
    found = list(samples(image, labels, model.spec, mask=mask, channel=channel, **named))
    if not found:
        raise SegError("Nothing counts in this image yet; paint, correct or accept something.")
    steps = yield from learner.learn(found)
    device, precision = learner.spec.device, learner.spec.precision
    settings = PredictSpec(device=device, precision=precision, diameter=learner.diameter, channel=channel)
    region = _region(order["region"])
    prediction = yield from prediction_of.steps(learner.model, image, settings, region=region)
    learner.diameter = prediction.spec.diameter
    return {
        "labels": desk.save(np.asarray(prediction.labels.data), order["id"]),
        "region": order["region"],
        "steps": steps,
        "seconds": time.perf_counter() - began,
        "settings": prediction.spec.model_dump(mode="json"),
        "model_hash": desk.model_hash(order["model"]),
    }


def _taught(desk: Desk, order: Order, path: str) -> tuple[Model, Memory | None, Pupil]:
    """A model, the samples beside its file, and what it can learn from the lessons of an order."""
    from napari_seg.models.zoo import samples_of
    from napari_seg.session.pupils import pupil
    from napari_seg.training.memory import load

    model, samples = desk.model(path), samples_of(path)
    return model, load(samples) if samples else None, pupil(model.spec, desk.model_hash(path), _lessons(order))


def _corrections(
    desk: Desk, order: Order, path: str
) -> Steps[tuple[Model, Memory | None, Sequence[Lesson], RetrainSpec]]:
    """A model, the samples beside its file, and the lessons and settings of an order to retrain it."""
    from napari_seg.training.retrain import RetrainSpec

    model, memory, learning = _taught(desk, order, path)
    lessons = yield from _mended(learning.lessons, order)
    known = {"channel": learning.channel, "new_classes": learning.new_classes}
    return model, memory, lessons, RetrainSpec.from_person({**known, **order["settings"]})


def _lessons(order: Order) -> list[Taught]:
    """The lessons that an order names, session by session."""
    from napari_seg.session.learning import lessons

    folders: dict[str, list[Mapping[str, Any]]] = {}
    for one in order["lessons"]:
        folders.setdefault(one["session"], []).append(one)
    found: list[Taught] = []
    for folder, named in folders.items():
        volumes = {one["image"]: volume_from(one["volume"]) for one in named if one["volume"]}
        found += lessons(Path(folder), {one["image"]: one["plane"] for one in named}, volumes)
    return found


def _mended(taught: Sequence[Taught], order: Order) -> Steps[Sequence[Lesson]]:
    """The lessons, mended as a person agreed to."""
    from napari_seg.session.looked_over import as_agreed, looked_over
    from napari_seg.training.check import Wanted

    mend = order.get("mend")
    if not mend:
        return taught
    cases, found = yield from looked_over(taught, Wanted(mend["task"], mend["classes"]))
    return as_agreed(cases, found, mend["agreed"])


def _region(box: Mapping[str, Any] | None) -> Region | None:
    return Region(tuple(box["start"]), tuple(box["stop"]), box["time"]) if box else None


def sizes(labels: np.ndarray[Any, Any], prediction: Prediction) -> list[list[int]]:
    """``[label, voxels]`` of every label but 0; of objects over time, whose numbers begin anew, at each time point."""
    import fastremap

    anew = prediction.model.task.kind == "instance" and "T" in prediction.labels.axes
    found = (fastremap.unique(frame, return_counts=True) for frame in (labels if anew else labels[None]))
    return [[int(v), int(n)] for frame in found for v, n in zip(*frame, strict=True) if v != 0]


VERBS: dict[str, Callable[[Desk, Order], Steps[Answer]]] = {
    "warm_up": warm_up,
    "predict": predict,
    "predict_file": predict_file,
    "redecode": redecode,
    "keep_scores": keep_scores,
    "compare_mirrored": compare_mirrored,
    "retrain": retrain,
    "compare": compare,
    "examine": examine,
    "measure": measure,
    "mark_test": mark_test,
    "live": live,
}


class Inbox:
    """Orders as they come in, read by a thread of its own so that a cancel is seen while an order is carried out."""

    def __init__(self, lines: IO[str], folder: Path) -> None:
        self.orders: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self.cancelled: set[int] = set()
        self._lines = lines
        self._folder = folder
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        for line in self._lines:
            order = json.loads(line)
            if order["verb"] == "cancel":
                self.cancelled.add(order["id"])
            else:
                self.orders.put(order)
        shutil.rmtree(self._folder, ignore_errors=True)
        os._exit(0)  # the window is gone: no clean-up of torch or of an order can matter any more


class Outbox:
    """Answers as they go out, one line of JSON each."""

    def __init__(self, lines: IO[str]) -> None:
        self._lines = lines

    def send(self, order: int, what: str, **content: Any) -> None:
        self._lines.write(json.dumps({"id": order, "what": what, **content}) + "\n")
        self._lines.flush()


def serve(inbox: Inbox, outbox: Outbox, desk: Desk) -> None:
    """Carry out orders, one after the other, until the process ends."""
    while True:
        order = inbox.orders.get()
        number = order["id"]
        try:
            answer = _carry_out(order, inbox, outbox, desk)
        except MemoryError:
            outbox.send(number, "starved")
        except Exception as error:  # noqa: BLE001  the window shows a bug whole, as what it is
            told = plain(error)
            whole = traceback.format_exc() if told is None else ""
            outbox.send(number, "failed", sentence=str(told or as_bug(error)), traceback=whole)
        else:
            outbox.send(number, "cancelled") if answer is None else outbox.send(number, "finished", answer=answer)


def _carry_out(order: dict[str, Any], inbox: Inbox, outbox: Outbox, desk: Desk) -> Answer | None:
    """The answer to an order, or ``None`` where it was cancelled."""
    steps = VERBS[order["verb"]](desk, order)
    try:
        while order["id"] not in inbox.cancelled:
            told = next(steps)
            content = {"done": told.done, "total": told.total, "message": told.message, "detail": dict(told.detail)}
            outbox.send(order["id"], "progress", **content)
    except StopIteration as stop:
        answer: Answer = stop.value
        return answer
    finally:
        steps.close()
    return None


def main() -> None:
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints must not come between the answers
    if hasattr(os, "nice"):
        os.nice(int(sys.argv[2]) if len(sys.argv) > 2 else 5)  # the window comes first
    folder = Path(sys.argv[1])
    serve(Inbox(sys.stdin, folder), Outbox(answers), Desk(folder))


if __name__ == "__main__":
    main()
