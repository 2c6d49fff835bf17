"""``napari-seg train``."""


def train() -> None:
    """Train."""
