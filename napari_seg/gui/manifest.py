"""What ``napari.yaml`` names: napari calls these functions. They are thin; each hands over to the module that knows."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_seg.data.align import apart
from napari_seg.data.formats import format_of, identities, spared, suffix_of, write
from napari_seg.editing.said import class_names, counts_objects
from napari_seg.errors import SegError
from napari_seg.files import at_home
from napari_seg.gui.colours import class_looks
from napari_seg.gui.layers import (
    CLASSES,
    KEY,
    MOVED,
    OBJECTS,
    LayerData,
    as_it_lies,
    layer_data,
    lies_elsewhere,
    volume_of,
)

if TYPE_CHECKING:
    from napari.layers import Layer

    from napari_seg.gui.controller import Controller
    from napari_seg.gui.recorder import Recorder
    from napari_seg.gui.saving import Record
    from napari_seg.gui.track import Track
    from napari_seg.tasks.base import Labels

PLUGIN = "napari-seg"
"""How napari calls this plugin."""

NOTHING: list[Any] = [(None,)]
"""What napari understands as: it was seen to, and there is no layer to add."""


def get_reader(path: str | list[str]) -> Callable[[str | list[str]], list[Any]] | None:
    """The reader of a path, or ``None`` where its format is not ours. It also says what is wrong with a folder that is
    no image, and with what only has a name as if it were one."""
    first = Path(path if isinstance(path, str) else path[0])
    return read_layers if is_known(first) or first.is_dir() or suffix_of(first) else None


def is_known(path: Path) -> bool:
    """Whether a path is of a format that we read."""
    try:
        format_of(path)
    except SegError:
        return False
    return True


def read_layers(path: str | list[str]) -> list[Any]:
    """Open one path or several, for napari."""
    from napari import current_viewer

    return _layers([path] if isinstance(path, str) else path, current_viewer()) or NOTHING


def open_paths(viewer: Any, paths: Sequence[str]) -> None:
    """Open paths in a viewer, as its ``open`` does; but that refuses names that the manifest does not list, and a DICOM
    file may have any."""
    from napari.layers._source import layer_source

    for path in paths:
        layers = _layers([path], viewer)
        with layer_source(path=path, reader_plugin=PLUGIN):
            for data, about, kind in layers:
                getattr(viewer, f"add_{kind}")(data, **about)


def _layers(paths: Sequence[str], viewer: Any) -> list[LayerData]:
    """What goes wrong is said in one sentence and leaves the window as it was."""
    from napari.utils.notifications import show_error, show_info

    from napari_seg.gui.dialogs import AtTheScreen
    from napari_seg.gui.opening import open_path
    from napari_seg.gui.views import show_sides, window_of

    layers: list[LayerData] = []
    for one in paths:
        try:
            opened = open_path(Path(one), AtTheScreen(window_of(viewer)), viewer.layers if viewer else ())
        except SegError as error:
            show_error(str(error))
            continue
        layers += opened.layers
        for note in opened.notes:
            show_info(note)
    if viewer is not None:
        show_sides(viewer)
    return layers


def write_layers(path: Path, layers: Sequence[LayerData]) -> list[str]:
    """Write an image, a mask, or several masks of one image as planes of one, into the grid of the image; raises
    ``SegError`` where that is not possible, or would replace an image.

    napari waits for its writers on the thread of the window. So a copy is made there, for as long as that takes (0.1 s
    for 512 x 512 x 512 labels of 16 bits); it is written in a thread, and the window lives and says so meanwhile.
    """
    from napari import current_viewer
    from napari.layers import Layer

    from napari_seg.gui.saving import Record, in_one, spare_planes
    from napari_seg.gui.views import window_of
    from napari_seg.gui.waiting import wait_for

    if words := spared(at_home(path), identities(_image_files())):
        raise SegError(words)
    shown = [Layer.create(*layer) for layer in layers]
    placed = _placed(shown)
    of_labels = layers[0][2] == "labels"
    volume = volume_of(placed) if of_labels else as_it_lies(placed)
    records, planes, saved = list[Record](), tuple[str, ...](), list[str]()
    copies = [volume.data]
    if of_labels:
        kept = [_kept(data) for data, _, _ in layers]
        for layer, one in zip(shown, kept, strict=True):
            if lies_elsewhere(layer, None if one is None else one[1].image):
                raise SegError(f"{layer.name} {MOVED}")
        planes = _planes(shown, placed, kept)
        copies, records = _copied(shown, kept, path)
    was_saved = [controller.going_out([data for data, _, _ in layers]) for controller in _controllers()]

    def work() -> list[str]:
        try:
            whole = in_one(volume, copies, planes)
            spare_planes(whole, path)
            made = next((record.made() for record in records), {})
            saved.append(str(write(replace(whole, made=made), path)))
        except BaseException:
            for record in records:
                record.give_up()
            raise
        for record in records:
            record.write()
        return saved

    viewer = current_viewer()
    if viewer is None or threading.current_thread() is not threading.main_thread():
        return work()
    try:
        wait_for(window_of(viewer), f"Saving {path.name}", work, way_out="")
    finally:  # a mask may be written though its record is not
        for tell in was_saved if saved else ():
            tell(path)
    return saved


def _placed(layers: Sequence[Layer]) -> Layer:
    """Of layers that belong together the one that knows best where it lies."""
    known = [layer for layer in layers if KEY in layer.metadata]
    return next((layer for layer in known if layer.metadata[KEY].affine is not None), [*known, *layers][0])


def _planes(masks: Sequence[Layer], placed: Layer, kept: Sequence[tuple[Recorder, Track] | None]) -> tuple[str, ...]:
    """What the planes of one file with these masks are called; nothing for a single mask. Raises ``SegError`` for masks
    that are no planes of one."""
    if len(masks) == 1:
        return ()
    place, names = volume_of(placed), list[str]()
    for layer, one in zip(masks, kept, strict=True):
        alike = layer.data.shape == placed.data.shape and not lies_elsewhere(layer, placed)
        if not alike or apart(volume_of(layer, place.axes), place):
            raise SegError(f"{layer.name} does not lie where {placed.name} lies; save each in a file of its own.")
        rows = {} if one is None else one[0].rows(one[1])
        if counts_objects(bool(layer.metadata.get(OBJECTS)), rows):
            raise SegError(f"{layer.name} counts objects, which is no class; save it in a file of its own.")
        classes = class_names(layer.metadata.get(CLASSES, ()), rows)
        names.append(classes[0] if len(classes) == 1 else layer.name)
    return tuple(names)


def _controllers() -> list[Controller]:
    """That of the panel of the window in front, if it is open."""
    from napari import current_viewer

    viewer = current_viewer()
    panels = [] if viewer is None else viewer.window.dock_widgets.values()
    return [panel.controller for panel in panels if hasattr(panel, "controller")]


def _image_files() -> list[Path]:
    """The files of the images that the window in front knows, also without the panel."""
    from napari import current_viewer

    from napari_seg.gui.arrivals import files_of

    viewer = current_viewer()
    files = files_of(() if viewer is None else viewer.layers)
    return [*files, *(file for controller in _controllers() for file in controller.batch.image_files())]


def _kept(data: Any) -> tuple[Recorder, Track] | None:
    """Who keeps the layer of this array, if the panel of the window does."""
    recorders = [controller.recorder for controller in _controllers()]
    kept = ((recorder, track) for recorder in recorders for track in recorder.tracks())
    return next((one for one in kept if one[1].layer.data is data), None)


def _copied(
    masks: Sequence[Layer], kept: Sequence[tuple[Recorder, Track] | None], path: Path
) -> tuple[list[Labels], list[Record]]:
    """What is to be written, such that nobody changes it, and the record of where it comes from, if it is kept."""
    from napari_seg.gui.saving import Record

    known = [one for one in kept if one is not None]
    images = {track.key for _, track in known}
    if len(known) == len(masks) and len(images) == 1 and not known[0][1].session.read_only:
        recorder, first = known[0]
        labels, record = recorder.export([track for _, track in known], path.name)
        return labels, [Record(recorder, first, path, record)]
    return [np.array(layer.data) for layer in masks], []


def write_labels(path: str, data: Any, about: dict[str, Any]) -> list[str]:
    return write_layers(Path(path), [(data, about, "labels")])


def write_planes(path: str, layers: list[LayerData]) -> list[str]:
    """Several masks of one image, as the planes of one file."""
    return write_layers(Path(path), layers)


def write_image(path: str, data: Any, about: dict[str, Any]) -> list[str]:
    return write_layers(Path(path), [(data, about, "image")])


def sample(name: str) -> list[Any]:
    """The image of a sample, and its labels on top, hidden until they are wanted."""
    from napari import current_viewer

    from napari_seg.data.samples import SAMPLES
    from napari_seg.gui.views import show_sides, window_of
    from napari_seg.gui.waiting import wait_for

    viewer = current_viewer()
    if viewer is None:
        return _sample_layers(name)
    show_sides(viewer)
    return wait_for(window_of(viewer), f"Reading {SAMPLES[name].title}", lambda: _sample_layers(name)) or NOTHING


def _sample_layers(name: str) -> list[LayerData]:
    from napari_seg.data.formats import read
    from napari_seg.data.samples import SAMPLES, labels_of, path_of

    image, truth = replace(read(path_of(name)), name=name), replace(read(labels_of(name)), name=f"{name} truth")
    layers = layer_data(image, "image")
    classes = SAMPLES[name].classes
    for data, about, kind in layer_data(truth, "labels"):
        said = {**about["metadata"], OBJECTS: not classes, CLASSES: classes}
        layers.append((data, {**about, **class_looks(classes), "metadata": said, "visible": False}, kind))
    return layers


def sample_nuclei2d() -> list[LayerData]:
    return sample("nuclei2d")


def sample_nuclei3d() -> list[LayerData]:
    return sample("nuclei3d")


def sample_head_mr() -> list[LayerData]:
    return sample("head_mr")


def sample_abdomen_ct() -> list[LayerData]:
    return sample("abdomen_ct")


def segment() -> None:
    """Command: press the main button, with the panel opened first where it is not."""
    if (panel := _panel()) is not None:
        panel.controller.run()


def cancel() -> None:
    """Command: stop the run that is under way."""
    if (panel := _panel()) is not None:
        panel.controller.cancel()


def save_project() -> None:
    """Command: make a project of the images that are open."""
    if (panel := _panel()) is not None:
        panel.project.save_as()


def open_project() -> None:
    """Command: open a project by its folder."""
    if (panel := _panel()) is not None:
        panel.project.open_project()


def views() -> None:
    """Command: open or close the views from three sides."""
    from napari import current_viewer

    from napari_seg.gui.orthogonal import toggle

    viewer = current_viewer()
    if viewer is not None:
        toggle(viewer)


def _panel() -> Any:
    """The panel of the window in front."""
    from napari import current_viewer

    viewer = current_viewer()
    return None if viewer is None else panel_of(viewer)


def panel_of(viewer: Any) -> Any:
    """The panel of a window, opened where it is not yet."""
    return viewer.window.add_plugin_dock_widget(PLUGIN, "Segmentation panel")[1]
