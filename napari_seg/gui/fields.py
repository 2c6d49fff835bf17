"""Fields that take text or numbers: what is typed in one is kept as soon as it is left."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import QEvent, Qt
from qtpy.QtGui import QFocusEvent, QKeySequence, QShortcut
from qtpy.QtWidgets import QAbstractSpinBox, QApplication, QLineEdit, QWidget


def leave_field(within: QWidget) -> bool:
    """Take the focus off a field that is being typed in, also in a window that is not active; whether there is one."""
    field = within.window().focusWidget()
    if not (isinstance(field, QLineEdit | QAbstractSpinBox) and within.isAncestorOf(field)):
        return False
    had_focus = field.hasFocus()
    within.setFocus()
    if not had_focus:  # in a window that is not active nobody tells it
        QApplication.sendEvent(field, QFocusEvent(QEvent.Type.FocusOut, Qt.FocusReason.OtherFocusReason))
    return True


def on_escape(page: QWidget, cancel: Callable[[], object]) -> None:
    """Escape on a page cancels what runs there; in a field it only leaves that."""
    key = QShortcut(QKeySequence("Escape"), page, context=Qt.ShortcutContext.WidgetWithChildrenShortcut)
    key.activated.connect(lambda: leave_field(page) or cancel())
