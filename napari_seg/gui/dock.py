"""The panel: the pages, a footer, and the timer that brings in what the engine says."""

from __future__ import annotations

import gc
from functools import cache, partial
from typing import Any

from napari.utils.notifications import show_warning
from qtpy.QtCore import QEvent, QSize, Qt, QTimer
from qtpy.QtGui import QKeySequence, QShortcut
from qtpy.QtWidgets import QDockWidget, QLabel, QStackedWidget, QTabBar, QVBoxLayout, QWidget

from napari_seg.gui.around_canvas import AroundCanvas
from napari_seg.gui.controller import Controller
from napari_seg.gui.engine import Engine
from napari_seg.gui.folder_state import seen_words
from napari_seg.gui.leaving import Leaving
from napari_seg.gui.ledger import Safe
from napari_seg.gui.pages import PAGES
from napari_seg.gui.parts import row, text
from napari_seg.gui.project_menu import ProjectMenu
from napari_seg.gui.safety import ResumedStrip, safe_words
from napari_seg.gui.settings import settings
from napari_seg.gui.state import Options, Segment
from napari_seg.gui.theme import follow_theme
from napari_seg.gui.views import canvas_of, drop_empty_docks, is_open, real, window_of
from napari_seg.gui.words import breakable

WIDTH = 360
"""Pixels that the panel asks for; it can be made narrower."""

BEAT = 30
"""Milliseconds between two looks at what the engine said."""

GONE = (
    "The segmentation panel was closed by another program and keeps nothing any more; open it again from the Plugins "
    "menu to paint."
)
"""Said where the window lives on, and has masks."""


class Panel(QWidget):
    """One for each window. It ends its engine when the window closes."""

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        spare_the_collector()
        viewer = real(napari_viewer)
        self._name = ""  # of its dock
        for before in canvas_of(viewer).window().findChildren(Panel):  # a program has taken it out, or put it elsewhere
            before.controller.close()
            before.deleteLater()
        kept = settings().computing
        options = Options(device=kept.device, precision=kept.precision)
        self.controller = Controller(viewer, Engine(), options, settings().reviewing.name)
        self.setMinimumWidth(280)
        self.tabs = QTabBar()
        self.tabs.setAccessibleName("Pages")
        self.tabs.setExpanding(False)
        self.tabs.setDrawBase(False)
        self.tabs.setUsesScrollButtons(False)
        self.tabs.setElideMode(Qt.TextElideMode.ElideRight)
        self.pages = QStackedWidget()
        self.pages.setMinimumHeight(1)  # in a low panel they make room for what is said; they scroll
        for number, kind in enumerate(PAGES, 1):
            self.tabs.addTab(f"{number} {kind.title}")
            self.tabs.setTabToolTip(number - 1, f"{kind.title} (Alt+{number})")
            self.pages.addWidget(kind(self.controller))
            key = QShortcut(QKeySequence(f"Alt+{number}"), self)
            key.activated.connect(lambda at=number - 1: self.tabs.setCurrentIndex(at))
        self.tabs.currentChanged.connect(self.pages.setCurrentIndex)
        self.resumed = ResumedStrip(self.controller.recorder)
        self.kept, self.seen = text(name="quiet"), text(name="quiet")
        self.project = ProjectMenu(self.controller)
        self.saved, self.device = text(name="quiet"), QLabel()
        self.device.setObjectName("quiet")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.setSpacing(4)
        layout.addWidget(self.tabs)
        layout.addWidget(self.resumed)
        layout.addWidget(self.pages, 1)
        layout.addWidget(self.kept)
        layout.addLayout(row(self.seen, self.project))
        layout.addLayout(row(self.saved, self.device))
        follow_theme(self, viewer)
        self.controller.changed.connect(self._foot)
        self.controller.recorder.safety.connect(self._say_kept)
        self.controller.recorder.changed.connect(self._say_seen)
        self.controller.batch.changed.connect(self._say_seen)
        self.controller.reviewing.changed.connect(self._say_seen)
        self.controller.asked_for.connect(self._turn_to)
        self._foot(self.controller.state)
        self._beat = QTimer(self)
        self._beat.timeout.connect(self.controller.tick)
        self._beat.start(BEAT)
        QTimer.singleShot(0, self._settle)
        controller = self.controller
        self.destroyed.connect(lambda: _destroyed(controller))
        self.around = AroundCanvas(viewer, self.controller)
        self.leaving = Leaving(viewer, self.controller.recorder, self.controller.batch, self)

    def changeEvent(self, event: QEvent) -> None:
        """The X of its dock hides it, as the button beside that does: what is painted is kept as before, and the
        Plugins menu shows it again. napari would take it out and make a second one, and both would want the same
        sessions. Where another program takes it out, it is as if it had been hidden."""
        super().changeEvent(event)
        if event.type() != QEvent.Type.ParentChange:
            return
        dock = self.parent()
        if isinstance(dock, QDockWidget):
            dock.destroyOnClose = dock.close
            self._name = self._name or dock.objectName()
        elif dock is None:
            self.setParent(window_of(self.controller.viewer))
            self.hide()
            QTimer.singleShot(0, self, self._dock_again)

    def _dock_again(self) -> None:
        """In a dock that is hidden, unless it lies in another one by now."""
        viewer = self.controller.viewer
        if self.parent() is window_of(viewer):
            viewer.window.add_dock_widget(self, name=self._name, add_vertical_stretch=False).hide()

    def sizeHint(self) -> QSize:
        return QSize(WIDTH, super().sizeHint().height())

    def minimumSizeHint(self) -> QSize:
        """Its pages scroll. The dock of napari takes what this asks for as the least that it can ever be again."""
        return QSize(280, 240)

    def resizeEvent(self, event: Any) -> None:
        """Where the names of the pages do not fit, they go without their numbers."""
        super().resizeEvent(event)
        for numbered in (True, False):
            for at, kind in enumerate(PAGES):
                self.tabs.setTabText(at, f"{at + 1} {kind.title}" if numbered else kind.title)
            if self.tabs.sizeHint().width() <= self.tabs.width():
                break

    def _settle(self) -> None:
        """What can wait until the panel is on the screen."""
        self.controller.warm_up()

    def _foot(self, state: Segment) -> None:
        self.saved.setText(state.saved)
        self.device.setText(state.device.words)
        self.device.setToolTip(state.device.why)

    def _turn_to(self, title: str) -> None:
        """Show the page of this title."""
        self.tabs.setCurrentIndex([page.title for page in PAGES].index(title))

    def _say_kept(self, safe: Safe) -> None:
        self.kept.setObjectName("trouble" if safe.trouble else "quiet")
        self.kept.style().polish(self.kept)
        self.kept.setText(breakable(safe_words(safe)))
        self._say_seen()

    def _say_seen(self, state: Any = None) -> None:
        """How many of a list a person has seen: of the images of a project, and of what the review asks about."""
        parts = seen_words(self.controller.batch.state.rows), self.controller.reviewing.seen_words
        self.seen.setText(", ".join(part for part in parts if part))


def _destroyed(controller: Controller) -> None:
    """A panel is gone; its window may live on."""
    masks, viewer = controller.close(), controller.viewer
    if is_open(viewer):
        QTimer.singleShot(0, window_of(viewer), partial(drop_empty_docks, viewer))
    if masks:
        show_warning(GONE)


@cache
def spare_the_collector() -> None:
    """Python looks through all objects now and then for those that hold each other, which stops every thread: 0.3 s
    with a large mask, most of it for the modules of napari and its libraries. From the first panel on, only what was
    made after it is looked through."""
    gc.collect()
    gc.freeze()
