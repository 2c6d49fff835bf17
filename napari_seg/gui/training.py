"""One training after the other: from pressing Retrain to the decision for one of two models.

No Qt here. It has an engine of its own, so that images can be segmented while it trains, and the person paints on. What
was painted is on the disk before it begins; the training reads it there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from psygnal import Signal

from napari_seg.errors import SegError
from napari_seg.gui.classes import Classes
from napari_seg.gui.engine import Cancelled, Died, Engine, Failed, Finished, Message, Progressed
from napari_seg.gui.examining import Examining
from napari_seg.gui.lessons import Lessons, Material
from napari_seg.gui.recorder import Recorder
from napari_seg.gui.shelf_words import interrupted_of, outlook_of, shelf_of, titles_of
from napari_seg.gui.state import Cure, Failure, Finding, Running
from napari_seg.gui.teaching_words import (
    curve_with,
    findings_of,
    first_words,
    headline_of,
    is_rough,
    left_out,
    name_of_new,
    progress_words,
    reasons_of,
    start_words,
    wants_time,
)
from napari_seg.gui.training_state import NEW, Beginning, Curve, Improving, Judgement, Teaching
from napari_seg.gui.words import duration
from napari_seg.jobs import Progress, TimeLeft
from napari_seg.models import shelf
from napari_seg.models.spec import ModelSpec
from napari_seg.session.heard import words_of
from napari_seg.spec import Spec

PATIENCE = 1.5
"""Seconds that a training gets to put its best model into its file when it is stopped."""

NICENESS = 12
"""A training has minutes: the hand that paints, and a mask that somebody waits for, come first."""

_TOO_EARLY = "It was stopped before there was a first result, so nothing was made. Start it again when you like."
_NO_BETTER = (
    "When it was stopped it was not better than the model it began with, so nothing was made. Let it learn longer."
)


@dataclass(eq=False)
class Run:
    """A training under way. ``record``: what it takes to go on with it; ``resume``: it was begun before. ``asked``: a
    person has stopped it."""

    path: Path
    record: dict[str, Any]
    resume: bool = False
    order: int = 0
    verb: str = ""
    asked: bool = False
    curve: Curve = field(default_factory=Curve)
    time_left: TimeLeft = field(default_factory=TimeLeft)
    seconds: float = 0.0


@dataclass(eq=False)
class Result:
    """A model that was made. ``start``: the one that it was made from; ``None`` where it was begun from nothing.
    ``objects``: it finds these; else classes."""

    path: Path
    start: Path | None
    judgement: Judgement | None
    curve: Curve
    words: str
    objects: bool
    taken: Literal["", "new", "old"] = ""


class Training:
    """One for each window."""

    changed = Signal(Teaching)

    def __init__(
        self,
        engine: Engine,
        recorder: Recorder,
        lessons: Lessons,
        classes: Classes,
        models: Callable[[], Mapping[Path, ModelSpec]],
        choose: Callable[[Path], None],
        adopt: Callable[[Path, Path | None], None],
        computing: Callable[[], Mapping[str, Any]],
    ) -> None:
        """``models``: those that are known, by their files. ``choose`` makes one the model of the window,
        ``adopt`` that of all pages, instead of the one that it was made from. ``computing``: the settings of device
        and precision."""
        self._engine, self._recorder, self._lessons, self._classes = engine, recorder, lessons, classes
        self._models, self._choose, self._adopt, self._computing = models, choose, adopt, computing
        self.state = Teaching()
        self.minutes = 5.0
        self.run: Run | None = None
        self.result: Result | None = None
        self._wanted: str | None = None  # the model that a person chose to begin with
        self._proposed: str | None = None
        self._chosen: Path | None = None
        self._improving, self._beginning = Improving(), Beginning()
        self._set: set[str] = set()  # the choices that a person has made
        self._stopped_words = ""  # what became of a run that a person has stopped, where nothing was made
        self._trouble = ""  # why the last one cannot be, or what could not be noted of a model
        self._running: Running | None = None
        self._failure: Failure | None = None
        self._stale = True
        self._examining = Examining(engine)
        self._examining.changed.connect(self.refresh)
        self._kept = shelf.kept()
        self._orders = shelf.orders()
        engine.said.connect(self._hear)
        lessons.changed.connect(self.refresh)
        recorder.changed.connect(self.refresh)

    # what a person wants

    def begin_with(self, key: str) -> None:
        """The model to improve by its file, or ``NEW`` for one from nothing."""
        self._wanted = key
        self.refresh()

    def propose(self, path: Path | None, chosen: Path | None) -> None:
        """The model that made the mask in hand, or the one that is chosen for it: the one to improve. ``chosen``: the
        model of the window."""
        if chosen != self._chosen:
            self._chosen = chosen
            self.refresh()
        key = NEW if path is None else str(path)
        if key != self._proposed:
            self._proposed, self._wanted = key, None
            self.refresh()

    def set_minutes(self, minutes: float) -> None:
        self.minutes = minutes
        self.refresh()

    def set_choice(self, name: str, value: object) -> None:
        """One of the settings that are folded away."""
        chosen: Spec = self._beginning if self.state.start == NEW else self._improving
        try:
            changed = type(chosen).from_person({**chosen.model_dump(), name: value})
        except SegError as error:
            self._trouble = str(error)
        else:
            self._trouble = ""
            self._set.add(name)
            if isinstance(changed, Beginning):
                self._beginning = changed
            elif isinstance(changed, Improving):
                self._improving = changed
        self.refresh()

    def mend(self, cure: Cure) -> None:
        """Mend what was found on the way into the training, or leave it as it is after all."""
        self._examining.toggle(cure.value)

    def start(self) -> None:
        """Train; nothing happens where the page does not allow it."""
        self.resolve()
        if not self.state.can_start:
            return
        key = self.state.start
        name = self._spec(Path(key)).name if key != NEW else name_of_new(self._names())
        try:
            path = shelf.free_path(shelf.name_of(Path(key)) if key != NEW else name)
            if not shelf.claim(path):
                raise SegError(f"{path.name} is being trained by another program; try again.")
        except SegError as error:
            self._fail(Failure(str(error)))
            return
        record = {
            "model": key,
            "settings": self._settings(key, name),
            "lessons": [one.order() for one in self._lessons.material()],
            "mend": self._examining.mend,
            "words": self.state.lesson_words,
            "objects": sum(one.heard.corrected for one in self._material()),
            "counts": "objects" if all(one.heard.plane.objects for one in self._material()) else "slices",
            "began": time.time(),
            "minutes": self.minutes,
        }
        self._set_out(Run(path, record))

    def go_on(self) -> None:
        """Go on with the training that was interrupted."""
        path = None if self.run is not None else self._claimed()
        if path is not None:
            self._set_out(Run(path, self._orders[path], resume=shelf.state_of(path).exists()))

    def give_up(self) -> None:
        """Throw the training away that was interrupted."""
        path = self._claimed()
        if path is not None:
            shelf.throw_away(path)
            self._look_at_shelf()

    def _claimed(self) -> Path | None:
        """The interrupted training that is shown, where it still is one; no other window can take it now."""
        shown = self.state.interrupted
        self._look_at_shelf()
        try:
            return shown.path if shown and shown.path in self._orders and shelf.claim(shown.path) else None
        except SegError as error:
            self._fail(Failure(str(error)))
            return None

    def stop(self) -> None:
        """Stop the training and keep the best that it has found so far."""
        run = self.run
        if run is not None and not run.order:
            self._not_begun()
            self.resolve()
        elif run is not None and not run.asked:
            run.asked = True
            self._running = Running(self._running.fraction if self._running else 0.0, "Stopping")
            self._engine.cancel(run.order)
            self.resolve()

    def use_new(self) -> None:
        if self.result is not None:
            self._take("new")
            self._adopt(self.result.path, self.result.start)

    def keep_old(self) -> None:
        if self.result is not None:
            self._take("old")
            if self.result.start is not None:
                self._choose(self.result.start)

    def use(self, path: Path) -> None:
        """Go back to a model of the shelf, or to one that came with the program."""
        self._adopt(path, self._chosen)
        if self.result is not None and path in (self.result.path, self.result.start):
            self.result.taken = "new" if path == self.result.path else "old"
        self._note(path, taken="new")
        self._wanted = None
        self.refresh()

    def once_more(self) -> None:
        """Leave the last result: what comes next is another training. A model from nothing is taught more itself."""
        if self.result is not None and self.result.start is None and not self.result.taken:
            self.use_new()
        self.result, self._failure, self._stopped_words = None, None, ""
        self.refresh()

    # what comes of it

    def refresh(self, event: Any = None) -> None:
        self._stale = True

    def tick(self) -> None:
        self._engine.poll()
        self._lessons.tick()
        self._examining.tick(self._lessons.with_volumes)
        self._see_that_it_is_kept()
        if self._stale and (self._lessons.watched or self.run is not None):
            self.resolve()

    def close(self) -> None:
        if self.run is not None and self._running is not None and self.run.verb == "retrain":
            self._note_order(self.run, fraction=self._running.fraction)
        self._engine.close()
        if self.run is not None:
            shelf.let_go(self.run.path)
            self.run = None

    def resolve(self) -> None:
        """Make the state of the page anew and tell whoever listens."""
        self._stale = False
        models, plane, material = self._models(), self._lessons.plane, self._material()
        start = self._start(models)
        track = self._lessons.track
        names = self._names() if track is not None or plane is None else plane.classes
        spec = models.get(Path(start)) if start != NEW else None
        heard = [one.heard for one in material]
        if spec is not None and spec.task.planes:
            heard += self._lessons.beside(material, spec.task.planes)
        findings = () if plane is None else findings_of(spec, plane.objects, names, heard, track)
        findings = (*findings, *left_out(self._lessons.named_otherwise(), names))
        examined = self._examining.findings
        if not any(finding.level == "refusal" for finding in findings):
            findings = (*findings, *examined)
        if self._stopped_words:
            findings = (*findings, Finding("note", self._stopped_words))
        if self._trouble:
            findings = (Finding("warning", self._trouble), *findings)
        if plane is not None:
            self._follow(plane.objects, 2 if track is None else len(track.row.grid))
        titles = titles_of(models, self._kept)
        state = Teaching(
            phase="empty" if plane is None else "ready",
            starts=(
                *titles,
                (NEW, "A new model, from my labels"),
            ),
            start=start,
            start_words="" if plane is None else start_words(spec, dict(titles).get(start, ""), names),
            lesson_words=words_of(heard),
            findings=findings,
            minutes=self.minutes,
            choices=self._beginning if start == NEW else self._improving,
            reasons=(self._examining.reasons or reasons_of(self._beginning)) if start == NEW else (),
            interrupted=interrupted_of(self._orders),
            shelf=shelf_of(self._kept, dict(titles), str(self._chosen or "")),
            images=tuple(one.heard.name for one in material),
        )
        state = self._with_what_goes_on(state)
        self._examine(state, self._lessons.material())
        if self._examining.findings != examined:  # those were about something else
            self._stale = True
        if state != self.state:
            self.state = state
            self.changed.emit(state)

    def _material(self) -> list[Material]:
        """What is learned from, without the images that a person agreed to leave out."""
        gone = self._examining.left_out
        return [one for one in self._lessons.material() if (one.folder, one.heard.image) not in gone]

    def _examine(self, state: Teaching, material: list[Material]) -> None:
        """Let the engine look at what there is to learn from, while nothing else is done with it."""
        if self.run is None and state.phase in ("ready", "failed") and material:
            key = state.start
            known = {"task": self._beginning.task, "classes": self._kinds(material[0].heard.plane.classes)}
            settings = {**known, **self._settings(NEW, "model"), "minutes": 1.0} if key == NEW else known
            if "network" not in self._set:
                settings.pop("network", None)  # what nobody has chosen is advised
            self._examining.want([one.order() for one in material], settings, [one.heard for one in material])
        else:
            self._examining.want([], {}, [])

    def _with_what_goes_on(self, state: Teaching) -> Teaching:
        if self.run is not None:
            words = self._running or Running(0.0, "Keeping what you painted")
            begun = self.run.record["model"] == NEW
            return replace(
                state,
                phase="running",
                running=words,
                stopping=self.run.asked,
                curve=self.run.curve,
                lesson_words=self.run.record["words"],
                from_nothing=begun,
            )
        if self._failure is not None:
            return replace(state, phase="failed", failure=self._failure)
        if self.result is not None:
            result = self.result
            return replace(
                state,
                phase="judged",
                headline=headline_of(result.judgement, result.start is None, result.curve, result.objects),
                judgement=result.judgement,
                made=shelf.name_of(result.path),
                from_nothing=result.start is None,
                first_words=first_words(shelf.name_of(result.path), result.curve, result.objects),
                rough=result.start is None and is_rough(result.curve, result.objects),
                wants_time=wants_time(result.curve),
                curve=result.curve,
                taken=result.taken,
                trouble=self._trouble,
                can_flick=result.start is not None and self._lessons.track is not None,
                again=bool(result.taken) and self._lessons.track is not None,
                outlook=outlook_of(result.path, self._kept),
            )
        return state

    def _start(self, models: Mapping[Path, ModelSpec]) -> str:
        for key in (self._wanted, self._proposed):
            if key == NEW or (key is not None and Path(key) in models):
                return key
        return NEW

    def _follow(self, objects: bool, ndim: int) -> None:
        """What a person has not chosen follows the mask in hand."""
        found = {"task": "instance" if objects else "semantic", "ndim": ndim, **self._examining.chosen}
        changes = {name: value for name, value in found.items() if name not in self._set}
        self._beginning = self._beginning.model_copy(update=changes)

    def _settings(self, key: str, name: str) -> dict[str, Any]:
        """What the engine is told; what nobody has set it chooses itself."""
        names = self._names()
        told: dict[str, Any] = {"minutes": self.minutes, **self._computing()}
        if key == NEW:
            chosen: Spec = self._beginning
            told |= {"name": name, "task": self._beginning.task, "network": self._beginning.network}
            told |= {"classes": self._kinds(names)} if names else {}
        else:
            chosen = self._improving
            new = names[len(self._spec(Path(key)).task.names) :]
            told |= {"new_classes": list(new)} if new else {}
        own = type(chosen).model_fields
        return told | {
            name: value for name, value in chosen.model_dump(mode="json").items() if name in self._set & {*own}
        }

    def _names(self) -> tuple[str, ...]:
        """The classes of the mask in hand."""
        return () if self._lessons.track is None else self._classes.all_names(self._lessons.track)

    def _kinds(self, names: Sequence[str]) -> list[str]:
        """The names of what a first model learns: objects are all of one kind."""
        return list(names if self._beginning.task == "semantic" else names[:1])

    def _spec(self, path: Path) -> ModelSpec:
        return self._models()[path]

    # what is done

    def _set_out(self, run: Run) -> None:
        """Begin when all that was painted is on the disk."""
        self._examining.want([], {}, [])
        self.run, self.result, self._failure, self._stopped_words = run, None, None, ""
        self._running = Running(0.0, "Keeping what you painted")
        self._orders.pop(run.path, None)
        self.resolve()
        self._recorder.sweep(partial(self._swept, run), partial(self._not_kept, run))

    def _swept(self, run: Run) -> None:
        tracks = {track.session.folder: track for track in self._recorder.tracks()}
        left = [len(tracks)]

        def kept(_: object) -> None:
            left[0] -= 1
            if left[0] <= 0:
                self._order(run)

        for track in tracks.values():
            self._recorder.ask(track, lambda store: None, kept, partial(self._not_kept, run))
        if not tracks:
            self._order(run)

    def _see_that_it_is_kept(self) -> None:
        """A disk that takes nothing may do so for ever: the training does not wait for it."""
        run = self.run
        if run is not None and not run.order:
            states = [track.session.writer.kept for track in self._recorder.tracks()]
            trouble = next((state.trouble for state in states if state.waiting and state.trouble), "")
            if trouble:
                self._not_kept(run, trouble)

    def _not_kept(self, run: Run, why: str) -> None:
        """What was painted cannot be kept, so that nothing can be learned from it."""
        if self.run is run:
            self._not_begun(Failure(why))

    def _not_begun(self, failure: Failure | None = None) -> None:
        """The run ends before it was ordered."""
        if self.run is not None and not self.run.resume:
            shelf.end_order(self.run.path)
        self._failure = failure
        self._over()

    def _order(self, run: Run) -> None:
        if self.run is not run:
            return
        try:
            shelf.put_order(run.path, run.record)
        except SegError as error:
            self._not_begun(Failure(str(error)))
            return
        run.verb = "retrain"
        run.order = self._engine.order(
            "retrain",
            model=run.record["model"],
            lessons=self._lessons.with_volumes(run.record["lessons"]),
            settings=run.record["settings"],
            mend=run.record.get("mend"),
            save_to=str(run.path),
            resume=run.resume,
            who=self._recorder.who,
        )
        self._running = Running(0.0, "Starting")
        self.refresh()

    def _compare(self, run: Run) -> None:
        """A training was stopped: its best model is compared with the old one."""
        run.verb, run.asked, run.time_left = "compare", False, TimeLeft()
        self._running = Running(0.0, "Comparing with the old model")
        run.order = self._engine.order(
            "compare",
            old=run.record["model"],
            new=str(run.path),
            lessons=self._lessons.with_volumes(run.record["lessons"]),
            settings=run.record["settings"],
            mend=run.record.get("mend"),
        )

    def _hear(self, message: Message) -> None:
        run = self.run
        if run is None or message.order != run.order:
            return
        match message:
            case Progressed(progress=progress):
                self._progressed(run, progress)
            case Finished(answer=answer):
                run.seconds = answer.get("seconds", 0.0)
                self._made(run, Judgement.of(answer.get("verdict")))
            case Cancelled():
                self._stopped(run)
            case Died() if run.verb == "compare":
                self._made(run, None)
            case Died(reason=reason):
                cure = "What it has learned so far is kept; close other programs and go on."
                self._fail(Failure(f"The training ended before its time ({reason}). {cure}"))
            case Failed(sentence=sentence, traceback=traceback):
                if run.verb == "compare":
                    self._made(run, None)
                else:
                    if not shelf.state_of(run.path).exists() and shelf.left_behind(run.path):
                        shelf.end_order(run.path)
                    self._fail(Failure(sentence, traceback))
        self.refresh()

    def _progressed(self, run: Run, progress: Progress) -> None:
        run.curve = curve_with(run.curve, progress)
        words, left = progress_words(progress, run.verb), run.time_left(progress)
        told = "Stopping" if run.asked else words if left is None else f"{words}, {duration(left)} left"
        self._running = Running(progress.fraction, told)

    def _stopped(self, run: Run) -> None:
        if run.verb == "compare":
            self._made(run, None)
        elif not shelf.left_behind(run.path):
            self._stopped_words = _NO_BETTER if run.curve.scores else _TOO_EARLY
            self._over()
        elif run.record["model"] == NEW:
            self._made(run, None)
        else:
            self._compare(run)

    def _made(self, run: Run, judgement: Judgement | None) -> None:
        """There is a new model."""
        shelf.end_order(run.path)
        start = None if run.record["model"] == NEW else Path(run.record["model"])
        objects = run.record["settings"].get("task") == "instance"
        self.result = Result(run.path, start, judgement, run.curve, run.record["words"], objects)
        told: dict[str, Any] = {name: run.record[name] for name in ("model", "words", "objects", "began")}
        told["counts"] = run.record.get("counts", "objects")
        if judgement is not None:
            told["decision"] = judgement.decision
            told["scores"] = [[unit.old, unit.new] for unit in judgement.corrections]
        self._note(run.path, **told)
        self._over()

    def _take(self, which: Literal["new", "old"]) -> None:
        assert self.result is not None
        self.result.taken = which
        self._note(self.result.path, taken=which)

    def _note(self, path: Path, **known: Any) -> None:
        try:
            if path.parent == shelf.shelf():
                shelf.put_note(path, **known)
            self._trouble = ""
        except SegError as error:
            self._trouble = str(error)
        self._look_at_shelf()

    def _note_order(self, run: Run, **known: Any) -> None:
        try:
            shelf.put_order(run.path, {**run.record, **known})
        except SegError:
            return  # what was noted when it began is enough to go on

    def _fail(self, failure: Failure) -> None:
        self._failure = failure
        self._over()

    def _over(self) -> None:
        if self.run is not None:
            shelf.let_go(self.run.path)
        self.run, self._running = None, None
        self._look_at_shelf()

    def _look_at_shelf(self) -> None:
        self._kept, self._orders = shelf.kept(), shelf.orders()
        self.refresh()
