"""What the panel does, without a widget: it can be driven by a test with a ``ViewerModel`` and by a script.

1. A person's wishes (image, model, options) come in by methods; each marks the page as out of date.
2. :meth:`Controller.tick`, called by a timer of the window, brings in what the engine said and then resolves wishes and
   layers into one frozen :class:`~napari_seg.gui.state.Segment`, which :attr:`Controller.changed` carries to the page.
3. Looking at the image (does it fit, the preview, the forecast) happens in a thread; answers to questions that are no
   longer asked are dropped by their number.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

from napari.layers import Image
from psygnal import Signal

from napari_seg.data.volume import Volume
from napari_seg.editing.edit import Edit
from napari_seg.errors import Choice, ChoiceNeeded, SegError
from napari_seg.gui import engine as link
from napari_seg.gui import notice
from napari_seg.gui.against import Against
from napari_seg.gui.answers import proposing, remember
from napari_seg.gui.arrivals import COMPARING, same_image, volume_as_kept
from napari_seg.gui.batch import Batch
from napari_seg.gui.checking import Looks, Wish
from napari_seg.gui.classes import Classes
from napari_seg.gui.classroom import Classroom
from napari_seg.gui.clearing import clear
from napari_seg.gui.display import masks
from napari_seg.gui.finished_words import told
from napari_seg.gui.hands import Hands
from napari_seg.gui.hover import Hover
from napari_seg.gui.known_models import KnownModels
from napari_seg.gui.layers import channel_of, name_with_folder, volume_of
from napari_seg.gui.measuring import Measuring
from napari_seg.gui.mirroring import Mirroring
from napari_seg.gui.nearing import bring_into_view, bring_to_front, covering, is_in_view, middle_of, share_a_place
from napari_seg.gui.one_unit import OneUnit
from napari_seg.gui.proposal import Proposal
from napari_seg.gui.recorder import Recorder
from napari_seg.gui.results import Target, empty_mask, refused_slice
from napari_seg.gui.reviewing import Reviewing
from napari_seg.gui.runs import Runs
from napari_seg.gui.saving import Saving, proposed_path
from napari_seg.gui.state import Cure, Device, Finding, Options, Question, Segment, Thresholds
from napari_seg.gui.surroundings import Surroundings
from napari_seg.gui.titles import Titles
from napari_seg.gui.track import Track
from napari_seg.gui.training import NICENESS, PATIENCE
from napari_seg.gui.views import is_open
from napari_seg.gui.words import describe_model, describe_volume, facts_of_model, finds, spacing_words
from napari_seg.inference.channels import channel_names
from napari_seg.inference.fit import suited
from napari_seg.inference.prediction import PredictSpec, Region
from napari_seg.models.file import read_spec
from napari_seg.models.spec import ModelSpec
from napari_seg.session.sizes import Size

_WANTED = (
    "scipy.ndimage",
    "scipy.spatial",
    "scipy.sparse.csgraph",
    "skimage.filters",
    "skimage.graph",
    "skimage.segmentation",
    "edt",
    "pandas",
)


def _import_what_comes_first() -> None:
    """Of the first mask, for which napari takes pandas (0.8 s), and of the first use of a tool."""
    time.sleep(1)  # the window is drawn first
    for name in _WANTED:
        import_module(name)


USE_FILE = Cure("Use the size of the file", "size", "file")

_ELSEWHERE = (
    "The image does not lie in the slice that is shown; go to a slice where it is seen, or choose the whole image "
    "under Options."
)

_DRAWN = (
    "{masks} was drawn before on all dimensions of {name}, channels too; save what you need of it, take it out of the "
    "list of layers, and answer again."
)


class Controller:
    """One for each viewer."""

    changed = Signal(Segment)

    edited = Signal(tuple)
    """The labels that one of our tools has changed."""

    asked_for = Signal(str)
    """The title of a page that a person should see now."""

    def __init__(
        self,
        viewer: Any,
        engine: link.Engine,
        options: Options | None = None,
        who: str = "",
        trainer: link.Engine | None = None,
    ) -> None:
        """``trainer``: the engine that trains, so that images can be segmented meanwhile."""
        self.viewer = viewer
        self.engine = engine
        self.state = Segment()
        self._options = options or Options()
        self._image: Any = None  # the layer that was chosen
        self._axes: dict[str, str] = {}  # what a person said about layers, by the layer's id
        self._questions: dict[tuple[str, str], tuple[Choice, ...]] = {}  # what they were asked
        self.models = KnownModels()
        self._model: Path | None = next(iter(self.models.names), None)
        self._proposal = Proposal()
        self._trouble = ""  # why the model that was chosen last cannot be used
        self._stale = True
        self._warming = 0
        self._device = Device()
        self._closed = False
        engine.said.connect(self._hear)
        self.recorder = Recorder(viewer, engine, who)
        around = Surroundings(self.recorder)
        self._titles = Titles(self.recorder)
        self.hands = Hands(viewer, self.recorder, around)
        self.classes = Classes(self.recorder, engine)
        self.hover = Hover(viewer, self.hands, self.recorder, around)
        self.reviewing = Reviewing(viewer, self.recorder, self.hands, around)
        self.reviewing.listed.connect(lambda _: self.asked_for.emit("Review"))
        around.edited.connect(self._tell_edit)
        self.runs = Runs(viewer, engine, self.recorder)
        self.mirroring = Mirroring(engine, self.runs, self.recorder, self.hands, self.reviewing, around, self.known)
        self.against = Against(viewer, self.recorder, engine)
        trainer = link.Engine(PATIENCE, NICENESS) if trainer is None else trainer
        self.classroom = Classroom(viewer, engine, trainer, self.recorder, self.hands, self.classes, self.runs, self)
        self.batch = Batch(viewer, engine, self.recorder, self.models)
        self.measuring = Measuring(viewer, engine, self.models, self.computing)
        self._looks = Looks(engine)
        self._saving = Saving(engine, self.runs, self.recorder, self.batch.image_files)
        self.batch.outgoing.changed.connect(self._saving.look_again)
        self.measuring.opened.connect(self._look_at)
        self._tell_batch()
        for part in (self.runs, self._looks, self._saving, self.models, self.recorder.sizes):
            part.changed.connect(self.refresh)
        for event in (
            viewer.layers.events.inserted,
            viewer.layers.events.removed,
            viewer.layers.events.renamed,
            viewer.layers.selection.events.active,
            viewer.dims.events.point,
            viewer.dims.events.order,
            viewer.scene.camera.events.center,
            viewer.scene.camera.events.zoom,
        ):
            event.connect(self.refresh)
        viewer.layers.events.inserted.connect(self._show_new, position="last")
        self._one_unit = OneUnit(viewer)  # the last to listen is the first to hear
        self.tick()

    # what a person wants

    def _show_new(self, event: Any) -> None:
        """An image that lies elsewhere than those that are open would not be seen; of two of one name nobody would know
        which is which."""
        layer = event.value
        if isinstance(layer, Image):
            layer.name = name_with_folder(layer, self._images())
            bring_into_view(self.viewer, layer)

    def choose_image(self, key: str) -> None:
        layer = next((layer for layer in self._images() if str(layer.unique_id) == key), None)
        if layer is not None:
            self._image = layer
            self.viewer.layers.selection.active = layer
            bring_into_view(self.viewer, layer)
            self._bring_to_front(layer)
            self.runs.forget()
            self.refresh()

    def _look_at(self, image: Any) -> None:
        """An image that a model was measured on: the mask of that is one press away."""
        self.choose_image(str(image.unique_id))
        if self.measuring.model is not None:
            self.choose_model(self.measuring.model)
        self.asked_for.emit("Segment")

    def _bring_to_front(self, image: Any) -> None:
        """Lay an image that another one hides over that, with its masks: these would seem to be of the other."""
        if covering(self.viewer, image, middle_of(self.viewer, image)) is None:
            return
        together = self.recorder.together(image)
        bring_to_front(self.viewer, together)
        others = [mask for mask in masks(self.viewer) if mask.visible and mask not in together]
        under = next((mask for mask in reversed(others) if share_a_place(mask, image)), None)
        if under is not None:
            notice.say(
                self.viewer, f"{under.name} lies under it; choose that mask and press Shift+Y to see it over each image"
            )

    def choose_model(self, path: Path) -> None:
        """Choose a model by its file, shipped or not."""
        try:
            self.models.add(path, read_spec(path))
        except SegError as error:
            self._trouble = str(error)
        else:
            self._trouble = ""
            self._model = path
            self._follow(self._images())
            self._proposal.chosen(self._key)
            self.runs.forget()
        self.refresh()

    def pick_model(self, path: Path) -> None:
        """A person chose a model from the list."""
        self.choose_model(path)
        if self._model == path:
            self.models.prefer(path)

    def adopt_model(self, path: Path, instead_of: Path | None) -> None:
        """A person decided for a model that was made here, ``instead_of`` the one that it was made from: for the
        images of a project too."""
        self.pick_model(path)
        if self._model == path:
            self.batch.adopt_model(path, instead_of)

    def answer(self, axes: str) -> None:
        """What the dimensions of the chosen image are. Where some are channels, which its masks do not have, its layer
        says so from now on: masks are kept on the grid that is left, and those that were are shown again."""
        image = self._image
        if image is None:
            return
        of_mask = [axis for axis in axes if axis not in "CS"]
        masks = [track.layer for track in self.recorder.tracks() if same_image(track.image, image)]
        others = [mask.name for mask in masks if mask.ndim != len(of_mask)]
        self._trouble = _DRAWN.format(masks=" and ".join(others), name=image.name) if others else ""
        if not others:
            self._axes[self._key] = axes
            if path := image.source.path:
                remember(Path(path), axes)
            if "C" in axes:
                image.axis_labels = [axis.lower() for axis in axes if axis != "S"]
                self.recorder.arrivals.came(image)
        self.refresh()

    def voxel_size(self) -> tuple[str, Size, Size] | None:
        """Of the chosen image: its spatial axes, the size that its voxels have, and the one that its file says."""
        return None if self._image is None else self.recorder.sizes.of(self._image)

    def give_size(self, size: Size) -> None:
        """What a person says of the size of the voxels of the chosen image."""
        self.recorder.sizes.give(self._image, size)
        self.refresh()

    def set_options(self, **changes: Any) -> None:
        self._options = replace(self._options, **changes)
        self._tell_batch()
        self.refresh()

    def run(self) -> None:
        """Segment the chosen image; nothing happens where the page does not allow it."""
        self.resolve()
        target = self.target()
        if target is not None and self.state.can_run:
            self._saving.forget()
            self._bring_to_front(target.layer)
            self.warm_up()
            self.runs.start(target, self.settings_for(target.volume, target.path), self._region(target))
            self.resolve()

    def begin_mask(self, *, objects: bool = True) -> None:
        """Add an empty mask on the chosen image, to be painted: of objects that are counted, or of classes."""
        if self._image is not None:
            self._bring_to_front(self._image)
            classes = () if objects else self.classroom.classes_for(self._image)
            empty_mask(self.viewer, self._image, objects=objects, classes=classes)
            self.refresh()

    def warm_up(self) -> None:
        """Start the engine, once, and import what first uses would wait for."""
        self._warming = self._warming or self.engine.order("warm_up")
        threading.Thread(target=_import_what_comes_first, daemon=True).start()

    def cancel(self) -> None:
        self.runs.cancel()

    def set_thresholds(self, thresholds: Thresholds) -> None:
        """Decode the stored scores of the last run anew, what is visible first."""
        self.runs.redecode(thresholds)

    def save(self, path: Path) -> None:
        """Write the mask of the last run, in a thread."""
        self._saving.save(path)

    def save_one(self, track: Track, path: Path) -> None:
        """Write one mask, in a thread."""
        self._saving.save_one(track, path)

    def going_out(self, labels: Sequence[Any]) -> Callable[[Path], None]:
        """The arrays of layers are about to be written in another way, by napari's own menu, as they are now. Call what
        is returned when they were."""
        return self._saving.going_out(labels)

    def close(self) -> list[Any]:
        """Keep what is left, and let go of the viewer. Where its window lives on, its masks are closed to painting, as
        nothing would be kept of that: those are returned."""
        if self._closed:
            return []
        self._closed = True
        with ExitStack() as rest:  # the last is called first, and each whatever befalls another
            rest.callback(clear, self.viewer)
            for part in (self.engine, self.recorder, self.classroom, self.reviewing, self.hands):
                rest.callback(part.close)
        masks = [track.layer for track in self.recorder.tracks()] if is_open(self.viewer) else []
        for mask in masks:
            mask.editable = False
        return masks

    # what a person asks about

    def about_model(self) -> tuple[str, list[tuple[str, str]]]:
        """The model's card: its summary, and facts."""
        if self._model is None:
            return "", []
        spec = self.models.spec(self._model)
        return spec.card.summary, facts_of_model(spec)

    def proposed_path(self) -> Path:
        """Where the mask of the last run would best go."""
        mask = self.runs.mask
        if mask is None:
            return Path("mask.tif")
        return proposed_path(mask.target.volume, mask.target.layer.name, mask.target.model.name)

    def proposed_path_of(self, track: Track) -> Path:
        """Where one mask would best go."""
        return proposed_path(volume_as_kept(track.about), track.about.name, "mask")

    def known(self) -> dict[Path, ModelSpec]:
        """The models that can be chosen."""
        return self.models.specs()

    def chosen_model(self) -> Path | None:
        return self._model

    def target_with(self, image: Any, path: Path) -> Target | None:
        """What a run of another model on an image would be of; ``None`` where its axes are not known."""
        try:
            volume = volume_of(image, self._axes.get(str(image.unique_id)))
            spec = self.models.spec(path)
        except SegError:
            return None
        return Target(image, volume, path, spec)

    def settings_for(self, volume: Volume, path: Path) -> PredictSpec:
        """What a person wants of a run of a model on an image."""
        return suited(self._settings(volume), self.models.spec(path))

    def computing(self) -> dict[str, Any]:
        return {"device": self._options.device, "precision": self._options.precision}

    # what comes of it

    def tick(self) -> None:
        """Bring in what happened since the last tick. Main thread only."""
        waited = self._image in self.recorder.arrivals.comparing
        self.engine.poll()
        self.recorder.tick()
        self.hands.foresight.tick()
        self.reviewing.tick()
        self.runs.tick()
        self._saving.tick()
        self.batch.tick()
        self.classroom.tick()
        if self._stale or waited:
            self.resolve()

    def refresh(self, event: Any = None) -> None:
        """Mark the page as out of date; the next tick resolves it once, however many things changed."""
        self._stale = True

    def target(self) -> Target | None:
        """What a run would be of, where image, axes and model are known."""
        if self._image is None or self._model is None:
            return None
        try:
            volume = volume_of(self._image, self._axes.get(self._key))
        except SegError:
            return None
        return Target(self._image, volume, self._model, self.models.spec(self._model))

    def resolve(self) -> None:
        """Make the state of the page anew and tell whoever listens."""
        self._stale = False
        images = self._images()
        self._follow(images)
        state = Segment(
            images=tuple((str(layer.unique_id), layer.name) for layer in images),
            models=tuple(self.models.names.items()),
            options=self._options,
            saved=self._saving.words,
            device=self._device,
        )
        state = self._with_model(state if self._image is None else self._with_image(state))
        troubles = tuple(Finding("warning", text) for text in (self._trouble, self._saving.trouble) if text)
        sized = (Finding("note", words, (USE_FILE,)),) if (words := self.recorder.sizes.words(self._image)) else ()
        state = replace(state, findings=(*troubles, *sized, *state.findings))
        state = self.runs.describe(replace(state, phase="ready" if images else "empty"))
        if state != self.state or state.preview is not self.state.preview:
            self.state = state
            self.changed.emit(state)

    def _with_image(self, state: Segment) -> Segment:
        state = replace(state, image=self._key)
        try:
            volume = volume_of(self._image, self._axes.get(self._key))
        except ChoiceNeeded as question:
            path, asked = self._image.source.path, (self._key, str(question))
            if asked not in self._questions:
                self._questions[asked] = (proposing(Path(path), question) if path else question).choices
            return replace(state, question=Question(str(question), self._questions[asked]))
        except SegError as error:
            return replace(state, findings=(Finding("refusal", str(error)),))
        state = replace(
            state,
            image_words=describe_volume(volume),
            voxel_size=spacing_words(volume.spacing, volume.unit),
            channels=channel_names(volume),
        )
        if self._model is None:
            return state
        self._model = self._proposal.propose(self.known(), self._model, self._key, volume, self._settings(volume))
        target = Target(self._image, volume, self._model, self.models.spec(self._model))
        if self._options.region not in target.regions:
            self._options = replace(self._options, region="whole")
        state = replace(state, regions=target.regions, options=self._options)
        why = "" if self._options.region == "whole" or is_in_view(self.viewer, self._image) else _ELSEWHERE
        why = COMPARING if self._image in self.recorder.arrivals.comparing else why
        why = why or (refused_slice(target, self.viewer.dims) if self._options.region == "slice" else "")
        if why:
            return replace(state, findings=(Finding("refusal", why),))
        look = self._looks.at(self._wish(target))
        return replace(state, checking=True) if look is None else look.on(state)

    def _with_model(self, state: Segment) -> Segment:
        if self._model is None:
            return state
        spec = self.models.spec(self._model)
        return replace(state, model=self._model, model_words=f"{describe_model(spec)}; {finds(spec)}")

    def _wish(self, target: Target) -> Wish:
        """What is to be known before a run of ``target``."""
        settings = self.settings_for(target.volume, target.path)
        pace = self.runs.pace(target, settings)
        return Wish(
            target,
            settings,
            self._region(target),
            pace or self._device.pace,
            pace is not None,
            self._proposal.doubt(target.path),
            self.runs.region(target, "near") if "near" in target.regions else None,
            self._proposal.other(target.path, self.known()),
        )

    @property
    def _key(self) -> str:
        """The chosen image."""
        return "" if self._image is None else str(self._image.unique_id)

    def _settings(self, volume: Volume) -> PredictSpec:
        """What a person wants for an image, whatever the model. The choice of a channel waits while an image is chosen
        that lacks it."""
        options = self._options
        wanted = options.channel if options.channel in channel_names(volume) else ""
        channel = wanted or (channel_of(self._image) if self._image is not None else None)
        return PredictSpec(
            device=options.device,
            precision=options.precision,
            channel=channel or None,
            diameter=options.diameter or None,
        )

    def _tell_batch(self) -> None:
        self.batch.settings = PredictSpec(device=self._options.device, precision=self._options.precision)

    def _region(self, target: Target) -> Region | None:
        return None if self._options.region == "whole" else self.runs.region(target, self._options.region)

    def _images(self) -> list[Any]:
        return [layer for layer in self.viewer.layers if isinstance(layer, Image)]

    def _follow(self, images: list[Any]) -> None:
        """The chosen image is the active layer, or that of the active mask; else it stays, while it is there."""
        active = self.viewer.layers.selection.active
        before = self._image
        track = self.recorder.track(active)
        if track is not None and not same_image(track.image, before):
            active = track.image
        if active in images:
            self._image = active
        elif self._image not in images:
            self._image = images[-1] if images else None
        if before is not None and self._image is not before:
            self.runs.forget()

    def _tell_edit(self, track: Any, edit: Edit) -> None:
        self.edited.emit(edit.labels)
        if words := told(edit):
            notice.say(self.viewer, words)

    def _hear(self, message: link.Message) -> None:
        if isinstance(message, link.Finished) and message.order == self._warming:
            self._device = Device(**message.answer)
            self.refresh()
