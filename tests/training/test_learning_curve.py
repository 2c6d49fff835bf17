"""What is foretold from rounds of retraining, and when nothing is."""

from __future__ import annotations

import numpy as np
import pytest

from napari_seg.training.learning_curve import Round, forecast


def curve(*numbers: int, ceiling: float, fall: float, rate: float, noise: float = 0.0, seed: int = 0) -> list[Round]:
    rng = np.random.default_rng(seed)
    scores = [ceiling - fall * (n / numbers[0]) ** -rate + rng.normal() * noise for n in numbers]
    return [Round(corrected=n, score=score, spread=noise) for n, score in zip(numbers, scores, strict=True)]


def test_too_few_rounds_say_nothing() -> None:
    told = forecast(curve(5, 10, ceiling=0.95, fall=0.4, rate=1))
    assert (told.more, told.interval) == (None, (None, None))
    assert told.sentence == "Nothing can be said yet; correct more and retrain 1 more time."
    same = [Round(corrected=5, score=score) for score in (0.5, 0.6, 0.7)]  # retrained without a correction more
    assert forecast(same).more is None
    assert "2 more times" in forecast(same).sentence


def test_the_goal_is_reached() -> None:
    told = forecast([Round(corrected=5, score=0.92)])
    assert (told.more, told.sentence) == (0, "0.9 is reached: the last round scored 0.92.")


def test_a_curve_that_levels_off_promises_nothing() -> None:
    told = forecast([Round(corrected=n, score=0.8, spread=0.005) for n in (10, 20, 40, 80, 160)])
    assert told.more is None
    assert told.sentence.startswith(
        "No more gain expected: twice as many corrected objects would bring about 0.00, 0.0"
    )


def test_a_goal_above_the_ceiling_is_not_promised() -> None:
    told = forecast(curve(5, 10, 20, 40, ceiling=0.7, fall=0.4, rate=0.7))
    assert told.more is None
    assert told.sentence.startswith("0.9 is not in sight: twice as many corrected objects would bring about 0.6")


@pytest.mark.parametrize("rate", [0.5, 1.0, 1.5])
def test_the_interval_holds_what_comes(rate: float) -> None:
    """Of simulated learning curves, the number of corrections it really took lies within, in most cases."""
    ceiling, fall, truth = 0.97, 0.45, 60
    goal = ceiling - fall * (truth / 5) ** -rate
    inside = []
    for seed in range(20):
        rounds = curve(5, 10, 15, 20, ceiling=ceiling, fall=fall, rate=rate, noise=0.015, seed=seed)
        few, many = forecast(rounds, goal=goal, what="slices").interval
        inside.append((few or 0) <= truth - 20 and (many is None or truth - 20 <= many))
    assert np.mean(inside) >= 0.8


def test_more_rounds_know_more() -> None:
    few = forecast(curve(5, 10, 20, ceiling=0.98, fall=0.4, rate=0.6, noise=0.005), goal=0.92)
    many = forecast(curve(5, 10, 20, 40, 60, ceiling=0.98, fall=0.4, rate=0.6, noise=0.005), goal=0.92)
    assert many.more is not None
    assert many.sentence.startswith(f"About {many.more} more corrected objects for 0.92 (")
    assert few.interval[1] is None or many.interval[1] is not None
