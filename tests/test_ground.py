"""The ground everyone stands on: jobs, specs, and an import that loads nothing heavy."""

from __future__ import annotations

import subprocess
import sys

import pytest

import napari_seg
from napari_seg.errors import SegError
from napari_seg.inference.prediction import PredictSpec
from napari_seg.jobs import Progress, Steps, TimeLeft, job, run
from napari_seg.models.spec import Card, Event
from napari_seg.spec import Spec
from napari_seg.training.augment import Augmentation
from napari_seg.training.plan import TrainSpec


@job
def count(to: int, closed: list[int] | None = None) -> Steps[str]:
    """Count."""
    try:
        for number in range(to):
            yield Progress(number, to)
    finally:
        if closed is not None:
            closed.append(to)
    return "counted"


def test_a_job_may_be_called_or_watched() -> None:
    seen: list[Progress] = []
    assert count(3) == run(count.steps(3), seen.append) == "counted"
    assert [progress.fraction for progress in seen] == [0, 1 / 3, 2 / 3]
    assert count.__doc__ == "Count."


def test_closing_a_job_cancels_it() -> None:
    closed: list[int] = []
    steps = count.steps(9, closed)
    next(steps)
    steps.close()
    assert closed == [9]
    with pytest.raises(StopIteration):
        next(steps)


def test_a_watcher_that_fails_closes_the_job() -> None:
    closed: list[int] = []

    def fail(_: Progress) -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        run(count.steps(5, closed), fail)
    assert closed == [5]


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_time_left_ignores_the_start_and_follows_the_pace_of_late() -> None:
    clock = Clock()
    left = TimeLeft(clock)
    assert left(Progress(0, 100)) is None
    clock.now = 30  # the engine started, the model was loaded
    assert left(Progress(1, 100)) is None
    clock.now = 32
    assert left(Progress(11, 100)) == pytest.approx(17.8)
    for step in range(40):  # ten times slower from here
        clock.now += 1
        words = left(Progress(11 + 0.5 * (step + 1), 100))
    assert words == pytest.approx(69 / 0.5, rel=0.05)
    assert left(Progress(100, 100)) == 0
    assert Progress(0, 0).fraction == 0


def test_the_time_left_of_a_training_does_not_go_by_the_pace_of_its_reading() -> None:
    clock = Clock()
    left = TimeLeft(clock)

    def told(progress: Progress, seconds: float) -> float | None:
        clock.now += seconds
        return left(progress)

    for image in range(10):
        told(Progress(image + 1, 10, "", {"phase": "read"}), 1)
    assert told(Progress(1, 1000, "", {"phase": "train"}), 0.1) is None
    assert told(Progress(11, 1000, "", {"phase": "train"}), 2) == pytest.approx(197.8)
    assert told(Progress(11, 1000, "", {"phase": "score"}), 1) == pytest.approx(296.7)
    assert told(Progress(21, 1000, "", {"phase": "train"}), 2) == pytest.approx(244.75)
    assert told(Progress(1, 1000, "", {"phase": "train"}), 1) is None  # it began again, with smaller tiles
    for share in range(5):
        told(Progress(0.01 * share, 1, "", {"phase": "read"}), 10)  # of the whole of a retraining
    assert told(Progress(0.06, 1, "", {"phase": "train"}), 0.1) is None
    assert told(Progress(0.07, 1, "", {"phase": "train"}), 1) == pytest.approx(93)


class Settings(Spec):
    number: int = 1


def test_people_get_a_sentence_files_keep_what_they_say() -> None:
    with pytest.raises(SegError, match=r"^colour: there is no such setting, only number; correct this name\.$"):
        Settings.from_person({"colour": 1})
    with pytest.raises(SegError, match=r"^number: "):
        Settings.from_person({"number": "many"})
    with pytest.raises(SegError, match="correct"):
        Settings.from_file("{")
    kept = Settings.from_file('{"number": 2, "later": [1]}')
    assert Settings.from_file(kept.to_json()) == kept
    assert '"later": [1]' in kept.to_json()


@pytest.mark.parametrize(
    ("kind", "values", "sentence"),
    [
        (PredictSpec, {"diameter": float("nan")}, "diameter: it should be a number, not nan"),
        (PredictSpec, {"diameter": -1}, "diameter: it should be greater than 0, not -1"),
        (PredictSpec, {"device": "gpu"}, "device: it should be 'auto', 'cpu', 'cuda' or 'mps', not 'gpu'"),
        (PredictSpec, {"tile": (7.5, 9)}, "tile.0: it should be a whole number, not 7.5"),
        (PredictSpec, {"tile": 64}, "tile: it should be a tuple or a list, not 64"),
        (PredictSpec, {"channel": True}, "channel: it should be text, not True"),
        (TrainSpec, {"steps": 0}, "steps: it should be greater than or equal to 1, not 0"),
        (TrainSpec, {"classes": ("a", "a")}, "classes: two classes are named a"),
        (
            TrainSpec,
            {"augmentation": {"rotation": 999}},
            "augmentation.rotation: it should be less than .* 180, not 999",
        ),
        (Augmentation, {"flips": 3}, r"flips: it should be True, False or the numbers of axes such as \(0, 1\), not 3"),
        (Card, {"summary": ["x" * 1000]}, r"summary: it should be text, not \['x+\.\.\.x+'\]"),
        (Event, {"what": "trained"}, "when: it is missing"),
    ],
)
def test_a_wrong_value_in_python_is_one_sentence(kind: type[Spec], values: dict[str, object], sentence: str) -> None:
    with pytest.raises(SegError, match=f"^{sentence}; correct this value\\.$"):
        kind(**values)


@pytest.mark.parametrize("name", napari_seg.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(napari_seg, name) is not None
    assert name in dir(napari_seg)


def test_no_other_name_is_there() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = napari_seg.nothing


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = "import sys, napari_seg; print({'torch', 'napari', 'numpy', 'qtpy', 'pydantic'} & {*sys.modules})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
