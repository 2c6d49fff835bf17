"""Files and folders that are dropped on the view are opened by the readers of this plugin once its panel was opened.

napari asks which reader to take where several know a format, and proposes its own, which knows neither spacing nor
orientation. What a person chose for a format in napari's preferences is followed, and Shift (stack the files) and Alt
(ask for the reader) mean what they always do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from napari.plugins.utils import get_preferred_reader
from npe2 import PluginManager
from qtpy.QtCore import QEvent, QObject, Qt, QTimer
from qtpy.QtGui import QDropEvent
from qtpy.QtWidgets import QWidget

from napari_seg.gui.manifest import PLUGIN, get_reader, is_known


class Dropping(QObject):
    """Watches a widget that files are dropped on; lives as long as it does."""

    def __init__(self, widget: QWidget, open_paths: Callable[[list[str]], None]) -> None:
        super().__init__(widget)
        self._open_paths = open_paths
        widget.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        if not isinstance(event, QDropEvent) or event.type() != QEvent.Type.Drop:
            return False
        urls = event.mimeData().urls()
        paths = [url.toLocalFile() for url in urls if url.isLocalFile()]
        if event.modifiers() != Qt.KeyboardModifier.NoModifier or len(paths) < len(urls) or not ours(paths):
            return False
        event.acceptProposedAction()
        QTimer.singleShot(0, lambda: self._open_paths(paths))  # the program that was dragged from waits for the drop
        return True


def ours(paths: Sequence[str]) -> bool:
    """Whether all are of formats that we read, and nobody wants another reader for one of them.

    What we only say a sentence about is left to others, but for napari's own reader: of a folder it makes a stack.
    """
    return bool(paths) and all(
        get_reader(path) is not None
        and get_preferred_reader(path) in (None, PLUGIN)
        and (is_known(Path(path)) or not _others(path))
        for path in paths
    )


def _others(path: str) -> set[str]:
    """The other plugins that read a path."""
    readers = PluginManager.instance().iter_compatible_readers([path])
    return {reader.plugin_name for reader in readers} - {PLUGIN, "napari"}
