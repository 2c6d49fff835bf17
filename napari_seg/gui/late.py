"""A mask that comes when its image is closed. It goes where its image is kept, and is there when that is opened again;
it never goes to another image, and never takes the place of what a person has made or accepted meanwhile."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

from napari_seg.errors import SegError
from napari_seg.gui.arrivals import Found, volume_as_kept
from napari_seg.gui.engine import Engine
from napari_seg.gui.recorder import Recorder
from napari_seg.gui.results import Target, mask_name
from napari_seg.session.cases import keep_late
from napari_seg.session.predicted import Predicted
from napari_seg.session.records import Plane, mask_plane, plain
from napari_seg.tasks.base import Labels

KEPT = "{name} was closed before its mask was there; the mask is kept, and shown when you open {name} again."

KEPT_OPEN = "{name} was closed before its mask was there; it is open again, and the mask is shown on it."

LOST = "{name} was closed before its mask was there; open it and segment it again."

AS_BEFORE = "{name} was closed before its mask followed the thresholds; open it and segment it again."


class Late:
    """One for each window."""

    def __init__(self, engine: Engine, recorder: Recorder) -> None:
        self._engine, self._recorder = engine, recorder

    def keep(
        self,
        target: Target,
        masks: Sequence[tuple[str, Labels]],
        predicted: Predicted,
        then: Callable[[bool, str], None],
        *,
        whole: bool,
    ) -> None:
        """Keep the masks of an image that was closed, each with the name of its class; ``then`` hears whether they are
        kept, and what is said of it. ``whole``: they are of the whole image."""
        arrivals, who, name = self._recorder.arrivals, self._recorder.who, target.layer.name
        volume, names = volume_as_kept(target.layer), target.model.task.names
        planes = [
            (Plane(mask_plane(plain(mask_name(target, one))), target.objects, (one,) if one else tuple(names)), labels)
            for one, labels in masks
        ]

        def work() -> Found | None:
            try:
                found = arrivals.found_for(volume)
                row, session = found.row, found.session
                fits = all(labels.size == row.times * math.prod(row.grid) for _, labels in planes)
                if session.read_only or not fits:
                    return None
                kept = session.writer.call(
                    lambda store: keep_late(store, row.id, planes, predicted, time.time(), who, whole=whole),
                    writes=True,
                ).result()
            except SegError:
                return None
            return found if kept else None

        def kept(found: Found | None) -> None:
            if found is not None:
                arrivals.found.emit(found)
            if arrivals.shows(target.layer):  # only the mask was taken away
                return
            again = found is not None and arrivals.came_again(volume)
            words = (LOST if found is None else KEPT_OPEN if again else KEPT).format(name=name)
            self._recorder.noted.emit(words)
            then(found is not None, words)

        self._engine.later(work, kept)
