"""A large array on disk, seen in another order of axes and cut to size, without being read."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


class LazyView:
    """Axis ``k`` is axis ``order[k]`` of ``array``; ``sizes`` (one per axis of ``array``) may cut its ends off.

    Only what is indexed is read, with integers, slices and an ellipsis; the result is a numpy array.
    """

    def __init__(self, array: Any, order: tuple[int, ...], sizes: tuple[int, ...]) -> None:
        self._array = array
        self._order = order
        self._sizes = sizes

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
        return int(np.prod(self.shape))

    def __len__(self) -> int:
        return self.shape[0]

    def transpose(self, order: tuple[int, ...]) -> LazyView:
        return LazyView(self._array, tuple(self._order[axis] for axis in order), self._sizes)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[...], dtype)

    def __getitem__(self, key: Any) -> NDArray[Any]:
        source: list[Any] = [slice(None)] * self.ndim
        kept: list[int] = []
        backwards: list[slice] = []
        for axis, part, size in zip(self._order, self._full(key), self.shape, strict=True):
            if isinstance(part, slice):
                steps = range(*part.indices(size))
                forward = steps if steps.step > 0 else steps[::-1]
                source[axis] = slice(forward.start, forward.stop, forward.step) if len(forward) else slice(0, 0)
                kept.append(axis)
                backwards.append(slice(None, None, 1 if steps.step > 0 else -1))
            else:
                source[axis] = range(size)[int(part)]  # raises IndexError outside
        found = np.asarray(self._array[tuple(source)])
        order = [sorted(kept).index(axis) for axis in kept]
        return found.transpose(order)[tuple(backwards)]

    def _full(self, key: Any) -> tuple[Any, ...]:
        parts = key if isinstance(key, tuple) else (key,)
        if Ellipsis not in parts:
            parts = (*parts, Ellipsis)
        at = parts.index(Ellipsis)
        rest = self.ndim - (len(parts) - 1)
        if rest < 0:
            raise IndexError(f"too many indices: {len(parts) - 1} for {self.ndim} axes")
        return (*parts[:at], *(slice(None) for _ in range(rest)), *parts[at + 1 :])
