"""The panel in napari's own colours, light and dark."""

from __future__ import annotations

from typing import Any

from qtpy.QtWidgets import QWidget

_SHEET = """
QPushButton#main {{ background-color: {current}; font-weight: bold; min-height: 26px; }}
QPushButton#main:hover {{ background-color: {highlight}; }}
QPushButton#main:disabled {{ background-color: {foreground}; }}
QPushButton:focus, QToolButton:focus, QComboBox:focus, QAbstractSpinBox:focus, QTabBar:focus
    {{ border: 1px solid {text}; }}
QPushButton#fold {{ text-align: left; background-color: transparent; padding: 3px 2px; }}
QPushButton#fold:hover {{ background-color: {primary}; }}
QToolButton {{ background-color: {primary}; border-radius: 2px; padding: 4px 8px; }}
QToolButton:hover {{ background-color: {highlight}; }}
QToolButton#tool {{ padding: 3px 4px; text-align: left; font-size: {smaller}pt; }}
QToolButton#tool:checked {{ background-color: {current}; }}
QToolButton::menu-indicator {{ image: none; }}
QLabel#headline {{ font-weight: bold; font-size: {larger}pt; }}
QLabel#quiet {{ color: {quiet}; }}
QLabel#trouble {{ color: {error}; font-weight: bold; }}
QFrame#card {{ background-color: {foreground}; border-radius: 4px; }}
QFrame#card QLabel, QFrame#card QSlider, QFrame#card QWidget#bare {{ background-color: transparent; }}
QFrame[level="note"] {{ border-left: 4px solid {current}; }}
QFrame[level="warning"] {{ border-left: 4px solid {warning}; }}
QFrame[level="refusal"] {{ border-left: 4px solid {error}; }}
QTableView#plain::item:selected, QListView#plain::item:selected {{ background-color: {current}; color: {text}; }}
QListView#plain::item {{ padding: 1px; }}
QTabBar::tab {{ padding: 5px 3px; border-bottom: 2px solid transparent; background: transparent; }}
QTabBar::tab:selected {{ border-bottom: 2px solid {current}; font-weight: bold; }}
"""


def style_sheet(theme_name: str) -> str:
    from napari.utils.theme import get_theme

    theme = get_theme(theme_name)
    colours = {name: getattr(theme, name).as_hex("long") for name in ("current", "highlight", "primary", "foreground")}
    colours |= {name: getattr(theme, name).as_hex("long") for name in ("text", "warning")}
    error = "#ff6b6b" if theme.type == "dark" else "#c4001a"  # napari's own is hardly seen on dark
    quiet = "#b9bcc2" if theme.type == "dark" else "#4c4d52"  # 4.5 : 1 and more on either background
    size = int(theme.font_size.removesuffix("pt"))
    return _SHEET.format(**colours, quiet=quiet, error=error, larger=size + 3, smaller=max(7, size - 1))


def follow_theme(widget: QWidget, viewer: Any) -> None:
    """Dress a widget in the viewer's theme, now and whenever it changes."""

    def dress(event: Any = None) -> None:
        widget.setStyleSheet(style_sheet(viewer.theme))

    dress()
    viewer.events.theme.connect(dress)
    widget.destroyed.connect(lambda: viewer.events.theme.disconnect(dress))
