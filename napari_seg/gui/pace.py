"""How fast runs really go, with all else that the machine does: it corrects forecasts."""

from __future__ import annotations

from collections.abc import Hashable

from napari_seg.inference.forecast import Forecast


class Paces:
    """Multiplications a second as measured in this session, for each model and device that ran."""

    def __init__(self) -> None:
        self._known: dict[Hashable, float] = {}

    def __getitem__(self, key: Hashable) -> float | None:
        return self._known.get(key)

    def learn(self, key: Hashable, cost: Forecast, seconds: float) -> None:
        """A run that ``cost`` foretold took ``seconds``. What is not the network's work stays as foretold."""
        if cost.multiplications:
            spent = max(seconds - cost.beside, 0.1 * seconds, 1e-3)
            self._known[key] = cost.multiplications / spent
