"""``python -m napari_seg`` is ``napari-seg``."""

from napari_seg.cli import main

main()
