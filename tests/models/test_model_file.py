"""A model is one file that knows what it is; anything else is refused in one sentence."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from napari_seg.errors import SegError
from napari_seg.models.file import KEY, read_spec
from napari_seg.models.model import Model
from napari_seg.models.spec import InputSpec, ModelSpec, NetworkSpec, Normalisation
from napari_seg.models.zoo import find, load_model, shipped
from napari_seg.tasks.semantic import Semantic


def tiny(**changes: object) -> ModelSpec:
    network = NetworkSpec(width=2, depth=1, out_channels=2)
    return ModelSpec.from_person(
        {"name": "tiny", "network": network, "task": Semantic(), "input": InputSpec(patch=(8, 8))} | changes
    )


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    return Model.create(tiny(), seed=1).save(tmp_path / "tiny.safetensors")


def test_save_and_load_give_the_same_scores(tmp_path: Path) -> None:
    model = Model.create(tiny(), seed=3)
    path = model.save(tmp_path / "deep" / "model.safetensors")
    loaded = Model.load(path)
    assert loaded.spec == model.spec == read_spec(path)
    image = torch.rand(1, 1, 8, 8)
    torch.testing.assert_close(loaded.network(image), model.network(image), atol=1e-2, rtol=1e-2)
    assert Model.load(loaded.save(tmp_path / "again.safetensors")).network(image).equal(loaded.network(image))


def test_the_same_seed_gives_the_same_weights_and_leaves_the_generator_alone() -> None:
    torch.manual_seed(7)
    before = torch.get_rng_state()
    a, b = (Model.create(tiny(), seed=5).network.state_dict() for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_threads_that_make_models_at_once_get_the_weights_of_their_seeds() -> None:
    network = NetworkSpec(width=8, depth=3, out_channels=2)
    alone = [Model.create(tiny(network=network), seed=seed).digest for seed in range(4)]
    before = torch.get_rng_state()
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda k: Model.create(tiny(network=network), seed=k % 4).digest, range(60)))
    assert found == alone * 15
    assert torch.equal(torch.get_rng_state(), before)


def test_a_seed_gives_the_weights_that_it_always_gave() -> None:
    head = Model.create(tiny(), seed=5).network.state_dict()["head.weight"].flatten()
    np.testing.assert_allclose(head, [1.977433, -0.622383, 0.822426, 0.085214], atol=1e-5)


def test_keys_of_a_newer_version_survive(saved: Path, tmp_path: Path) -> None:
    spec = json.loads(read_spec(saved).to_json())
    spec["later"], spec["network"]["later"] = 1, 2
    kept = json.loads(ModelSpec.from_file(json.dumps(spec)).to_json())
    assert (kept["later"], kept["network"]["later"]) == (1, 2)
    with pytest.raises(SegError, match="later"):
        ModelSpec.from_person(spec)


def test_saving_over_a_model_that_cannot_be_written_keeps_it(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = saved.read_bytes()

    def full(path: Path, data: bytes) -> None:
        with path.open("wb") as file:
            file.write(data[: len(data) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(SegError, match=r"\(no space left on device\); free some space\.$"):
        Model.create(tiny()).save(saved)
    assert saved.read_bytes() == before
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]


@pytest.mark.parametrize("name", ["scan.tif", "folder", "tiny.samples.safetensors"])
def test_a_model_takes_the_place_of_nothing_but_a_model(tmp_path: Path, name: str) -> None:
    model, work = Model.create(tiny()), tmp_path / "folder" / "work"
    work.parent.mkdir()
    work.write_text("work")
    (tmp_path / "scan.tif").write_text("scan")
    save_file({}, tmp_path / "tiny.samples.safetensors")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(SegError, match=r"; choose another name for the model\.$"):
        model.save(tmp_path / name)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_model_takes_the_place_of_a_model(saved: Path) -> None:
    model = Model.create(tiny(), seed=2)
    assert Model.load(model.save(saved)).digest == Model.load(model.save(saved.with_name("other"))).digest


def test_a_model_is_as_readable_as_any_other_file(saved: Path) -> None:
    other = saved.with_name("other")
    other.touch()
    assert saved.stat().st_mode == other.stat().st_mode


@pytest.mark.parametrize("keep", [0, 4, 8, 60, 0.5, 0.99])
def test_truncated_files(saved: Path, keep: float) -> None:
    data = saved.read_bytes()
    saved.write_bytes(data[: keep if isinstance(keep, int) else int(len(data) * keep)])
    with pytest.raises(SegError):
        Model.load(saved)


def with_header(path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """The file with a header that was tampered with, and the weights as they were."""
    data = path.read_bytes()
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    change(header)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data[end:])
    return path


def first_tensor(header: dict[str, Any]) -> dict[str, Any]:
    tensor: dict[str, Any] = next(entry for name, entry in header.items() if name != "__metadata__")
    return tensor


@pytest.mark.parametrize(
    "change",
    [
        lambda header: first_tensor(header).update(data_offsets=[0, 2**60]),
        lambda header: first_tensor(header).update(dtype="I8"),
        lambda header: first_tensor(header).update(dtype="X"),
        lambda header: first_tensor(header).update(shape=[-1, 3]),
        lambda header: first_tensor(header).pop("shape"),
        lambda header: header.pop(next(name for name in header if name != "__metadata__")),
    ],
)
def test_a_header_that_does_not_fit_the_weights(saved: Path, change: Callable[[dict[str, Any]], None]) -> None:
    with_header(saved, change)
    for open_it in (read_spec, Model.load):
        with pytest.raises(SegError, match=r"The weights in tiny\.safetensors are damaged"):
            open_it(saved)


@pytest.mark.parametrize(
    "change", [lambda data: data[: len(data) // 2], lambda data: data[:-1], lambda data: data + b"x"]
)
def test_a_file_of_another_length_has_no_card(saved: Path, change: Callable[[bytes], bytes]) -> None:
    saved.write_bytes(change(saved.read_bytes()))
    with pytest.raises(SegError, match=r"damaged|cut off"):
        read_spec(saved)


def test_texts_cannot_reach_for_the_terminal(saved: Path) -> None:
    evil = "a\x1b[31m\x9b2J\u202ecba\ud800"

    def change(header: dict[str, Any]) -> None:
        spec = json.loads(header["__metadata__"][KEY])
        spec["name"], spec["card"]["scores"] = evil, {evil: 1.0}
        spec["card"]["summary"] = "Zellkerne, größer als 5 µm\nZeile 2"
        header["__metadata__"][KEY] = json.dumps(spec)

    spec = Model.load(with_header(saved, change)).spec
    assert spec.name == "a\ufffd[31m\ufffd2J\ufffdcba\ufffd"
    assert list(spec.card.scores) == [spec.name]
    assert spec.card.summary == "Zellkerne, größer als 5 µm Zeile 2"


def test_a_damaged_description_names_the_file(saved: Path) -> None:
    def change(header: dict[str, Any]) -> None:
        spec = json.loads(header["__metadata__"][KEY])
        spec["task"]["classes"] = []
        header["__metadata__"][KEY] = json.dumps(spec)

    with pytest.raises(SegError, match=r"tiny\.safetensors is damaged \(task.*\); get the model again\.$"):
        read_spec(with_header(saved, change))


def test_a_folder_is_no_model(tmp_path: Path) -> None:
    folder = tmp_path / "dir.safetensors"
    folder.mkdir()
    with pytest.raises(SegError, match="is a folder"):
        read_spec(find(folder))


HOSTILE = {
    "text": b"This is a letter, not a model." * 10,
    "endless header": struct.pack("<Q", 2**63) + b"{}",
    "header beyond the end": struct.pack("<Q", 5000) + b"{}",
    "no JSON": struct.pack("<Q", 4) + b"abcd",
    "deep JSON": struct.pack("<Q", 200_000) + b"[" * 200_000,
    "no metadata": struct.pack("<Q", 2) + b"{}",
    "metadata of another kind": struct.pack("<Q", 20) + b'{"__metadata__": "x"}',
    "pickle": b"\x80\x04cos\nsystem\n(S'true'\ntR.",
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_files(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(HOSTILE[kind])
    with pytest.raises(SegError, match=r"model\.safetensors"):
        Model.load(path)


def described(tmp_path: Path, text: str, tensors: dict[str, np.ndarray] | None = None) -> Path:
    path = tmp_path / "model.safetensors"
    save_file(tensors or {"a": np.zeros(1, np.float32)}, path, {KEY: text})
    return path


def test_a_foreign_safetensors_file(tmp_path: Path) -> None:
    path = tmp_path / "foreign.safetensors"
    save_file({"a": np.zeros(1, np.float32)}, path, {"format": "pt"})
    with pytest.raises(SegError, match="does not describe a napari-seg model"):
        Model.load(path)


def test_a_newer_format_asks_for_an_update(tmp_path: Path) -> None:
    text = json.dumps(json.loads(tiny().to_json()) | {"format": 99})
    with pytest.raises(SegError, match="newer napari-seg"):
        Model.load(described(tmp_path, text))


@pytest.mark.parametrize("change", [{"width": 10**9}, {"depth": 400}, {"ndim": 7}, {"kind": "transformer"}])
def test_a_description_that_cannot_be(tmp_path: Path, change: dict[str, object]) -> None:
    text = json.loads(tiny().to_json())
    text["network"] |= change
    with pytest.raises(SegError, match="network"):
        Model.load(described(tmp_path, json.dumps(text)))


def test_weights_of_another_network(tmp_path: Path) -> None:
    with pytest.raises(SegError, match="do not fit its description"):
        Model.load(described(tmp_path, tiny(network=NetworkSpec(width=512, depth=8)).to_json()))


def test_weights_that_are_not_numbers(saved: Path, tmp_path: Path) -> None:
    model = Model.create(tiny())
    with torch.no_grad():
        next(model.network.parameters()).fill_(float("nan"))
    with pytest.raises(SegError, match="are no numbers"):
        Model.load(model.save(tmp_path / "nan.safetensors"))


def test_find_names_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(SegError, match="There is no model nothing"):
        find("nothing")
    with pytest.raises(SegError, match="is a folder"):
        load_model(tmp_path)


@pytest.mark.parametrize("name", shipped())
def test_shipped_models_are_small_and_have_a_card(name: str) -> None:
    path = find(name)
    model = load_model(name)
    assert path.stat().st_size < 8_000_000
    assert model.spec.name == name
    assert model.spec.card.data
    assert model.spec.card.licence
    assert path.with_suffix(".md").is_file()


@pytest.mark.parametrize("kind", ["percentile", "zscore", "window"])
def test_normalisation_brings_its_limits_to_0_and_1(kind: str) -> None:
    norm = Normalisation(kind=kind, low=1, high=99)
    limits = norm.fit(np.arange(100.0))
    found = norm.apply(np.array(limits), limits)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [0, 1], atol=1e-6)


@pytest.mark.parametrize("kind", ["percentile", "zscore"])
@pytest.mark.parametrize("unit", [1e-12, 1e-9, 1e9])
def test_a_picture_in_another_unit_is_the_same_picture(kind: str, unit: float) -> None:
    norm, values = Normalisation(kind=kind), np.random.default_rng(0).random((20, 20))
    plain, other = (norm.apply(picture, norm.fit(picture)) for picture in (values, values * unit))
    np.testing.assert_allclose(other, plain, atol=1e-5)


@pytest.mark.parametrize("kind", ["percentile", "zscore"])
@pytest.mark.parametrize("values", [np.full(9, 3.0), np.array([-70000]), np.zeros(4, np.uint8)])
def test_a_constant_image_becomes_0(kind: str, values: np.ndarray) -> None:
    norm = Normalisation(kind=kind)
    assert not norm.apply(values, norm.fit(values)).any()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"network": {"out_channels": 5}}, "puts out 5 channels, not 2"),
        ({"input": {"extent": (0, 0)}}, "extent"),
        ({"input": {"extent": (10, 10, 10)}}, "do not have the 2 axes"),
        ({"input": {"unit": "furlong"}}, "'furlong' is not among pixel, nm"),
        ({"network": {"out_channels": 4}, "task": {"kind": "instance", "ndim": 3}}, "objects of 3 dimensions"),
        ({"network": {"in_channels": 3}}, "takes 3 channels, not 1"),
        ({"input": {"patch": (8, 8, 8)}}, "do not have the 2 axes"),
        ({"input": {"spacing": (1.0,)}}, "do not have the 2 axes"),
    ],
)
def test_parts_that_do_not_fit_each_other(change: dict[str, dict[str, object]], sentence: str) -> None:
    spec = json.loads(tiny().to_json())
    for part, values in change.items():
        spec[part] |= values
    with pytest.raises(SegError, match=sentence):
        ModelSpec.from_file(json.dumps(spec))
