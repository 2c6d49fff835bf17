"""What a person set in Preferences, kept by napari in a file of its own."""

from __future__ import annotations

from typing import Any


def settings() -> Any:
    """The plugin's settings, as ``napari.yaml`` declares them; setting an attribute saves it."""
    from napari.settings import get_plugin_settings

    return get_plugin_settings("napari-seg")
