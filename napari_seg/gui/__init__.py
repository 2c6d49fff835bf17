"""The window: all of napari and Qt is in here, and nothing of torch."""
