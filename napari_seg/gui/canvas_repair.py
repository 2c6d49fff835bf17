"""Two faults of the libraries that draw, mended for as long as the program runs.

Mesa 22 draws in software where there is no graphics card, as on Debian 12, on remote desktops and in tests. There the
window crashed when layers went, one of which had been painted on, and others came: drawing did not survive that
programs of OpenGL had been deleted. So there they are never deleted; each takes less than a megabyte.

napari 0.9.2 leaves a black square on the canvas where a brush was last: the box behind its circle is never hidden.
"""

from __future__ import annotations

from typing import Any

from vispy.gloo import gl
from vispy.gloo.glir import GlirProgram

SOFTWARE = ("llvmpipe", "softpipe")
"""Renderers of Mesa that need no graphics card."""

_delete = GlirProgram.delete


def delete_where_safe(program: Any) -> None:
    """Delete a program of OpenGL; its context is the current one."""
    if not str(gl.glGetParameter(gl.GL_RENDERER)).startswith(SOFTWARE):
        _delete(program)


def mend_drawing(viewer: Any) -> None:
    """Mend both for a viewer; the first for all of them."""
    GlirProgram.delete = delete_where_safe
    brush = getattr(viewer.canvas.overlays, "_brush_circle", None)
    if brush is not None:
        brush.box = False
