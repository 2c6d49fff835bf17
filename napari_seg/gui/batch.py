"""What the page of a project does, without a widget: it can be driven by a test with a ``ViewerModel`` and by a script.

1. A folder or a project is chosen, or the images that are open are saved as one:
   :class:`~napari_seg.gui.project.Project` lists the images and opens the session that keeps them. The first image
   tells which model suits, and whether something has to be asked.
2. *Segment* hands the images without a mask to :class:`~napari_seg.gui.series.Series`; each mask goes into the session.
3. :class:`~napari_seg.gui.case_view.CaseView` shows a case with what is kept of it, and a person says what they think
   of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from napari.layers import Image
from psygnal import Signal

from napari_seg.data.formats import read_answered
from napari_seg.data.volume import Volume
from napari_seg.editing.annotation import Entry, State
from napari_seg.errors import SegError
from napari_seg.gui.arrivals import files_of, is_only_shown, is_volume, volume_as_kept
from napari_seg.gui.case_view import CaseView
from napari_seg.gui.engine import Engine
from napari_seg.gui.folder_sample import Sample, Used, sample_of, used_before
from napari_seg.gui.folder_state import CaseRow, Folder, next_case, row_of, summary_of, worst_first
from napari_seg.gui.known_models import KnownModels
from napari_seg.gui.outgoing import MASKS, Outgoing
from napari_seg.gui.project import Project
from napari_seg.gui.proposal import doubt_of
from napari_seg.gui.recorder import Recorder
from napari_seg.gui.series import How, Series
from napari_seg.gui.state import Finding, Question
from napari_seg.gui.words import describe_model, finds, shortened
from napari_seg.inference.prediction import PredictSpec
from napari_seg.models.file import read_spec
from napari_seg.models.spec import ModelSpec
from napari_seg.session.projects import drop, recent


class Batch:
    """One for each window. ``settings``: what a person set for the device."""

    changed = Signal(Folder)

    leaving = Signal()
    """Another project follows, or the end: what is being typed is to be kept now."""

    def __init__(self, viewer: Any, engine: Engine, recorder: Recorder, models: KnownModels) -> None:
        self._viewer, self._engine, self._recorder = viewer, engine, recorder
        self.state = Folder()
        self.settings = PredictSpec()
        self.project = Project(engine, recorder)
        self.series = Series(engine, self.project)
        self.outgoing = Outgoing(engine, recorder, self.project)
        self.view = CaseView(viewer, engine, recorder, self.project)
        self._models = models
        self._model: Path | None = next(iter(models.names), None)
        self._adopted: Path | None = None  # what the person decided for last after a training
        self._by_hand = False  # a person chose the model, or the channel
        self._chosen = False  # a person chose the model here
        self._axes: str | None = None
        self._channel = ""
        self._sample = Sample()
        self._looking = False
        self._trouble = ""
        self._recent = tuple(recent())
        self._stale = True
        self._worked = False
        self._uncounted = False  # the masks of the open case changed since they were counted
        for part in (self.project, self.series, self.outgoing, self.view, models):
            part.changed.connect(self.refresh)
        self.project.listed_anew.connect(self._look)
        self.project.listed_anew.connect(self.view.adopt)
        self.project.writable.connect(self.view.open_anew)
        viewer.layers.events.inserted.connect(self.refresh)
        viewer.layers.events.removed.connect(self.refresh)
        self.project.kept.connect(self.view.look_again)
        recorder.changed.connect(self._recorded)

    # what a person wants

    def choose_folder(self, folder: Path) -> None:
        """Work on the images of a folder, or on the project that it is; the case that is open is closed, a run is
        stopped."""
        if not folder.is_dir():
            drop(folder)
            self._recent = tuple(recent())
            self._trouble = (
                f"The project {folder.name} is no longer in {folder.parent}; open it from where it lies now."
            )
            self.refresh()
            return
        self.leaving.emit()
        self._begin()
        self.view.close()
        self.project.choose(folder)
        self.refresh()

    def save_as(self, name: str, parent: Path, images: Sequence[Volume], then: Callable[[str], None]) -> None:
        """Make a project of images that are open; ``then`` hears why that is not possible, or nothing."""
        self.leaving.emit()

        def made(why: str) -> None:
            if not why:
                self._begin()
                self.view.let_go()
            then(why)
            self.refresh()

        self.project.save_as(name, parent, list(images), made)

    def add_open(self) -> None:
        """Add the images that are open and not in the project yet."""
        self.project.add([image for image, known in self.open_images() if not known])

    def add_files(self, paths: Sequence[Path]) -> None:
        axes = self._axes
        self.project.add_files(list(paths), lambda path: read_answered(path, axes))

    def tell(self, why: str) -> None:
        """Say why something that was asked for cannot be."""
        self._trouble = why
        self.refresh()

    def find(self, folder: Path) -> None:
        """Look for the missing images in a folder and all that is in it."""
        self.project.find([folder], self._axes)

    def open_images(self) -> list[tuple[Volume, bool]]:
        """The images that the viewer shows, each once, and whether the project knows them."""
        found: dict[object, tuple[Volume, bool]] = {}
        for layer in self._viewer.layers:
            if isinstance(layer, Image) and not is_only_shown(layer) and is_volume(layer):
                volume = volume_as_kept(layer)
                key = id(volume.data) if volume.source is None else (volume.source.path, volume.source.series)
                known = volume.source is not None and self.project.listed_as(volume.source.path) in self.project.cases
                tracks = [track for track in self._recorder.tracks() if track.image is layer]
                known |= any(track.session is self.project.session for track in tracks)
                first, already = found.get(key, (volume, False))
                found[key] = first, known or already
        return list(found.values())

    def image_files(self) -> list[Path]:
        """The files of all images that are open, or of which a mask is, or that are in the project."""
        of_masks = [track.image for track in self._recorder.tracks() if track.image is not None]
        return [*files_of([*self._viewer.layers, *of_masks]), *self.project.files]

    def _begin(self) -> None:
        """What was true of the images before is not of others."""
        self.series.cancel()
        self._by_hand, self._chosen = False, False
        self._axes, self._channel, self._sample, self._trouble = None, "", Sample(), ""

    def choose_model(self, path: Path) -> None:
        """Choose a model by its file, shipped or not."""
        try:
            self._models.add(path, read_spec(path))
        except SegError as error:
            self._trouble = str(error)
        else:
            self._use(path)
            self._chosen = True
        self.refresh()

    def adopt_model(self, path: Path, instead_of: Path | None) -> None:
        """A person decided for a model of the list, ``instead_of`` the one that it was made from: it is that of the
        images too, unless they chose another for these."""
        self._adopted = path
        if not self._chosen or self._model == instead_of:
            self._use(path)
            if self.project.session is not None:
                self.project.tell_model(path)

    def _use(self, path: Path) -> None:
        self._model, self._by_hand, self._trouble = path, True, ""
        self._look()
        self.refresh()

    def choose_channel(self, channel: str) -> None:
        self._channel, self._by_hand = channel, True
        self.refresh()

    def answer(self, axes: str) -> None:
        """What the axes of the images are whose files do not say so."""
        self._axes = axes
        self._look()
        self.refresh()

    def segment(self) -> None:
        """Segment the images without a mask, or else those that failed; nothing happens where the page does not allow
        it."""
        self.resolve()
        if self._model is not None and self.state.can_run:
            paths = self._due() or self._failed()
            for path in paths:
                self.project.forget_failure(path)
            settings = self.settings.model_copy(update={"channel": self._wanted_channel})
            self.project.tell_model(self._model)
            self.series.start(paths, How(self._model, self._models.spec(self._model), settings, self._axes))
            self.resolve()

    def cancel(self) -> None:
        self.series.cancel()
        self.outgoing.cancel()

    def save(self, folder: Path) -> None:
        """Write all masks into a folder; :meth:`replaced` says how many files that takes the place of."""
        cases, missing, titles = self.project.cases, self.project.missing, self.project.titles
        left_out = [path for path in missing if path in cases and cases[path].state != "new"]
        self.outgoing.start(self._masks(), folder, [f"{titles[path]}: {missing[path]}" for path in left_out])

    def replaced(self, folder: Path) -> int:
        return self.outgoing.replaced(self._masks(), folder)

    def proposed_folder(self) -> Path:
        """Where masks would best go: beside the images."""
        beside = next((path.parent for path in self._there()), self.project.folder or Path.home())
        return beside / MASKS

    def open(self, path: Path) -> None:
        """Show an image with its mask in the place of the one before."""
        self.project.words = ""
        self.project.try_again(lambda: self.view.open(path, self._axes))

    def open_next(self, shown: Sequence[Path] = ()) -> None:
        """Open the next case that nobody has judged, in the order in which the rows are ``shown``, else worst first."""
        by_path = {row.path: row for row in self.state.rows}
        rows = [by_path[path] for path in shown if path in by_path] or worst_first(self.state.rows)
        following = next_case(rows, self.view.path)
        if following is not None:
            self.open(following)

    def say(self, paths: Sequence[Path], state: State | None, comment: str | None = None) -> None:
        """Say of cases that they are accepted, flagged or nothing of the kind; ``None``: what was said stays."""
        for path in paths:
            case = self.project.cases.get(path)
            if case is not None and case.state != "new":
                before: State = case.state if case.state in ("accepted", "rejected", "flagged") else "unseen"
                self.project.say(
                    path, Entry(state=state or before, comment=case.comment if comment is None else comment)
                )

    def tell_patient(self, paths: Sequence[Path], mark: str) -> None:
        """Say of which patient images are; an empty mark takes it back."""
        for path in paths:
            self.project.tell_patient(path, mark)

    # what comes of it

    def tick(self) -> None:
        """Bring in what happened since the last tick. Main thread only."""
        self.project.tick()
        if self._worked and self.view.path is not None:
            self._worked = False
            self.project.refresh(self.view.path)
        if self._stale:
            self.resolve()

    def recount(self) -> None:
        """The list comes into sight: what it says of the case that is open is counted anew."""
        if self._uncounted and self.view.path is not None:
            self._uncounted = False
            self.project.count(self.view.path)

    def refresh(self, event: Any = None) -> None:
        """Mark the page as out of date; the next tick resolves it once, however many things changed."""
        self._stale = True

    def resolve(self) -> None:
        """Make the state of the page anew and tell whoever listens."""
        self._stale = False
        project, spec, question = self.project, self._spec, self._sample.question
        rows, due = tuple(self._row(path) for path in project.files), self._due()
        state = Folder(
            folder=project.folder,
            name=project.name,
            recent=self._recent if project.folder is None else (),
            reading=project.reading,
            searching=project.searching,
            missing=len(project.missing),
            to_add=sum(not known for _, known in self.open_images()) if project.session is not None else 0,
            told=project.words,
            looking=self._looking,
            rows=rows,
            models=tuple(self._models.names.items()),
            model=self._model,
            model_words="" if spec is None else f"{describe_model(spec)}; {finds(spec)}",
            channels=self._channels,
            channel=self._channel,
            findings=self._findings(),
            question=None if question is None else Question(str(question), question.choices),
            running=self.series.running or self.outgoing.running,
            saved=self.outgoing.words,
            due=len(due),
            renewed=sum(path in project.cases and project.cases[path].state == "unseen" for path in due),
            again=len(self._failed()),
            summary=summary_of(rows) if rows else "",
            place="" if project.session is None else str(project.session.folder),
            current=self.view.path,
            coming=self.view.coming,
        )
        if state != self.state:
            self.state = state
            self.changed.emit(state)

    # below

    @property
    def _spec(self) -> ModelSpec | None:
        return None if self._model is None else self._models.spec(self._model)

    @property
    def _channels(self) -> tuple[str, ...]:
        """The channels of which one can be chosen; a model of several takes them all."""
        one = self._spec is not None and self._spec.network.in_channels == 1
        return self._sample.channels if one else ()

    @property
    def _wanted_channel(self) -> str | None:
        return self._channel if self._channel in self._channels and self._channel else None

    def _row(self, path: Path) -> CaseRow:
        project, case = self.project, self.project.cases.get(path)
        row = row_of(path, case, project.troubles.get(path, ""), project.titles.get(path, ""))
        if path in project.missing:
            row = replace(row, missing=True, why=project.missing[path])
        under_way = self.series.state(path)
        if under_way is None or (case is not None and case.touched):  # no mask comes in the place of what was said
            return row
        return replace(row, state=under_way)

    def _findings(self) -> tuple[Finding, ...]:
        session, match = self.project.session, self._sample.match(self._model)
        kept = session is not None and not session.read_only
        found = [Finding("warning" if kept else "refusal", self.project.trouble), Finding("warning", self._trouble)]
        if match is not None:
            found += [
                Finding("warning", f"{shortened(self._sample.name)}: {why}")
                for why in (match.refusal, doubt_of(match, self._sample.matches[0]))
                if why
            ]
        return tuple(finding for finding in found if finding.text)

    def _due(self) -> list[Path]:
        """Images without a mask, and those whose mask nobody has seen and another model or channel made."""
        spec, due = self._spec, []
        for path in [path for path in self.project.files if path not in self.project.missing]:
            case = self.project.cases.get(path)
            if case is None or case.state == "new":
                if path not in self.project.troubles:
                    due.append(path)
            elif case.state == "unseen" and case.predicted is not None and spec is not None and path != self.view.path:
                made = case.predicted.model, case.predicted.settings.get("channel")
                if made != (spec.name, self._wanted_channel):
                    due.append(path)
        return due

    def _masks(self) -> list[Path]:
        """The images that have a mask, and whose file is there."""
        project = self.project
        return [path for path, case in project.cases.items() if case.state != "new" and path not in project.missing]

    def _failed(self) -> list[Path]:
        missing = self.project.missing
        return [path for path in self.project.files if path not in missing and self._row(path).state == "failed"]

    def _look(self) -> None:
        """Look at the first image, and for the model that was used before, in a thread."""
        files, axes, specs, settings = self._there(), self._axes, self._models.specs(), self.settings
        known, told = list(self.project.cases.values()), self.project.model

        def work() -> tuple[Sample, Used | None]:
            used = used_before(known, told, specs)
            all_of_them = specs if used is None else {used.path: used.spec, **specs}
            return sample_of(files, axes, all_of_them, settings), used

        def then(found: tuple[Sample, Used | None]) -> None:
            if (files, axes) == (self._there(), self._axes):
                (self._sample, used), self._looking = found, False
                if not self._by_hand:
                    self._propose(used)
                self.refresh()

        self._looking = bool(files)
        if files:
            self._engine.later(work, then)

    def _propose(self, used: Used | None) -> None:
        """The model that was used before, else the one that was adopted, else the one that suits best."""
        best, adopted = next(iter(self._sample.matches), None), self._sample.match(self._adopted)
        if used is not None:
            self._models.add(used.path, used.spec)
            self._model, self._channel = used.path, used.channel
        elif adopted is not None and not adopted.refusal:
            self._model = adopted.path
        elif best is not None and not best.refusal:
            self._model = best.path

    def _there(self) -> tuple[Path, ...]:
        """The images whose file is there."""
        return tuple(path for path in self.project.files if path not in self.project.missing)

    def _recorded(self) -> None:
        self._worked = self._uncounted = True
