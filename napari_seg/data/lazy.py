"""A large array on disk, seen in another order of axes and cut to size, without being read."""

from __future__ import annotations

from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

from napari_seg.data.unchanged import Marks, refuse_changed
from napari_seg.errors import SegError


class LazyView:
    """Axis ``k`` is axis ``order[k]`` of ``array``; ``sizes`` (one per axis of ``array``) may cut its ends off.

    Axes of ``array`` that are not in ``order`` are seen at their first element.

    Only what is indexed is read, with integers, slices and an ellipsis; the result is a numpy array. Reading raises
    ``SegError`` where a chunk of the file ``name`` is damaged, where the file is no longer the one of these ``marks``,
    and where what is wanted does not fit in memory.
    """

    def __init__(
        self,
        array: Any,
        name: str,
        marks: Marks,
        order: tuple[int, ...] | None = None,
        sizes: tuple[int, ...] | None = None,
    ) -> None:
        self._array = array
        self._name = name
        self.marks = marks
        self._order = tuple(range(array.ndim)) if order is None else order
        self._sizes = tuple(int(n) for n in array.shape) if sizes is None else sizes

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self._sizes[axis] for axis in self._order)

    @property
    def dtype(self) -> np.dtype[Any]:
        dtype: np.dtype[Any] = np.dtype(self._array.dtype)
        return dtype

    @property
    def ndim(self) -> int:
        return len(self._order)

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=object))

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def transpose(self, order: tuple[int, ...]) -> LazyView:
        return self._seen(tuple(self._order[axis] for axis in order), self._sizes)

    def cut(self, axis: int, size: int) -> LazyView:
        """The same with only the first ``size`` elements along ``axis``."""
        own = self._order[axis]
        return self._seen(self._order, (*self._sizes[:own], size, *self._sizes[own + 1 :]))

    def first(self, axis: int) -> LazyView:
        """The same without ``axis``, at its first element."""
        return self._seen(self._order[:axis] + self._order[axis + 1 :], self._sizes)

    def _seen(self, order: tuple[int, ...], sizes: tuple[int, ...]) -> LazyView:
        return LazyView(self._array, self._name, self.marks, order, sizes)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[...], dtype)

    def __getitem__(self, key: Any) -> NDArray[Any]:
        source: list[Any] = [0] * len(self._sizes)
        kept: list[int] = []
        turns: list[slice] = []
        count = 1
        for axis, part, size in zip(self._order, self._full(key), self.shape, strict=True):
            if isinstance(part, slice):
                steps = range(*part.indices(size))
                forward = steps if steps.step > 0 else steps[::-1]
                source[axis] = slice(forward.start, forward.stop, forward.step) if len(forward) else slice(0, 0)
                kept.append(axis)
                turns.append(slice(None, None, 1 if steps.step > 0 else -1))
                count *= len(steps)
            else:
                source[axis] = range(size)[int(part)]  # raises IndexError outside
        found = self._read(tuple(source), count * self.dtype.itemsize)
        order = [sorted(kept).index(axis) for axis in kept]
        return found.transpose(order)[tuple(turns)]

    def _read(self, source: tuple[Any, ...], nbytes: int) -> NDArray[Any]:
        if nbytes > psutil.virtual_memory().available:
            need = f"{nbytes / 2**30:.1f} GiB"
            raise SegError(f"{self._name} needs {need}, more memory than is free; choose a box or a smaller image.")
        try:
            found = np.asarray(self._array[source])
        except Exception as error:  # of the many decoders
            refuse_changed(self.marks, self._name)
            raise SegError(f"A part of {self._name} is damaged or cut off; get the file again.") from error
        refuse_changed(self.marks, self._name)
        return found

    def _full(self, key: Any) -> tuple[Any, ...]:
        parts = key if isinstance(key, tuple) else (key,)
        if not any(part is Ellipsis for part in parts):
            parts = (*parts, Ellipsis)
        at = next(k for k, part in enumerate(parts) if part is Ellipsis)
        rest = self.ndim - (len(parts) - 1)
        if rest < 0:
            raise IndexError(f"too many indices: {len(parts) - 1} for {self.ndim} axes")
        return (*parts[:at], *(slice(None) for _ in range(rest)), *parts[at + 1 :])
