"""A search tries what it says, halves as it says, repeats, stops with the best so far, and never looks too far."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from discs import Disc, lessons, tiny
from safetensors.torch import load_file

from napari_seg.data.formats import write
from napari_seg.errors import SegError
from napari_seg.jobs import Progress, run
from napari_seg.models.file import read_spec
from napari_seg.models.model import Model
from napari_seg.training import search as module
from napari_seg.training import test_set
from napari_seg.training.augment import Augmentation
from napari_seg.training.candidates import candidates
from napari_seg.training.cases import Lesson
from napari_seg.training.halving import goals, milestones, rounds
from napari_seg.training.plan import Facts, TrainSpec
from napari_seg.training.search import Found, search

FACTS = [Facts.of(*lesson.load()[:2], TrainSpec()) for lesson in lessons()]
FREE = TrainSpec(seed=3)


def split(count: int = 5) -> list[Lesson]:
    """The last two are for validation."""
    return [Disc(f"d{k}", f"g{k}", k, split="train" if k < count - 2 else "val") for k in range(count)]


def some(**changes: object) -> TrainSpec:
    """Settings of which the network, the learning rate, the loss and the augmentation are free."""
    spec = tiny(**changes).model_dump(exclude_unset=True)
    return TrainSpec.from_person({name: value for name, value in spec.items() if name != "learning_rate"})


class TestCandidates:
    def test_the_first_is_the_choice_of_the_plan_and_all_differ(self):
        found = candidates(FACTS, FREE, 27)
        settings = [one.settings for one in found]
        planned = {"network": "unet", "width": 32, "learning_rate": 2e-3, "loss": "dice", "augmentation": 1.0}
        assert planned.items() <= settings[0].items()
        assert found[0].spec == FREE
        assert len(found) == 27
        assert all(one not in settings[:k] for k, one in enumerate(settings))
        for name in settings[0]:
            values = [one[name] for one in settings]
            assert len({*values}) > 1, name
            assert 5 < values.count(values[0]) < 27, name  # about half keep the choice of the plan

    def test_they_come_from_the_seed_and_the_number_alone(self):
        many, few = candidates(FACTS, FREE, 9), candidates(FACTS, FREE, 4)
        assert [one.settings for one in many[:4]] == [one.settings for one in few]
        other = candidates(FACTS, FREE.model_copy(update={"seed": 4}), 9)
        assert [one.settings for one in many[1:]] != [one.settings for one in other[1:]]

    def test_what_a_person_has_set_stays(self):
        given = TrainSpec(network="vnet", width=8, loss="focal", depth=None, seed=1)
        for one in candidates(FACTS, given, 12):
            assert {"network": "vnet", "width": 8, "loss": "focal"}.items() <= one.settings.items()
        everything = candidates(FACTS, FREE, 1)[0].settings | {"augmentation": Augmentation()}
        with pytest.raises(SegError, match="leave one of network, width, depth"):
            candidates(FACTS, TrainSpec.from_person(everything), 9)

    def test_patches_suit_the_networks(self):
        given = TrainSpec(patch=(24, 24), depth=None)  # three levels at most
        found = candidates(FACTS, TrainSpec(patch=(24, 24), depth=3), 9) + candidates(FACTS, given, 9)[1:]
        assert all(24 % 2**one.model.network.depth == 0 for one in found)

    def test_a_small_space_gives_fewer(self):
        given = candidates(FACTS, FREE, 1)[0].settings
        only_loss = {name: given[name] for name in ("network", "width", "depth", "learning_rate")}
        found = candidates(FACTS, TrainSpec.from_person({**only_loss, "augmentation": Augmentation()}), 9)
        assert sorted(one.settings["loss"] for one in found) == ["dice", "focal", "tversky"]


class TestRounds:
    def test_a_third_stays(self):
        assert [rounds(n) for n in (2, 3, 4, 9, 27)] == [[2, 1], [3, 1], [4, 2, 1], [9, 3, 1], [27, 9, 3, 1]]

    def test_every_round_gets_the_same_share_of_the_time(self):
        ends = milestones(9)
        shares = [ends[0], ends[1] - ends[0], ends[2] - ends[1]]
        assert [share * left for share, left in zip(shares, (9, 3, 1), strict=True)] == pytest.approx([shares[2]] * 3)
        assert ends[-1] == pytest.approx(1)

    @pytest.mark.parametrize("total", [3, 4, 13, 1000])
    def test_every_round_makes_a_step_and_the_last_ends_at_the_end(self, total):
        made = goals(total, 9)
        assert made[0] == 0
        assert made[-1] == total
        assert all(a < b for a, b in itertools.pairwise(made))


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Found, Path, list[Progress]]:
    path, seen = tmp_path_factory.mktemp("search") / "m.safetensors", list[Progress]()
    return run(search.steps(split(), some(steps=26), save_to=path, count=4), seen.append), path, seen


def test_the_best_is_trained_to_the_end_and_is_one_file(searched):
    found, path, seen = searched
    assert [one.name for one in path.parent.iterdir()] == ["m.safetensors"]
    assert Model.load(path).spec == found.model.spec
    assert sorted(one.number for one in found.table) == [0, 1, 2, 3]
    assert [one.rounds for one in found.table[1:]] == sorted((one.rounds for one in found.table[1:]), reverse=True)
    assert sorted(one.rounds for one in found.table) == [1, 1, 2, 3]
    assert {one.steps for one in found.table if one.rounds == 3} == {26}
    assert {one.steps for one in found.table if one.rounds == 1} == {goals(26, 4)[1]}
    assert [one.taken for one in found.table] == [True, False, False, False]
    assert found.table[0].score == max(one.score or 0 for one in found.table)
    scores = [progress.detail["score"] for progress in seen if "score" in progress.detail]
    assert max(scores) == found.table[0].score


def test_a_search_that_is_too_short_says_so(searched):
    assert searched[0].note.startswith("In the first round some candidates made 4 steps only")
    assert goals(26, 4)[1] == 4


def test_what_was_tried_is_in_the_history(searched):
    found, path, _ = searched
    (event,) = read_spec(path).history
    assert event.what == "found by search"
    assert event.details["tried"] == [one.model_dump(mode="json") for one in found.table]
    assert event.details["would_make"] == [26] * 4
    assert event.details["steps"] == found.table[0].steps
    assert event.details["training"]["loss"] == found.table[0].loss
    assert event.details["training"]["learning_rate"] == found.table[0].learning_rate
    assert event.details["learned_from"] == 3
    network = found.model.spec.network
    assert (network.kind, network.width) == (found.table[0].network, found.table[0].width)


def test_progress_grows_to_the_end(searched):
    done = [progress.done for progress in searched[2] if "loss" in progress.detail]
    assert done == sorted(done)
    assert done[-1] == pytest.approx(1)
    visits = [(p.detail["round"], p.detail["candidate"]) for p in searched[2] if "loss" in p.detail]
    assert [visit for visit in dict.fromkeys(visits) if visit[0] == 0] == [(0, 0), (0, 1), (0, 2), (0, 3)]


def test_those_with_the_best_scores_stay(tmp_path, monkeypatch):
    worth = {0: 0.1, 1: 0.5, 2: 0.2, 3: 0.9}
    visited: list[tuple[int, int]] = []
    plain = module._Search._visit

    def watched(self: Any, k: int, number: int) -> Any:
        visited.append((number, k))
        monkeypatch.setattr(module, "score", lambda *rest: iter_of(worth[k]))
        yield from plain(self, k, number)

    monkeypatch.setattr(module._Search, "_visit", watched)
    found = search(split(), some(steps=4), save_to=tmp_path / "m.safetensors", count=4)
    assert visited == [(0, 0), (0, 1), (0, 2), (0, 3), (1, 1), (1, 3), (2, 3)]
    assert [one.number for one in found.table] == [3, 1, 2, 0]
    assert found.table[0].taken


def iter_of(value: float) -> Any:
    """A job that does nothing and returns a value."""
    yield from ()
    return value


def test_the_last_has_trained_as_if_it_were_alone(tmp_path):
    """Stopped between the rounds it makes the very steps of one training: the first candidate is the plan's choice."""
    spec, losses = some(steps=9), dict[str, list[float]]()
    for name, count in (("alone", 2), ("among", 3)):
        steps = search.steps(split(), spec, save_to=tmp_path / f"{name}.safetensors", count=count)
        seen: list[Progress] = []
        run(steps, seen.append)
        first = [p.detail for p in seen if p.detail.get("candidate") == 0 and "loss" in p.detail]
        losses[name] = [detail["loss"] for detail in first]
    shared = min(map(len, losses.values()))
    assert shared >= goals(9, 3)[1]
    assert losses["alone"][:shared] == losses["among"][:shared]


MOMENTS: list[Callable[[Progress], bool]] = [
    lambda p: p.detail.get("candidate") == 1 and p.detail.get("round") == 0,
    lambda p: p.detail.get("round") == 1 and "score" in p.detail,
    lambda p: p.detail.get("round") == 1 and p.detail.get("step") == 12,
]


@pytest.mark.parametrize("moment", MOMENTS, ids=["first round", "after a look", "last round"])
def test_stopped_it_keeps_the_best_so_far_and_resumed_it_ends_the_same(moment, tmp_path):
    spec = some(steps=13)
    whole = search(split(), spec, save_to=tmp_path / "whole.safetensors", count=3)
    path, best = tmp_path / "broken.safetensors", 0.0
    steps = search.steps(split(), spec, save_to=path, count=3)
    for progress in steps:
        best = max(best, progress.detail.get("score", 0.0))
        if moment(progress):
            break
    else:
        raise AssertionError("the moment did not come")
    steps.close()
    tried = Model.load(path).spec.history[-1].details["tried"]
    assert tried[0]["score"] == best
    assert tried[0]["taken"]
    again = search(split(), spec, save_to=path, count=3, resume=True)
    assert again.table == whole.table
    a, b = (load_file(tmp_path / f"{name}.safetensors") for name in ("whole", "broken"))
    assert all(torch.equal(a[key], b[key]) for key in a)
    assert not (tmp_path / "broken.safetensors.search").exists()


def test_killed_it_keeps_the_best_so_far_and_goes_on_to_the_same_bits(tmp_path):
    path = tmp_path / "killed.safetensors"
    program = (
        "import os\nfrom test_search import search, some, split\n"
        f"for progress in search.steps(split(), some(steps=13), save_to={str(path)!r}, count=3):\n"
        "    if progress.detail.get('round') == 1 and progress.detail['step'] == 10:\n        os._exit(9)"
    )
    here = Path(__file__).parent
    around = {**os.environ, "PYTHONPATH": str(here.parents[1])}
    ended = subprocess.run([sys.executable, "-c", program], cwd=here, env=around, capture_output=True, check=False)
    assert ended.returncode == 9, ended.stderr
    assert Model.load(path).spec.history[-1].details["tried"][0]["taken"]
    whole = search(split(), some(steps=13), save_to=tmp_path / "whole.safetensors", count=3)
    again = search(split(), some(steps=13), save_to=path, count=3, resume=True)
    assert again.table == whole.table
    a, b = (load_file(tmp_path / f"{name}.safetensors") for name in ("whole", "killed"))
    assert all(torch.equal(a[key], b[key]) for key in a)


def test_only_the_same_search_is_resumed(tmp_path):
    path = tmp_path / "m.safetensors"
    with pytest.raises(SegError, match="no stopped search"):
        search(split(), some(), save_to=path, count=2, resume=True)
    steps = search.steps(split(), some(), save_to=path, count=2)
    assert any("score" in progress.detail for progress in steps)
    steps.close()
    with pytest.raises(
        SegError, match=r"other settings: seed was 0 and is 1; resume with the same ones or delete .*search"
    ):
        search([], some(seed=1), save_to=path, count=2, resume=True)
    with pytest.raises(SegError, match="was among other images; resume with the same ones or delete"):
        search(split(6), some(), save_to=path, count=2, resume=True)
    with pytest.raises(SegError, match="among 2 candidates, not 3"):
        search(split(), some(), save_to=path, count=3, resume=True)


def test_what_a_stopped_search_kept_is_there_to_go_on(tmp_path):
    path, aside = tmp_path / "m.safetensors", tmp_path / "aside.safetensors"
    steps = search.steps(split(), some(), save_to=path, count=2)
    assert any("score" in progress.detail for progress in steps)
    steps.close()
    path.rename(aside)
    with pytest.raises(
        SegError, match=r"kept its model in .*m\.safetensors, where it no longer is; put it back or del"
    ):
        search([], some(), save_to=path, count=2, resume=True)
    for cases, spec in ((split(), some(seed=1)), (split(6), some())):
        search(cases, spec, save_to=tmp_path / "other.safetensors", count=2)
        (tmp_path / "other.safetensors").rename(path)
        with pytest.raises(
            SegError, match=r"kept another model in .* than lies there now; put it back or delete .*anew"
        ):
            search([], some(), save_to=path, count=2, resume=True)
    aside.replace(path)
    assert search(split(), some(), save_to=path, count=2, resume=True).table[0].taken


def test_stopped_in_its_first_steps_there_is_a_model_too(tmp_path):
    path = tmp_path / "m.safetensors"
    steps = search.steps(split(), some(), save_to=path, count=2)
    assert any(progress.detail.get("step") == 2 for progress in steps)
    steps.close()
    assert Model.load(path).spec.history[-1].details["tried"][0]["score"] is None


def test_stopped_in_its_first_steps_it_leaves_the_model_that_was_there(tmp_path, model_file):
    path, samples = tmp_path / "m.safetensors", tmp_path / "m.samples.safetensors"
    before = model_file("semantic").read_bytes()
    path.write_bytes(before)
    samples.write_bytes(b"its samples")
    steps = search.steps(split(), some(steps=26), save_to=path, count=2)
    next(progress for progress in steps if "loss" in progress.detail)
    steps.close()
    assert (path.read_bytes(), samples.read_bytes()) == (before, b"its samples")


def test_minutes_become_steps_and_decide_how_many_are_tried(tmp_path):
    spec = TrainSpec.from_person({**some().model_dump(exclude={"steps"}, exclude_unset=True), "minutes": 0.05})
    found = search(split(), spec, save_to=tmp_path / "m.safetensors")
    assert len(found.table) == 3  # there is no time for more
    assert all(steps >= 2 for steps in found.model.spec.history[-1].details["would_make"])


@pytest.mark.parametrize(("steps", "count"), [(100, 3), (1310, 9), (4010, 27)])
def test_as_many_are_tried_as_can_make_some_steps(steps, count, tmp_path):
    bench = module._Bench([], [], FREE.model_copy(update={"steps": steps}), tmp_path / "m")
    note = run(bench.divide(candidates(FACTS, FREE, 27), None, 0))
    assert note.totals == (steps,) * count


def test_what_cannot_be_searched_is_refused_in_a_sentence(tmp_path):
    path = tmp_path / "m.safetensors"
    with pytest.raises(SegError, match="2 candidates or more"):
        search(split(), some(), save_to=path, count=1)
    with pytest.raises(SegError, match="others to measure on"):
        search(lessons(), some(), save_to=path)
    test_set.add([write(split()[4].load().image, tmp_path / "marked.tif")])
    with pytest.raises(SegError, match=r"test set \(d4\)"):
        search(split(), some(), save_to=path)
    assert not path.exists()
