"""The engine in a process of its own: it predicts the same bits, gives way at once, and leaves nothing behind."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import dask.array as da
import numpy as np
import psutil
import pytest
import zarr

from napari_seg import engine as engine_process
from napari_seg.data.formats import read, write
from napari_seg.data.volume import Volume
from napari_seg.editing.suspicion import disagreement
from napari_seg.errors import SegError
from napari_seg.gui import engine as link
from napari_seg.gui.engine import Cancelled, Died, Engine, Failed, Finished, Message, Progressed
from napari_seg.inference.expectation import expected_wrong
from napari_seg.inference.predict import PredictSpec, predict, redecode
from napari_seg.models.zoo import load_model
from napari_seg.session.fingerprint import fingerprint

IMAGE = Volume(np.random.default_rng(0).normal(100, 20, (2, 70, 90)).astype(np.float32), "ZYX", (2, 0.5, 0.5), "um")
SPEC = PredictSpec(device="cpu", precision="fp32")
SETTINGS = SPEC.model_dump(mode="json")


class Line:
    """An engine and everything it said since."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.said: list[Message] = []
        engine.said.connect(self.said.append)

    def wait(self, enough: Callable[[], bool], seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while not enough():
            assert time.monotonic() < end, self.said
            self.engine.poll()
            time.sleep(0.005)

    def last(self, number: int) -> Message:
        """What became of an order."""

        def over() -> list[Message]:
            return [m for m in self.said if m.order == number and not isinstance(m, Progressed)]

        self.wait(lambda: bool(over()))
        return over()[0]

    def predict(self, model: Path, image: Volume = IMAGE, **settings: Any) -> int:
        return self.engine.order("predict", image=image, model=str(model), settings=SETTINGS | settings, region=None)

    def working(self, number: int) -> None:
        """Wait until an order is under way."""
        self.wait(lambda: any(m.order == number for m in self.said))


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """One for all tests, as a start takes seconds; it starts itself anew where a test has killed it."""
    made = Engine()
    yield made
    made.close()


@pytest.fixture
def line(engine: Engine) -> Iterator[Line]:
    made = Line(engine)
    yield made
    engine.said.disconnect(made.said.append)


@pytest.fixture(scope="module")
def spots(model_file: Callable[..., Path]) -> Path:
    return model_file("instance")


def test_objects_of_a_film_are_counted_at_each_time_point(line: Line, spots: Path) -> None:
    film = Volume(np.stack([IMAGE.data[0]] * 3), "TYX", (0.5, 0.5), "um")
    message = line.last(line.predict(spots, film, threshold=0.3))
    assert isinstance(message, Finished), message
    count = np.count_nonzero(np.unique(message.answer["labels"][0]))
    assert count > 0
    assert len(message.answer["sizes"]) == 3 * count


ENDLESS = Volume(np.zeros((4000, 64, 64), np.float32), "ZYX")
"""Slice by slice this takes minutes."""


def test_same_bits_as_in_this_process_and_thresholds_again(line: Line, spots: Path) -> None:
    number = line.predict(spots)
    message = line.last(number)
    assert isinstance(message, Finished), message
    here = predict(load_model(spots), IMAGE, PredictSpec.model_validate(SETTINGS))
    np.testing.assert_array_equal(message.answer["labels"], here.labels.data)
    assert message.answer["axes"] == "ZYX"
    assert sum(count for _, count in message.answer["sizes"]) == np.count_nonzero(here.labels.data)
    assert message.answer["model_hash"] == hashlib.sha256(spots.read_bytes()).hexdigest()
    assert message.answer["doubt"] == pytest.approx(expected_wrong(here))
    thresholds = {"threshold": 0.45, "seeds": 0.4, "smallest": 3.0}
    again = line.last(line.engine.order("redecode", prediction=number, thresholds=thresholds, region=None))
    assert isinstance(again, Finished), again
    np.testing.assert_array_equal(again.answer["labels"], redecode(here, **thresholds))
    box = {"start": (0, 10, 20), "stop": (2, 40, 60), "time": None}
    part = line.last(line.engine.order("redecode", prediction=number, thresholds=thresholds, region=box))
    assert isinstance(part, Finished), part
    assert part.answer["labels"].shape == (2, 30, 40)
    unknown = line.last(line.engine.order("redecode", prediction=999, thresholds=thresholds, region=None))
    assert isinstance(unknown, Failed)
    assert unknown.sentence.endswith("press Segment again.")
    assert not unknown.traceback


def test_a_file_is_read_and_segmented_by_the_engine(line: Line, spots: Path, tmp_path: Path) -> None:
    path = write(IMAGE, tmp_path / "stack.ome.tif")
    bad = tmp_path / "notes.png"
    bad.write_text("not a picture")
    known = {"model": str(spots), "settings": SETTINGS, "axes": None}
    refused = line.last(line.engine.order("predict_file", path=str(bad), **known))
    assert isinstance(refused, Failed)
    assert not refused.traceback
    message = line.last(line.engine.order("predict_file", path=str(path), **known))
    assert isinstance(message, Finished), message
    here, answer = read(path), message.answer
    np.testing.assert_array_equal(answer["labels"], predict(load_model(spots), here, SPEC).labels.data)
    image = answer["image"]
    assert image["fingerprint"] == fingerprint(here)
    assert (image["axes"], tuple(image["shape"]), image["name"]) == (here.axes, here.shape, here.name)
    assert (tuple(image["spacing"]), image["unit"]) == (here.spacing, here.unit)
    told = json.dumps([[{"spacing": here.spacing, "unit": here.unit}, {"spacing": [3, 2, 2], "unit": "um"}]])
    for whose, spacing in ((fingerprint(here), (3, 2, 2)), ("of another image", here.spacing)):
        sized = line.last(line.engine.order("predict_file", path=str(path), **known, sized=(whose, told)))
        assert isinstance(sized, Finished), sized
        assert tuple(sized.answer["image"]["spacing"]) == spacing
    again = line.last(line.engine.order("redecode", prediction=message.order, thresholds={}, region=None))
    assert isinstance(again, Failed)  # the scores of a folder would not fit into memory


def test_an_image_that_another_one_took_the_place_of_is_refused(line: Line, spots: Path, tmp_path: Path) -> None:
    """Its mask would lie on the picture of the one that is shown."""
    path, place = tmp_path / "cells.ome.zarr", "in its file since it was opened; open it again."
    order = {"model": str(spots), "settings": SETTINGS, "region": None}

    def refused(verb: str, **content: Any) -> None:
        failed = line.last(line.engine.order(verb, **order | content))
        assert isinstance(failed, Failed)
        assert failed.sentence.endswith(place)
        assert not failed.traceback

    opened = read(write(IMAGE, path))
    shown = replace(opened, data=da.from_array(opened.data))
    assert isinstance(line.last(line.predict(spots, shown)), Finished)
    shutil.rmtree(path)
    write(replace(IMAGE, data=IMAGE.data[:, ::-1]), path)
    refused("predict", image=shown)
    taught = {"session": str(tmp_path), "image": 1, "plane": "objects"}
    refused("live", lessons=[{**taught, "volume": shown}])
    refused("examine", lessons=[{**taught, "volume": shown}], agreed=[], settings={})
    assert isinstance(line.last(line.predict(spots, read(path))), Finished)
    opened = read(path)
    zarr.open_array(path / "0", mode="r+")[...] = 7  # the same folder, with the voxels of another one
    refused("predict", image=opened)


def test_an_image_that_cannot_be_read_any_more_is_not_waited_for(line: Line, spots: Path) -> None:
    class Damaged:
        shape, dtype, ndim = IMAGE.shape, IMAGE.dtype, 3

        def __getitem__(self, key: Any) -> Any:
            raise SegError("A part of it is damaged; get the file again.")

    failed = line.last(line.predict(spots, replace(IMAGE, data=Damaged())))
    assert failed == Failed(failed.order, "A part of it is damaged; get the file again.")


def test_mirrored_predictions_are_compared_with_the_scores_of_before(line: Line, spots: Path, tmp_path: Path) -> None:
    model = load_model(spots)
    plain, mirrored = (predict(model, IMAGE, SPEC.model_copy(update={"flips": k})) for k in (False, True))
    np.save(tmp_path / "scores.npy", plain.scores)
    files = {"scores": str(tmp_path / "scores.npy"), "path": str(tmp_path / "mirrored.npy")}
    sha = hashlib.sha256(spots.read_bytes()).hexdigest()
    order = {"image": IMAGE, "model": str(spots), "model_hash": sha, "settings": SETTINGS}
    other = line.last(line.engine.order("compare_mirrored", **order | {"model_hash": "0f"}, **files))
    assert isinstance(other, Failed)
    assert "another one" in other.sentence
    assert isinstance(line.last(line.engine.order("compare_mirrored", **order, **files)), Finished)
    found = np.load(tmp_path / "mirrored.npy")
    assert found.shape == IMAGE.grid
    np.testing.assert_array_equal(found, disagreement(plain.scores, mirrored.scores))
    assert found.any()


def test_a_users_mistake_is_a_sentence_and_a_bug_a_traceback(line: Line, spots: Path, tmp_path: Path) -> None:
    flat = Volume(np.zeros((3, 20, 20)), "CYX")
    mistake = line.last(line.predict(spots, flat))
    assert isinstance(mistake, Failed)
    assert "choose one of them" in mistake.sentence
    assert not mistake.traceback
    bug = line.last(line.predict(spots, colour="green"))
    assert isinstance(bug, Failed)
    assert bug.sentence.startswith("This is a bug in napari-seg: ValidationError:")
    assert "ValidationError" in bug.traceback


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (OSError(errno.ENOSPC, "full", "a.npy"), "The disk is full (a.npy); free some space and start again."),
        (PermissionError(errno.EACCES, "no", "a"), "You may not open a; ask its owner, or choose another place."),
    ],
)
def test_a_limit_of_the_machine_is_no_bug(
    error: OSError, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*_: Any) -> None:
        raise error

    class Orders:
        cancelled: ClassVar[set[int]] = set()

        def __init__(self) -> None:
            self.orders, self._left = self, [{"id": 1, "verb": "breaks"}]

        def get(self) -> dict[str, Any]:
            return self._left.pop()

    monkeypatch.setitem(engine_process.VERBS, "breaks", breaks)
    lines = io.StringIO()
    with pytest.raises(IndexError, match="pop from empty list"):
        engine_process.serve(Orders(), engine_process.Outbox(lines), engine_process.Desk(tmp_path))  # type: ignore[arg-type]
    said = json.loads(lines.getvalue())
    assert (said["what"], said["sentence"], said["traceback"]) == ("failed", sentence, "")


def test_who_waits_for_a_thread_is_told_that_it_broke_and_the_bug_is_shown(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown, told = list[Any](), list[Any]()
    monkeypatch.setattr(threading, "excepthook", lambda about: shown.append(about.exc_value))
    line.engine.later(lambda: 1 / 0, told.append, "checks", told.append)
    until = time.monotonic() + 20
    while not (told and shown) and time.monotonic() < until:
        line.engine.poll()
    assert [type(error) for error in (*told, *shown)] == [ZeroDivisionError] * 2


def test_a_disk_that_fills_while_an_image_is_handed_over_is_told(
    line: Line, spots: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without ending the window, as what is written through a map of a file does."""
    opened = Path.open

    class Full(io.FileIO):
        def write(self, data: Any) -> int:
            if self.tell() + memoryview(data).nbytes > IMAGE.data.nbytes // 2:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(data)

    def open_full(path: Path, mode: str = "r", *about: Any, **more: Any) -> Any:
        full = path.name.startswith("image-") and "w" in mode
        return Full(path, "w") if full else opened(path, mode, *about, **more)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", open_full)
        failed = line.last(line.predict(spots))
    assert isinstance(failed, Failed)
    assert "could not be handed over (no space left on device); free some space in" in failed.sentence
    assert isinstance(line.last(line.predict(spots)), Finished)


@pytest.mark.parametrize("dtype", [">i2", "<f4", "?"])
def test_an_image_is_handed_over_as_it_is(tmp_path: Path, dtype: str) -> None:
    whole = (np.random.default_rng(0).random((5, 6, 7)) * 9).astype(dtype)
    for data in (whole, whole.T, whole[::2, :, 1], da.from_array(whole, chunks=2)):
        link._save(Volume(data, "ZYX"[-data.ndim :]), tmp_path / "a.npy")
        found = np.load(tmp_path / "a.npy", mmap_mode="r")
        assert found.dtype == whole.dtype
        np.testing.assert_array_equal(found, np.asarray(data))


def test_cancel_takes_less_than_a_second_and_the_next_order_works(line: Line, spots: Path) -> None:
    number = line.predict(spots, ENDLESS)
    line.working(number)
    began = time.monotonic()
    line.engine.cancel(number)
    assert line.last(number) == Cancelled(number)
    assert time.monotonic() - began < 1
    assert isinstance(line.last(line.predict(spots)), Finished)


def test_what_does_not_listen_is_killed_and_started_anew(line: Line, spots: Path) -> None:
    number = line.predict(spots, ENDLESS)
    line.working(number)
    first = line.engine.pid
    assert first is not None
    psutil.Process(first).suspend()
    line.engine.cancel(number)
    began = time.monotonic()
    assert line.last(number) == Cancelled(number)
    assert time.monotonic() - began < 1
    assert not psutil.pid_exists(first)
    assert isinstance(line.last(line.predict(spots)), Finished)
    assert line.engine.pid != first


def test_what_waits_behind_a_job_that_must_be_killed_is_carried_out_after_all(line: Line, spots: Path) -> None:
    number = line.predict(spots, ENDLESS)
    line.working(number)
    psutil.Process(line.engine.pid).suspend()
    line.engine.cancel(number)
    behind = line.predict(spots)
    assert line.last(number) == Cancelled(number)
    assert isinstance(line.last(behind), Finished)


def test_a_job_goes_on_when_one_that_waits_behind_it_is_cancelled(line: Line, spots: Path) -> None:
    number = line.predict(spots, ENDLESS)
    line.working(number)
    first = line.engine.pid
    behind = line.predict(spots)
    line.engine.cancel(behind)
    assert line.last(behind) == Cancelled(behind)
    assert line.engine.pid == first
    line.said.clear()
    line.working(number)  # it still tells how far it is
    line.engine.cancel(number)
    assert isinstance(line.last(number), Cancelled)


def test_a_killed_engine_is_said_and_started_anew(line: Line, spots: Path) -> None:
    number = line.predict(spots, ENDLESS)
    line.working(number)
    psutil.Process(line.engine.pid).kill()
    died = line.last(number)
    assert isinstance(died, Died)
    assert died.reason == "it was killed, as happens where memory runs out"
    assert isinstance(line.last(line.predict(spots)), Finished)


@pytest.mark.skipif(not hasattr(psutil, "RLIMIT_AS"), reason="only Linux limits the memory of another process")
def test_an_engine_without_memory_says_so(spots: Path) -> None:
    line = Line(Engine())
    assert isinstance(line.last(line.predict(spots)), Finished)
    process = psutil.Process(line.engine.pid)
    limit = process.memory_info().vms + 2**24
    process.rlimit(psutil.RLIMIT_AS, (limit, limit))
    large = Volume(np.zeros((4096, 4096), np.float32), "YX")
    told = line.last(line.predict(spots, large))
    line.engine.close()
    assert isinstance(told, Died) or (isinstance(told, Failed) and "memory" in told.sentence), told


def test_nothing_is_left_when_the_window_is_killed(spots: Path, tmp_path: Path) -> None:
    window = (
        "import sys, time, numpy as np\n"
        "from napari_seg.data.volume import Volume\n"
        "from napari_seg.gui.engine import Engine\n"
        "engine = Engine()\n"
        "image = Volume(np.zeros((4000, 64, 64), np.float32), 'ZYX')\n"
        f"engine.order('predict', image=image, model={str(spots)!r}, settings={SETTINGS!r}, region=None)\n"
        "said = []\n"
        "engine.said.connect(said.append)\n"
        "while not said:\n"
        "    engine.poll()\n"
        "    time.sleep(0.01)\n"
        "print(engine.pid, engine._folder, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", window], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid, folder = parent.stdout.readline().split()
        engine = psutil.Process(int(pid))
        assert Path(folder).is_dir()
        parent.kill()
    engine.wait(10)
    assert not Path(folder).exists()


def test_closing_ends_the_process_and_removes_the_folder(spots: Path) -> None:
    line = Line(Engine())
    assert isinstance(line.last(line.predict(spots)), Finished)
    assert line.engine.pid is not None
    process, folder = psutil.Process(line.engine.pid), line.engine._folder
    line.engine.close()
    assert not process.is_running()
    assert not folder.exists()
