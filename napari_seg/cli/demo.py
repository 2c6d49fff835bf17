"""``napari-seg demo``."""


def demo() -> None:
    """Demo."""
