"""The command line as people and scripts meet it: words, exit codes, one JSON object, what lies on the disk after."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_seg import cli
from napari_seg.data.formats import read, write
from napari_seg.data.ome_zarr import masks_of
from napari_seg.data.volume import Volume
from napari_seg.jobs import Progress
from napari_seg.locks import locked


def in_process(*words: object, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "napari_seg", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment}, check=False)


def image(path: Path, shape: tuple[int, ...] = (40, 40), seed: int = 0) -> Path:
    data = np.random.default_rng(seed).integers(0, 255, shape, np.uint8)
    return write(Volume(data, "ZYX"[-len(shape) :]), path)


class TestStart:
    def test_help_is_quick_and_imports_nothing_heavy(self):
        code = "import sys; sys.argv = ['napari-seg', '--help']\nfrom napari_seg.cli import main\n" + (
            "try:\n    main()\nexcept SystemExit:\n    print({'torch', 'napari', 'numpy', 'qtpy'} & set(sys.modules))"
        )
        ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert "predict" in ended.stdout
        assert ended.stdout.rstrip().endswith("set()")

    def test_module_and_version(self):
        import napari_seg

        assert in_process("--version").stdout.strip() == napari_seg.__version__

    @pytest.mark.parametrize(
        ("words", "named"),
        [
            (["info", ""], "'file'"),
            (["demo", "--headless", "--output", ""], "'--output'"),
            (["predict", "", "--model", "nuclei2d", "--output", "m"], "'inputs'"),
            (["predict", "a.png", "", "--model", "nuclei2d", "--output", "m"], "'inputs'"),
            (["predict", "a.png", "--model", "", "--output", "m"], "'--model'"),
            (["predict", "a.png", "--model", "nuclei2d", "--output", ""], "'--output'"),
            (["evaluate", "a.png", ""], "'prediction'"),
            (["check", "", "--task", "semantic"], "'data'"),
            (["check", "a", "--task", "semantic", "--split", ""], "'--split'"),
            (["train", "a", "--task", "semantic", "--output", ""], "'--output'"),
            (["train", "a", "--task", "semantic", "--output", "m", "--start", ""], "'--start'"),
            (["search", "a", "--task", "semantic", "--output", "m", "--masks", ""], "'--masks'"),
            (["retrain", ""], "'SESSION...'"),
            (["retrain", "a", "--groups", ""], "'--groups'"),
            (["test-set", "add", ""], "'images'"),
            (["test-set", "remove", ""], "'images'"),
        ],
    )
    def test_an_empty_name_is_not_the_current_folder(self, run, tmp_path, monkeypatch, words, named):
        image(tmp_path / "a.png")
        monkeypatch.chdir(tmp_path)
        ended = run(*words)
        assert (ended.code, ended.out) == (2, "")
        assert ended.err.startswith(f"Invalid value for {named}: it is empty, give a name; see napari-seg ")
        assert [path.name for path in tmp_path.iterdir()] == ["a.png"]

    @pytest.mark.parametrize(
        ("words", "wrong", "cure"),
        [
            (["bogus"], "'bogus'", "napari-seg --help"),
            (["predict"], "Missing", "napari-seg predict --help"),
            (["info", "--jason", "a.tif"], "--jason", "napari-seg info --help"),
            (["evaluate", "--task", "nonsense", "a", "b"], "'nonsense'", "napari-seg evaluate --help"),
            (["train", "a", "--task", "instance", "--output", "m", "--ndim", "x"], "--ndim", "napari-seg train --help"),
            (["test-set", "bogus"], "'bogus'", "napari-seg test-set --help"),
        ],
    )
    def test_wrong_usage_is_one_sentence_and_2(self, run, words, wrong, cure):
        ended = run(*words)
        assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
        assert wrong in ended.err
        assert "Value error" not in ended.err
        assert ended.err.endswith(f"; see {cure}.\n")

    def test_only_reading_says_whether_a_file_may_be_read(self, run, tmp_path, monkeypatch):
        path = image(tmp_path / "a.tif")
        monkeypatch.setattr(os, "access", lambda *asked, **how: False)
        assert run("info", path).code == 0

    @pytest.mark.parametrize("inside", ["", "/a.png"])
    @pytest.mark.parametrize(
        "words",
        [
            ("info", "CLOSED"),
            ("predict", "CLOSED", "--model", "nuclei2d", "--output", "m"),
            ("predict", "a.png", "--model", "nuclei2d", "--output", "CLOSED"),
            ("evaluate", "CLOSED", "a.png"),
            ("check", "CLOSED", "--task", "semantic"),
            ("train", "a", "--task", "semantic", "--split", "CLOSED", "--output", "m.safetensors"),
            ("retrain", "CLOSED"),
            ("test-set", "add", "CLOSED"),
            ("test-set", "remove", "CLOSED"),
        ],
        ids=" ".join,
    )
    def test_what_may_not_be_looked_at_has_the_name_that_was_typed(self, run, tmp_path, monkeypatch, words, inside):
        image(tmp_path / "closed" / "a.png")
        monkeypatch.chdir(tmp_path)
        look = os.stat

        def stat(path, **how):  # root may look at anything
            if "closed/" in os.fspath(path):
                raise PermissionError(errno.EACCES, "Permission denied", path)
            return look(path, **how)

        monkeypatch.setattr(os, "stat", stat)
        named = f"closed{inside}"
        ended = run(*(word.replace("CLOSED", named) for word in words))
        assert (ended.code, ended.out) == (2, "")
        assert ended.err == f"You may not open {named}; ask its owner, or choose another place.\n"

    def test_no_command_shows_the_help(self, run):
        ended = run()
        assert "predict" in ended.out + ended.err


class TestEnds:
    def test_a_mistake_is_one_sentence_and_2(self, run, tmp_path):
        ended = run("info", tmp_path / "nothing.png")
        assert (ended.code, ended.out) == (2, "")
        assert ended.err.count("\n") == 1
        assert "nothing.png" in ended.err

    @pytest.mark.skipif(sys.platform == "win32", reason="Windows counts the whole path")
    def test_a_name_that_is_too_long_is_one_sentence_and_2(self, run, tmp_path, model_file):
        image = write(Volume(np.arange(2000, dtype=np.uint16).reshape(40, 50), "YX"), tmp_path / "a.png")
        output = tmp_path / f"{'a' * 252}.png"
        ended = run("predict", image, "--model", model_file("instance"), "--output", output)
        assert (ended.code, ended.out) == (2, "")
        assert ended.err == f"The name {output} is too long for the disk; choose a shorter one.\n"

    def test_a_bug_is_a_traceback_and_1(self, tmp_path):
        code = (
            "import sys, napari_seg.doctor as doctor\nfrom napari_seg.cli import main\n"
            "def broken(): raise ZeroDivisionError('a bug')\n"
            "doctor.examine = broken; sys.argv = ['napari-seg', 'doctor']; main()"
        )
        ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert ended.returncode == 1
        assert "Traceback" in ended.stderr
        assert "a bug" in ended.stderr

    @pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT to send to another process")
    def test_stopped_by_a_person_is_130_with_a_sentence(self):
        code = (
            "import os, signal, sys, napari_seg.doctor as doctor\nfrom napari_seg.cli import main\n"
            "signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it\n"
            "def stopped(): os.kill(os.getpid(), signal.SIGINT)\n"
            "doctor.examine = stopped; sys.argv = ['napari-seg', 'doctor']; main()"
        )
        ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert ended.returncode == 128 + signal.SIGINT
        assert "Traceback" not in ended.stderr
        assert ended.stderr.startswith("Stopped")

    @pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT to send to another process")
    @pytest.mark.parametrize("module", ["typer", "napari_seg.cli.app", "napari_seg.cli.retrain"])
    def test_stopped_while_the_program_is_imported_is_130_too(self, module):
        code = (
            "import os, runpy, signal, sys\n"
            "signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it\n"
            "class Stopping:\n"
            "    def find_spec(self, name, *where):\n"
            f"        if name == {module!r}: os.kill(os.getpid(), signal.SIGINT)\n"
            "sys.meta_path.insert(0, Stopping()); sys.argv = ['napari-seg', 'doctor']\n"
            "runpy.run_module('napari_seg', run_name='__main__')"
        )
        ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert (ended.returncode, ended.stderr.count("\n")) == (130, 1), ended.stderr
        assert ended.stderr.startswith("Stopped")

    def test_stopped_before_the_command_has_begun_is_130_too(self, monkeypatch, capsys):
        def stopped(**about):
            raise KeyboardInterrupt

        monkeypatch.setattr("napari_seg.cli.app.app", stopped)
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert ended.value.code == 130
        assert capsys.readouterr().err.startswith("Stopped")


class TestInfo:
    def test_image(self, run, tmp_path):
        path = tmp_path / "stack.tif"
        write(Volume(np.zeros((3, 8, 9), np.uint16), "ZYX", (2.0, 0.5, 0.5), "um"), path)
        ended = run("info", path, "--json")
        assert ended.code == 0
        about = ended.json
        assert (about["kind"], about["axes"], about["shape"], about["dtype"]) == ("image", "ZYX", [3, 8, 9], "uint16")
        assert about["spacing"] == pytest.approx([2, 0.5, 0.5])
        assert about["unit"] == "um"
        words = run("info", path).out
        assert "3 x 8 x 9" in words
        assert "2 x 0.5 x 0.5 um" in words

    def test_place_of_a_volume(self, run, tmp_path):
        affine = np.array([[0, 0, -1, 0], [0, -1, 0, 0], [2, 0, 0, 0], [0, 0, 0, 1.0]])
        volume = Volume(np.zeros((3, 4, 5), np.uint8), "ZYX", (2.0, 1.0, 1.0), "mm", affine)
        path = write(volume, tmp_path / "scan.nii.gz")
        about = run("info", path, "--json").json
        assert len(about["orientation"]) == 3
        assert np.shape(about["affine"]) == (4, 4)
        assert "orientation" in run("info", path).out

    def test_model(self, run, model_file):
        path = model_file("semantic", classes=("liver", "spleen"))
        about = run("info", path, "--json").json
        assert about["kind"] == "model"
        assert about["task"]["classes"] == ["liver", "spleen"]
        assert "liver, spleen" in run("info", path).out

    def test_choices_are_listed(self, run, tmp_path):
        import tifffile

        path = tmp_path / "unnamed.tif"
        tifffile.imwrite(path, np.zeros((5, 8, 9), np.uint8), photometric="minisblack", metadata=None)
        ended = run("info", path)
        assert (ended.code, ended.out) == (2, "")
        assert "such as --axes ZYX for" in ended.err
        assert "--axes ZYX" in ended.err
        assert "axes=" not in ended.err
        assert run("info", path, "--axes", "ZYX").code == 0

    def test_damaged_model(self, run, tmp_path, model_file):
        whole = model_file("semantic").read_bytes()
        broken = tmp_path / "broken.safetensors"
        broken.write_bytes(whole[:40])
        ended = run("info", broken)
        assert ended.code == 2
        assert ended.err.count("\n") == 1


class TestModels:
    def test_shipped_models_are_listed(self, run):
        from napari_seg.models.zoo import shipped

        listed = run("models", "--json").json["models"]
        assert [Path(model["path"]).stem for model in listed] == list(shipped())
        assert all(model["card"]["licence"] for model in listed)
        assert run("models").out.count("\n") == len(listed) + 1


class TestDoctor:
    def test_says_one_sentence_each_without_a_display(self):
        hidden = {"DISPLAY": "", "WAYLAND_DISPLAY": ""}
        ended = in_process("doctor", "--json", **hidden)
        assert ended.returncode == 0, ended.stderr
        about = json.loads(ended.stdout)
        assert list(about) == ["device", "precision", "memory", "qt", "opengl", "help"]
        assert all(finding["sentence"].endswith((".", "`.")) for finding in about.values())
        assert ended.stderr == ""


class TestDemo:
    @pytest.fixture(autouse=True)
    def tiny_model(self, monkeypatch, model_file):
        from napari_seg.cli import demo

        monkeypatch.setattr(demo, "MODEL", str(model_file("semantic")))

    @pytest.mark.parametrize("words", [("--headless",), ()])
    def test_without_a_window_it_fills_a_folder_again_and_again(self, run, tmp_path, monkeypatch, words):
        for name in ("DISPLAY", "WAYLAND_DISPLAY"):
            monkeypatch.delenv(name, raising=False) if not words else monkeypatch.setenv(name, ":77")
        if not words and not sys.platform.startswith("linux"):
            pytest.skip("only Linux can be without a display")
        for _ in range(2):
            ended = run("demo", *words, "--output", tmp_path / "out")
            assert ended.code == 0, ended.err
            assert str(tmp_path / "out") in ended.err
        names = {path.name for path in (tmp_path / "out").iterdir()}
        assert names == {"nuclei2d.tif", "nuclei2d_mask.tif", "overlay.png", "timings.json"}
        mask, picture = read(tmp_path / "out" / "nuclei2d_mask.tif"), read(tmp_path / "out" / "overlay.png")
        assert picture.shape == (*mask.shape, 3)
        assert json.loads((tmp_path / "out" / "timings.json").read_text())["seconds"]["predicting"] > 0

    def test_with_a_display_it_opens_the_window_and_writes_nothing(self, run, tmp_path, monkeypatch):
        from napari_seg import doctor
        from napari_seg.cli import demo

        started: list[list[str]] = []

        def start(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
            started.append(command)
            return subprocess.CompletedProcess(command, len(started) - 1)

        monkeypatch.setattr(doctor, "has_display", lambda: True)
        monkeypatch.setattr(demo.subprocess, "run", start)
        assert run("demo", "--output", tmp_path / "out").code == 0
        assert started[0][1:3] == ["-m", "napari_seg.gui.demo"]
        assert not (tmp_path / "out").exists()
        assert run("demo").code == 2


class TestPredict:
    def test_one_file(self, run, tmp_path, model_file):
        path, mask = image(tmp_path / "a.png"), tmp_path / "out" / "mask.png"
        before = path.read_bytes()
        ended = run("predict", path, "--model", model_file("semantic"), "--output", mask, "--device", "cpu", "--json")
        assert ended.code == 0, ended.err
        (done,) = ended.json["masks"]
        assert (done["input"], done["output"]) == (str(path), str(mask))
        assert (done["device"], done["model"]) == ("cpu", "tiny semantic 2D")
        assert done["precision"] in ("fp32", "bf16")
        labels = np.asarray(read(mask).data)
        assert labels.shape == (40, 40)
        assert done["voxels"] == {"object": int(np.count_nonzero(labels))}
        with Image.open(mask) as picture:
            made = json.loads(picture.info["napari_seg"])
        assert made["model"] == "tiny semantic 2D"
        assert made["model_hash"] == hashlib.sha256(model_file("semantic").read_bytes()).hexdigest()
        assert made["settings"]["precision"] == done["precision"]
        assert path.read_bytes() == before

    def test_same_bits_as_from_python(self, run, tmp_path, model_file):
        import napari_seg as ns

        path, mask, model = image(tmp_path / "a.png"), tmp_path / "mask.png", model_file("semantic")
        assert run("predict", path, "--model", model, "--output", mask, "--tile", "32,32", "--overlap", "0.5").code == 0
        spec = ns.PredictSpec(tile=(32, 32), overlap=0.5)
        expected = ns.predict(ns.load_model(model), ns.read(path), spec).labels
        assert np.array_equal(np.asarray(ns.read(mask).data), expected.data)

    def test_objects_are_counted(self, run, tmp_path, model_file):
        path, mask = image(tmp_path / "a.tif"), tmp_path / "mask.tif"
        ended = run("predict", path, "--model", model_file("instance"), "--output", mask, "--json")
        labels = np.asarray(read(mask).data)
        assert ended.json["masks"][0]["objects"] == {"object": len(np.unique(labels[labels > 0]))}

    def test_objects_of_a_film_are_counted_at_each_time_point(self, run, tmp_path, model_file):
        film, mask = tmp_path / "film.ome.tif", tmp_path / "mask.ome.tif"
        frame = np.random.default_rng(0).integers(0, 255, (40, 40), np.uint8)
        write(Volume(np.stack([frame] * 3), "TYX"), film)
        words = ("--model", model_file("instance"), "--threshold", 0.3, "--output", mask, "--json")
        ended = run("predict", film, *words)
        count = np.count_nonzero(np.unique(np.asarray(read(mask).data)[0]))
        assert count > 0
        assert ended.json["masks"][0]["objects"] == {"object": 3 * count}
        assert f"object {3 * count}, each time point counted for itself" in ended.err

    def test_folder_to_folder_with_the_names_of_the_images(self, run, tmp_path, model_file):
        from PIL import Image

        images, masks = tmp_path / "images", tmp_path / "masks"
        for name in ("a.png", "b.tif"):
            image(images / name)
        Image.fromarray(np.zeros((40, 40), np.uint8)).save(images / "c.jpg")
        (images / "notes.txt").write_text("not an image")
        ended = run("predict", images, "--model", model_file("semantic"), "--output", masks, "--json")
        assert ended.code == 0, ended.err
        assert sorted(path.name for path in masks.iterdir()) == ["a.png", "b.tif", "c.png"]

    def test_axes_and_series_are_for_the_files_that_leave_them_open(self, run, tmp_path, model_file):
        """In one folder: a film that says nothing, a volume that says so, two pictures in a file, and one picture."""
        images, masks = tmp_path / "images", tmp_path / "masks"
        images.mkdir()
        grey = {"photometric": "minisblack"}
        stack = np.random.default_rng(0).integers(0, 200, (5, 40, 40)).astype(np.uint8)
        tifffile.imwrite(images / "film.tif", stack, **grey, metadata=None)
        tifffile.imwrite(images / "volume.tif", stack, **grey, metadata={"axes": "ZYX"})
        with tifffile.TiffWriter(images / "several.tif") as file:
            for part in (stack[0], stack[0, :32]):
                file.write(part, **grey, metadata=None)
        image(images / "one.png")
        words = ("--model", model_file("semantic"), "--output", masks, "--axes", "TYX", "--series", "1")
        assert run("predict", images, *words).code == 0
        found = {path.name: read(path) for path in sorted(masks.iterdir())}
        assert {name: (mask.axes, mask.shape) for name, mask in found.items()} == {
            "film.tif": ("TYX", (5, 40, 40)),
            "one.png": ("YX", (40, 40)),
            "several.tif": ("YX", (32, 40)),
            "volume.tif": ("ZYX", (5, 40, 40)),
        }

    def test_axes_of_an_image_alone_count_also_where_its_file_says_it_is_coloured(self, run, tmp_path, model_file):
        """As that of three frames, of which a TIFF says RGB where its writer was not told otherwise."""
        film, picture = image(tmp_path / "in" / "grey.png").with_name("film.tif"), tmp_path / "picture.png"
        frames = np.random.default_rng(0).integers(0, 200, (3, 40, 40)).astype(np.uint8)
        tifffile.imwrite(film, frames, photometric="rgb")
        write(Volume(frames.T, "YXS"), picture)
        words = ("--model", model_file("semantic"), "--axes", "TYX", "--output")
        ended = run("predict", film, *words, tmp_path / "alone.tif")
        assert (ended.code, read(tmp_path / "alone.tif").axes) == (0, "TYX"), ended.err
        ended = run(
            "predict", picture, "--model", model_file("semantic"), "--axes", "TYX", "--output", tmp_path / "no.png"
        )
        assert (ended.code, ended.err.count("\n")) == (2, 1)
        assert ended.err.endswith("picture.png is a picture with the axes YXS, not TYX; leave the axes out.\n")
        ended = run("predict", tmp_path / "in", *words, tmp_path / "out")
        assert (ended.code, read(tmp_path / "out" / "film.tif").axes) == (0, "YX")
        assert (
            "film.tif: Its file says that its axes are YXS, so it was not taken as TYX; to have it so run napari-seg "
            "predict on it alone with --axes TYX.\n"
        ) in ended.err
        assert "grey.png: Its file" not in ended.err

    def test_the_number_of_a_channel_counts_from_0_in_every_format(self, run, tmp_path, model_file):
        import nibabel as nib

        planes = np.stack([np.zeros((40, 40, 3), np.uint8), np.full((40, 40, 3), 9, np.uint8)], -1)
        nib.save(nib.Nifti1Image(planes, np.eye(4)), tmp_path / "a.nii.gz")
        tifffile.imwrite(tmp_path / "a.tif", planes.T, photometric="minisblack", metadata={"axes": "CZYX"})
        for name in ("a.nii.gz", "a.tif"):
            words = ("--axes", "XYZC", "--model", model_file("semantic"), "--output", tmp_path / f"mask.{name}")
            ended = run("predict", tmp_path / name, *words, "--channel", "1")
            assert "Channel 1 of 2 is used" in ended.err
            assert run("predict", tmp_path / name, *words, "--overwrite", "--channel", "2").code == 2

    def test_one_bad_file_does_not_end_the_batch(self, run, tmp_path, model_file):
        images = tmp_path / "images"
        for name in ("a.png", "c.png"):
            image(images / name)
        (images / "b.png").write_bytes((images / "a.png").read_bytes()[:60])
        ended = run("predict", images, "--model", model_file("semantic"), "--output", tmp_path / "masks", "--json")
        assert ended.code == 2
        assert [Path(one["output"]).name for one in ended.json["masks"]] == ["a.png", "c.png"]
        assert [Path(one["input"]).name for one in ended.json["failed"]] == ["b.png"]
        assert "b.png" in ended.err
        assert sorted(path.name for path in (tmp_path / "masks").iterdir()) == ["a.png", "c.png"]

    @pytest.mark.skipif(sys.platform != "linux", reason="other systems have no names that are no UTF-8")
    @pytest.mark.parametrize("suffix", [b".png", b".tif", b".nii.gz", b".nrrd", b".ome.zarr"])
    def test_a_name_that_is_no_text(self, run, tmp_path, model_file, suffix):
        name = os.fsdecode(b"caf\xe9" + suffix)
        for one in (name, "z.png"):
            image(tmp_path / "images" / one)
        ended = run("predict", tmp_path / "images", "--model", model_file("semantic"), "--output", tmp_path / "masks")
        assert ended.code == 0, ended.err
        assert {path.name for path in (tmp_path / "masks").iterdir()} == {name, "z.png"}

    @pytest.mark.parametrize(
        ("error", "words"),
        [(MemoryError(), "The memory ran out"), (OSError(errno.ENOMEM, "no"), "The memory ran out"),
         (OSError(errno.ENOSPC, "no", "/there/a.tif"), "The disk is full (/there/a.tif); free some space"),
         (PermissionError(errno.EACCES, "no", "/there/s.csv"), "You may not open /there/s.csv; ask its owner")],
        ids=["memory", "addresses", "disk", "permission"],
    )  # fmt: skip
    def test_a_limit_of_the_machine_ends_one_image_and_not_the_batch(
        self, run, tmp_path, model_file, monkeypatch, error, words
    ):
        for name in ("a.png", "b.png"):
            image(tmp_path / "in" / name)

        def read_or_fail(path, *answers):
            if path.name == "a.png":
                raise error
            return read(path)

        monkeypatch.setattr("napari_seg.data.formats.read_answered", read_or_fail)
        asked = ("--model", model_file("semantic"), "--output", tmp_path / "out")
        ended = run("predict", tmp_path / "in", *asked)
        assert ended.code == 2
        assert f"a.png: {words}" in ended.err
        assert [path.name for path in (tmp_path / "out").iterdir()] == ["b.png"]

    def test_a_folder_of_pictures_gets_masks_of_classes_that_overlap(self, run, tmp_path, model_file):
        image(tmp_path / "images" / "a.png")
        words = ("--model", model_file("overlapping", classes=("cell", "core")), "--output", tmp_path / "masks")
        ended = run("predict", tmp_path / "images", *words)
        assert ended.code == 0, ended.err
        assert read(tmp_path / "masks" / "a.tif").axes == "CYX"

    def test_a_mask_within_an_ome_zarr_image(self, run, tmp_path, model_file):
        store = image(tmp_path / "a.ome.zarr")
        words = ("predict", store, "--model", model_file("semantic"), "--output", store / "labels" / "mine")
        assert run(*words).code == 0
        assert list(masks_of(store)) == ["mine"]
        assert read(store / "labels" / "mine").grid == (40, 40)
        for more in ([], ["--overwrite"]):
            ended = run(*words, *more)
            assert (ended.code, "a mask of that image already" in ended.err) == (2, True)

    @pytest.mark.parametrize(
        "output",
        ["a.ome.zarr/0", "a.ome.zarr/some/folder", "a.ome.zarr/mask.tif", "a.ome.zarr/labels", "a.ome.zarr/labels/x/y",
         "renamed", "renamed/0/m.tif", "gone.zarr/labels/nuclei", "gone.zarr/m.tif"],
    )  # fmt: skip
    def test_nothing_but_masks_is_put_into_an_ome_zarr(self, run, tmp_path, model_file, no_network, output):
        picture, store = image(tmp_path / "b.tif"), image(tmp_path / "a.ome.zarr")
        shutil.copytree(store, tmp_path / "renamed")
        before = sorted(tmp_path.rglob("*"))
        for inputs in ([picture], [picture, store]):
            ended = run("predict", *inputs, "--model", model_file("semantic"), "--output", tmp_path / output)
            assert ended.code == 2
            assert "choose such a name or another folder" in ended.err
            assert sorted(tmp_path.rglob("*")) == before

    def test_a_mask_goes_where_its_link_leads(self, run, tmp_path, model_file):
        (tmp_path / "far").mkdir()
        link, far, circle = tmp_path / "m.png", tmp_path / "far" / "m.png", tmp_path / "c.png"
        link.symlink_to(far)
        circle.symlink_to(circle)
        words = ("predict", image(tmp_path / "a.png"), "--model", model_file("semantic"), "--output")
        assert run(*words, link).code == 0
        before = far.read_bytes()
        assert (run(*words, link).code, far.read_bytes()) == (2, before)
        far.write_bytes(b"no mask")
        assert (run(*words, link, "--overwrite").code, far.read_bytes()) == (2, b"no mask")
        far.write_bytes(before)
        assert run(*words, link, "--overwrite", "--overlap", 0.5).code == 0
        assert link.is_symlink()
        assert far.read_bytes() != before
        ended = run(*words, circle)
        assert (ended.code, circle.is_symlink()) == (2, True)
        assert ended.err == f"The links of {circle} lead in a circle; choose another name.\n"

    def test_what_is_no_mask_of_ours_is_never_replaced(self, run, tmp_path, model_file, no_network):
        picture, beside = image(tmp_path / "a.png"), tmp_path / "a.jpg"
        Image.open(picture).save(beside)
        before = picture.read_bytes()
        for output in (tmp_path, picture):
            ended = run("predict", beside, "--model", model_file("semantic"), "--output", output, "--overwrite")
            assert ended.code == 2
            assert "it may be an image" in ended.err
            assert picture.read_bytes() == before

    @pytest.mark.parametrize("suffix", [".png", ".tif", ".ome.tif", ".nii.gz", ".nrrd"])
    def test_an_existing_mask_is_kept_unless_told_otherwise(self, run, tmp_path, model_file, suffix):
        path, mask = image(tmp_path / "a.png"), tmp_path / f"mask{suffix}"
        words = ("predict", path, "--model", model_file("semantic"), "--output", mask)
        assert run(*words, "--overlap", 0.5).code == 0
        before = mask.read_bytes()
        ended = run(*words)
        assert ended.code == 2
        assert "--overwrite" in ended.err
        assert mask.read_bytes() == before
        assert run(*words, "--overwrite").code == 0
        assert mask.read_bytes() != before

    def test_a_mask_that_came_meanwhile_is_left(self, run, tmp_path, model_file, monkeypatch):
        from napari_seg.cli import predict as module

        mask, watch = tmp_path / "mask.png", module.watch

        def saved_meanwhile(*given, **known):
            found = watch(*given, **known)
            mask.write_bytes(b"corrected in the window")
            return found

        monkeypatch.setattr(module, "watch", saved_meanwhile)
        ended = run("predict", image(tmp_path / "a.png"), "--model", model_file("semantic"), "--output", mask)
        assert ended.code == 2
        assert "--overwrite" in ended.err
        assert mask.read_bytes() == b"corrected in the window"

    @pytest.mark.parametrize("output", ["", "a.png"])
    def test_an_image_is_never_replaced(self, run, tmp_path, model_file, output):
        path = image(tmp_path / "a.png")
        before = path.read_bytes()
        ended = run("predict", path, "--model", model_file("semantic"), "--output", tmp_path / output, "--overwrite")
        assert ended.code == 2
        assert "replace the image" in ended.err
        assert path.read_bytes() == before

    def test_two_images_of_one_name_are_refused_before_any_work(self, run, tmp_path, model_file):
        paths = [image(tmp_path / folder / "a.png") for folder in ("x", "y")]
        ended = run("predict", *paths, "--model", model_file("semantic"), "--output", tmp_path / "masks")
        assert ended.code == 2
        assert not (tmp_path / "masks").exists()

    def test_two_images_of_a_folder_that_would_become_one_mask(self, run, tmp_path, model_file):
        from PIL import Image

        images = tmp_path / "images"
        for name in ("c0.png", "c1.png"):
            image(images / name)
        Image.fromarray(np.zeros((40, 40), np.uint8)).save(images / "c0.jpg")  # its mask would be a PNG too
        ended = run("predict", images, "--model", model_file("semantic"), "--output", tmp_path / "masks")
        assert (ended.code, ended.err.count("\n")) == (2, 1)
        assert all(words in ended.err for words in ("c0.jpg", "c0.png", "different folders"))
        assert not (tmp_path / "masks").exists()

    def test_several_images_need_a_folder(self, run, tmp_path, model_file):
        paths = [image(tmp_path / name) for name in ("a.png", "b.png")]
        ended = run("predict", *paths, "--model", model_file("semantic"), "--output", tmp_path / "mask.png")
        assert ended.code == 2
        assert "folder" in ended.err

    def test_a_folder_without_images(self, run, tmp_path, model_file):
        (tmp_path / "empty").mkdir()
        ended = run("predict", tmp_path / "empty", "--model", model_file("semantic"), "--output", tmp_path / "masks")
        assert ended.code == 2
        assert ended.err.count("\n") == 1

    def test_a_box(self, run, tmp_path, model_file):
        path, mask = image(tmp_path / "a.tif"), tmp_path / "mask.tif"
        words = ("predict", path, "--model", model_file("semantic"), "--output", mask)
        assert run(*words, "--box", "0:16,8:24").code == 0
        labels = np.asarray(read(mask).data)
        assert labels.shape == (40, 40)
        assert labels[0:16, 8:24].any()
        labels[0:16, 8:24] = 0
        assert not labels.any()

    def test_a_box_outside_the_image_is_refused_with_words_that_fit_a_line_of_commands(self, run, tmp_path, model_file):
        path = image(tmp_path / "a.tif")
        words = ("predict", path, "--model", model_file("semantic"), "--output", tmp_path / "mask.tif")
        ended = run(*words, "--box", "0:16,8:50")
        assert (ended.code, ended.err) == (
            2,
            f"{path}: (0, 8) to (16, 50) is no box of voxels inside the image (40, 40); choose one between (0, 0) and "
            "(40, 40).\n",
        )

    def test_a_box_says_which_voxels_of_the_file_it_means(self, run, tmp_path, model_file):
        import nibabel

        path, mask = tmp_path / "scan.nii.gz", tmp_path / "mask.nii.gz"
        data = np.random.default_rng(0).integers(0, 255, (20, 30, 40), np.uint8)
        affine = np.diag([-1.0, 2.0, 3.0, 1.0])  # i grows towards the left, j anterior, k superior
        nibabel.save(nibabel.Nifti1Image(data, affine), path)
        words = ("predict", path, "--model", model_file("semantic", ndim=3), "--output", mask)
        ended = run(*words, "--box", "0:10,5:25,2:12")
        assert ended.code == 0, ended.err
        first = ended.err.splitlines()[0]
        assert "z 0:10, y 5:25, x 2:12 of the volume as it is displayed (they grow towards I, P, L)" in first
        assert "i 2:12, j 5:25, k 30:40 of the file's own axes" in first
        assert "R -11.5 to -1.5, A 9.0 to 49.0, S 88.5 to 118.5 mm in the world" in first
        found = np.asarray(nibabel.load(mask).dataobj)
        assert found[2:12, 5:25, 30:40].any()
        found[2:12, 5:25, 30:40] = 0
        assert not found.any()
        help_text = " ".join(run("predict", "--help").out.replace("│", " ").split())
        assert "head to feet, front to back, right to left" in help_text

    def test_a_box_of_a_slice_of_the_file(self, run, tmp_path, model_file):
        import nibabel

        path = tmp_path / "slice.nii.gz"
        nibabel.save(nibabel.Nifti1Image(np.zeros((20, 30, 1), np.uint8), np.diag([1.0, 1.0, 1.0, 1.0])), path)
        words = ("predict", path, "--model", model_file("semantic"), "--output", tmp_path / "mask.nii.gz")
        ended = run(*words, "--box", "0:10,2:12")
        assert ended.code == 0, ended.err
        assert "y 0:10, x 2:12 of" in ended.err
        assert "i 8:18, j 20:30 of the file's own axes" in ended.err

    @pytest.mark.parametrize("name", ["mask.txt", "mask.safetensors", "results.v2"])
    def test_a_name_that_is_no_format_is_refused(self, run, tmp_path, model_file, name):
        path = image(tmp_path / "a.tif")
        words = ("predict", path, "--model", model_file("semantic"), "--output", tmp_path / name)
        ended = run(*words)
        assert ended.code == 2
        assert ".nii.gz, .nii, .nrrd" in ended.err
        assert sorted(found.name for found in tmp_path.iterdir()) == ["a.tif"]
        (tmp_path / name).mkdir()
        assert run(*words).code == 0
        assert (tmp_path / name / "a.tif").is_file()

    @pytest.fixture
    def no_network(self, monkeypatch):
        """Fail where the network would run."""
        from napari_seg.cli import predict

        def run(*_: Any) -> None:
            raise AssertionError("the network ran")

        monkeypatch.setattr(predict, "watch", run)

    @pytest.mark.parametrize(
        ("output", "reason"),
        [("m.png", "one 2D picture"), ("m.jpg", "JPEG changes"), ("m.dcm", "end it with"), ("file/m.tif", "is a file")],
    )
    def test_an_output_that_cannot_be_is_refused_before_the_network_runs(
        self, run, tmp_path, model_file, no_network, output, reason
    ):
        path = image(tmp_path / "a.tif", (4, 40, 40))
        (tmp_path / "file").write_text("a file")
        ended = run("predict", path, "--model", model_file("semantic"), "--output", tmp_path / output)
        assert (ended.code, ended.err.count("\n")) == (2, 1)
        assert reason in ended.err
        assert sorted(found.name for found in tmp_path.iterdir()) == ["a.tif", "file"]

    def test_a_mask_in_the_own_folder_is_not_replaced(self, run, tmp_path, model_file, no_network, monkeypatch):
        for name in ("HOME", "USERPROFILE"):
            monkeypatch.setenv(name, str(tmp_path))
        monkeypatch.chdir(tmp_path)
        mask, model = image(tmp_path / "mask.tif"), model_file("semantic")
        before, names = mask.read_bytes(), sorted(tmp_path.iterdir())
        ended = run("predict", image(tmp_path / "a.tif"), "--model", model, "--output=~/mask.tif")
        assert ended.code == 2
        assert "exists already and was left as it is" in ended.err
        assert mask.read_bytes() == before
        assert sorted(tmp_path.iterdir()) == [tmp_path / "a.tif", *names]

    def test_an_output_without_a_format_is_offered_what_a_mask_can_have(self, run, tmp_path, model_file, no_network):
        ended = run("predict", image(tmp_path / "a.tif"), "--model", model_file("semantic"), "--output", "m.xyz")
        assert ended.code == 2
        assert ".tif, .ome.zarr, .zarr, .png, or make a folder" in ended.err
        assert not any(suffix in ended.err for suffix in (".jp", ".nhdr", ".dcm"))

    @pytest.mark.parametrize("suffix", [".zarr", ".tif"])
    def test_a_patient_is_not_put_where_there_is_no_place(self, run, tmp_path, model_file, no_network, suffix):
        affine = np.array([[0, 0, -1, 0], [0, -1, 0, 0], [-2, 0, 0, 0], [0, 0, 0, 1.0]])
        volume = Volume(np.zeros((3, 40, 40), np.uint8), "ZYX", (2.0, 1.0, 1.0), "mm", affine)
        path = write(volume, tmp_path / "scan.nii.gz")
        ended = run("predict", path, "--model", model_file("semantic"), "--output", tmp_path / f"mask{suffix}")
        assert ended.code == 2
        assert "where the image lies" in ended.err

    def test_a_locked_folder_is_refused_before_the_network_runs(
        self, run, tmp_path, model_file, no_network, monkeypatch
    ):
        path, locked = image(tmp_path / "a.tif"), tmp_path / "locked"
        locked.mkdir()
        monkeypatch.setattr(os, "access", lambda folder, mode: Path(folder) != locked)  # root may write everywhere
        ended = run("predict", path, "--model", model_file("semantic"), "--output", locked / "mask.tif")
        assert ended.code == 2
        assert "may not write" in ended.err

    @pytest.mark.parametrize("channel", ["3", "foo"])
    def test_a_channel_that_is_not_there_is_refused(self, run, tmp_path, model_file, channel):
        path, mask = image(tmp_path / "a.tif"), tmp_path / "mask.tif"
        ended = run("predict", path, "--model", model_file("semantic"), "--output", mask, "--channel", channel)
        assert ended.code == 2
        assert f"no '{channel}'" in ended.err
        assert not mask.exists()

    def test_a_choice_of_channels_names_the_option(self, run, tmp_path, model_file):
        volume = Volume(np.zeros((2, 40, 40), np.uint8), "CYX", channels=("DAPI", "GFP"))
        path = write(volume, tmp_path / "a.tif")
        ended = run("predict", path, "--model", model_file("semantic"), "--output", tmp_path / "mask.tif")
        assert ended.code == 2
        assert "--channel GFP" in ended.err

    @pytest.mark.parametrize("flag", ["--threshold", "--seeds", "--smallest", "--diameter"])
    def test_a_setting_that_the_model_does_not_have_is_refused(self, run, tmp_path, model_file, flag):
        path, mask = image(tmp_path / "a.png"), tmp_path / "mask.png"
        ended = run("predict", path, "--model", model_file("semantic"), "--output", mask, flag, "0.5")
        assert (ended.code, ended.err.count("\n")) == (2, 1)
        assert flag[2:] in ended.err
        assert "leave the" in ended.err
        assert not mask.exists()

    @pytest.mark.parametrize(("flag", "value"), [("--threshold", 2), ("--diameter", 1e-9)])
    def test_a_wrong_setting_is_refused_once_for_all_images(self, run, tmp_path, model_file, flag, value):
        for name in ("a.png", "b.png"):
            image(tmp_path / "images" / name)
        model = model_file("instance", diameter=16.0)
        ended = run("predict", tmp_path / "images", "--model", model, "--output", tmp_path / "masks", flag, value)
        assert (ended.code, ended.err.count("\n")) == (2, 1)
        assert not (tmp_path / "masks").exists()

    def test_a_missing_file_is_named_once(self, run, tmp_path, model_file):
        path = tmp_path / "nope.tif"
        ended = run("predict", path, "--model", model_file("semantic"), "--output", tmp_path / "mask.tif")
        assert ended.code == 2
        assert ended.err.count("nope.tif") == 1

    @pytest.mark.parametrize(
        ("flag", "value"),
        [
            ("--box", "1-2"),
            ("--tile", "big"),
            ("--overlap", "2"),
            ("--diameter", "-1"),
            ("--voxel-size", "1,1"),
            ("--voxel-size", "1,0um"),
            ("--voxel-size", "1,,1um"),
            ("--voxel-size", "1,1,1um"),
        ],
    )
    def test_a_wrong_setting_is_one_sentence(self, run, tmp_path, model_file, flag, value):
        path = image(tmp_path / "a.png")
        model = model_file("semantic")
        ended = run("predict", path, "--model", model, "--output", tmp_path / "mask.png", flag, value)
        assert ended.code == 2
        assert ended.err.count("\n") == 1
        assert not (tmp_path / "mask.png").exists()

    @pytest.mark.parametrize("words", ["0.5,0.25um", "0.5 x 0.25 µm", "500,250nm"])
    def test_the_size_of_voxels_that_a_file_lacks_can_be_said(self, run, tmp_path, model_file, words):
        path, mask = image(tmp_path / "a.tif"), tmp_path / "mask.tif"
        ended = run("predict", path, "--model", model_file("semantic"), "--output", mask, "--voxel-size", words)
        assert ended.code == 0
        found = read(mask)
        assert found.spacing == pytest.approx((0.5, 0.25) if found.unit == "um" else (500, 250))
        assert found.unit in ("um", "nm")

    def test_unknown_model(self, run, tmp_path):
        ended = run("predict", image(tmp_path / "a.png"), "--model", "nonsense", "--output", tmp_path / "mask.png")
        assert ended.code == 2
        assert "nonsense" in ended.err

    def test_3d_model_refuses_a_2d_image(self, run, tmp_path, model_file):
        model = model_file("semantic", ndim=3)
        ended = run("predict", image(tmp_path / "a.png"), "--model", model, "--output", tmp_path / "mask.png")
        assert ended.code == 2
        assert "2D model" in ended.err

    def test_an_output_that_cannot_be_written(self, run, tmp_path, model_file):
        locked = tmp_path / "file"
        locked.write_text("a file where a folder should be")
        path, model = image(tmp_path / "a.png"), model_file("semantic")
        ended = run("predict", path, "--model", model, "--output", locked / "mask.png")
        assert ended.code == 2
        assert ended.err.count("\n") == 1


class TestTrain:
    @pytest.fixture
    def data(self, tmp_path: Path) -> Path:
        rng = np.random.default_rng(0)
        rows = ["name,split,group,kind"]
        for number in range(6):
            labels = np.zeros((48, 48), np.uint8)
            y, x = rng.integers(4, 28, 2)
            labels[y : y + 16, x : x + 16] = 1
            noisy = (labels * 120 + rng.integers(0, 60, labels.shape)).astype(np.uint8)
            write(Volume(noisy, "YX"), tmp_path / "images" / f"c{number}.png")
            write(Volume(labels, "YX"), tmp_path / "labels" / f"c{number}.png")
            rows.append(f"c{number},{('train', 'test')[number == 5]},g{number // 2},{('a', 'b')[number == 4]}")
        (tmp_path / "split.csv").write_text("\n".join(rows) + "\n")
        return tmp_path

    def test_a_training_that_is_refused_leaves_no_new_folder(self, run, data, tmp_path):
        (tmp_path / "old").mkdir()
        for folder in (tmp_path / "new" / "folder", tmp_path / "old"):
            words = ("--task", "semantic", "--output", folder / "m.safetensors", "--folds", 99, "--device", "cpu")
            ended = run("train", data, *words)
            assert (ended.code, ended.err.count("\n")) == (2, 1), ended.err
        assert not (tmp_path / "new").exists()
        assert not list((tmp_path / "old").iterdir())

    def test_trains_and_says_what_it_did(self, run, data, tmp_path):
        model = tmp_path / "new.safetensors"
        ended = run(
            *("train", data, "--task", "semantic", "--output", model, "--steps", 4, "--device", "cpu"),
            *("--split", data / "split.csv", "--where", "kind=a", "--json"),
        )
        assert ended.code == 0, ended.err
        assert ended.json["steps"] == 4
        assert ended.json["cases"] == {"train": 2, "val": 2} or sum(ended.json["cases"].values()) == 4
        assert "validation" in ended.err
        assert run("info", model).code == 0
        mask = tmp_path / "mask.png"
        assert run("predict", data / "images" / "c5.png", "--model", model, "--output", mask).code == 0

    @pytest.mark.parametrize(
        ("words", "reason"),
        [
            (("--minutes", 1, "--steps", 1), "one of them"),
            (("--where", "kind=a"), "--split"),
            (("--split", "split.csv", "--where", "kind"), "column=value"),
            (("--split", "split.csv", "--where", "kind=a", "--where", "kind=b"), "names kind twice"),
            (("--split", "nothing.csv"), "nothing.csv"),
            (("--start", "nonsense"), "nonsense"),
        ],
    )
    def test_wrong_flags_are_one_sentence(self, run, data, monkeypatch, words, reason):
        monkeypatch.chdir(data)
        ended = run("train", data, "--task", "semantic", "--output", "new.safetensors", *words)
        assert ended.code == 2
        assert ended.err.count("\n") == 1
        assert reason in ended.err
        assert not Path("new.safetensors").exists()

    def test_a_model_is_not_replaced(self, run, data, model_file, tmp_path):
        model = Path(shutil.copy(model_file("semantic"), tmp_path / "old.safetensors"))
        before = model.read_bytes()
        ended = run("train", data, "--task", "semantic", "--output", model, "--steps", 1)
        assert ended.code == 2
        assert model.read_bytes() == before

    def test_a_training_that_was_stopped_is_gone_on_with(self, run, data, tmp_path):
        model = tmp_path / "m.safetensors"
        words = ("train", data, "--task", "semantic", "--output", model, "--steps", 1, "--device", "cpu")
        assert run(*words).code == 0
        assert "--resume" not in run(*words).err
        (tmp_path / "m.safetensors.resume").touch()
        assert "(--resume) or choose another name or start anew (--overwrite)" in run(*words).err
        (tmp_path / "m.safetensors.resume").unlink()
        (tmp_path / "m.safetensors.folds").mkdir()  # without a note there is nothing in it to go on with
        assert "--resume" not in run(*words, "--folds", 2).err
        (tmp_path / "m.safetensors.folds" / "folds.json").touch()  # which --overwrite does not throw away
        assert "--overwrite" not in run(*words, "--folds", 2).err

    @pytest.mark.parametrize("command", ["train", "search"])
    def test_two_commands_do_not_write_one_model(self, run, data, tmp_path, command):
        lock = tmp_path / ".m.safetensors.lock"
        words = (command, data, "--task", "semantic", "--output", tmp_path / "m.safetensors", "--steps", 1)
        with locked(lock):
            ended = run(*words, "--overwrite")
        assert (ended.code, ended.err.count("\n")) == (2, 1)
        assert "Another training is writing" in ended.err
        lock.unlink()
        run("train", data, "--task", "semantic", "--output", tmp_path / "m.safetensors", "--start", "nonsense")
        assert not lock.exists()

    @pytest.mark.parametrize("words", [["train"], ["train", "--folds", 2], ["search"]])
    def test_a_place_that_cannot_be_is_refused_before_any_work(self, run, data, tmp_path, monkeypatch, words):
        (tmp_path / "file").write_text("a file")
        words = (words[0], data, "--task", "semantic", "--steps", 1, *words[1:], "--output")
        ended = run(*words, tmp_path / "file" / "m.safetensors")
        assert (ended.code, ended.err.count("\n")) == (2, 1)
        assert "is a file" in ended.err
        (tmp_path / "m.safetensors").mkdir()
        ended = run(*words, tmp_path / "m.safetensors", "--overwrite")
        assert (ended.code, "is a folder" in ended.err) == (2, True)
        (tmp_path / "locked").mkdir()
        monkeypatch.setattr(os, "access", lambda folder, mode: Path(folder).name != "locked")  # root may write anywhere
        ended = run(*words, tmp_path / "locked" / "m.safetensors")
        assert (ended.code, "may not write" in ended.err) == (2, True)

    def test_images_that_may_not_be_listed(self, run, data, tmp_path, monkeypatch):
        def refused(folder):
            raise PermissionError(13, "Permission denied", str(folder))

        monkeypatch.setattr(Path, "iterdir", refused)
        ended = run("train", data, "--task", "semantic", "--steps", 1, "--output", tmp_path / "m.safetensors")
        assert (ended.code, ended.err.count("\n")) == (2, 1)
        assert "You may not read" in ended.err

    def test_classes_that_overlap(self, run, tmp_path):
        rng = np.random.default_rng(0)
        for number in range(6):
            planes = np.zeros((2, 32, 32), np.uint8)
            y, x = rng.integers(2, 10, 2)
            planes[0, y : y + 14, x : x + 14] = planes[1, y + 6 : y + 20, x + 6 : x + 20] = 1
            image = (planes * 120 + rng.integers(0, 60, planes.shape)).astype(np.uint8)
            part = "new" if number == 5 else "data"
            write(Volume(image, "CYX"), tmp_path / part / "images" / f"{number}.ome.tif")
            labels = Volume(planes, "CYX", channels=("cell", "nucleus"))
            write(labels, tmp_path / part / "labels" / f"{number}.ome.tif")
        model, masks = tmp_path / "m.safetensors", tmp_path / "masks"
        words = ("train", tmp_path / "data", "--output", model, "--steps", 30, "--device", "cpu", "--json", "--task")
        for wrong, reason in (
            (("instance",), "objects lie in one"),
            (("semantic", "--classes", "a"), "name one for each"),
            (("semantic", "--classes", "a, a"), "two classes are named a"),
            (("semantic", "--classes", ""), "a class has no name"),
            (("instance", "--classes", "a,b"), "objects are of one kind"),
        ):
            ended = run(*words, *wrong)
            assert ended.code == 2
            assert ended.err.count("\n") == 1
            assert reason in ended.err
        ended = run(*words, "semantic")
        assert ended.code == 0, ended.err
        assert ended.json["task"]["overlapping"]
        assert ended.json["task"]["classes"] == ["cell", "nucleus"]
        ended = run("predict", tmp_path / "new" / "images", "--model", model, "--output", masks)
        assert ended.code == 0, ended.err
        report = run("evaluate", tmp_path / "new" / "labels", masks, "--json").json
        assert {label: figures["dice"] > 0.8 for label, figures in report["per_class"].items()} == {
            "1": True,
            "2": True,
        }
        (mask,) = masks.iterdir()
        assert np.asarray(read(mask).data).all(0).sum() > 30

    def test_output_must_be_a_model_file(self, run, data):
        assert "safetensors" in run("train", data, "--task", "semantic", "--output", "model.pt").err


class TestEvaluate:
    def test_files(self, run, tmp_path):
        a = write(Volume(np.array([[1, 1, 0, 2]], np.uint8), "YX"), tmp_path / "a.png")
        b = write(Volume(np.array([[1, 1, 0, 0]], np.uint8), "YX"), tmp_path / "b.png")
        classes = run("evaluate", a, b, "--json").json
        assert classes["per_class"]["1"]["dice"] == 1
        assert classes["mean"]["dice"] == 0.5
        objects = run("evaluate", a, b, "--task", "instance", "--json").json
        assert objects["ap"]["0.50"] == 0.5
        assert objects["mean_ap"] == 0.5

    def test_folders_and_words(self, run, tmp_path):
        for folder, names in (("truth", "ab"), ("found", "a")):
            for name in names:
                write(Volume(np.array([[1, 1, 0, 2]], np.uint8), "YX"), tmp_path / folder / f"{name}.png")
        ended = run("evaluate", tmp_path / "truth", tmp_path / "found")
        assert ended.code == 0
        assert "1.000" in ended.out
        assert "left out" in ended.err
        assert "mean" in run("evaluate", tmp_path / "truth", tmp_path / "found", "--task", "instance").out

    def test_masks_of_different_images(self, run, tmp_path):
        ended = run("evaluate", image(tmp_path / "a.png"), image(tmp_path / "b.png", (30, 30)))
        assert ended.code == 2
        assert ended.err.count("\n") == 1


class TestProgress:
    @staticmethod
    def steps():
        yield Progress(1, 2, "half")
        return "done"

    def test_lines_come_only_now_and_then(self, capsys, monkeypatch):
        from napari_seg.cli import console

        assert console.watch(self.steps(), "Work") == "done"
        assert capsys.readouterr().err == ""
        monkeypatch.setattr(console, "_QUIET", 0)
        console.watch(self.steps(), "Work")
        assert capsys.readouterr().err == "Work: 50% half\n"

    def test_a_bar_on_a_terminal_stays_off_standard_output(self, capsys, monkeypatch):
        from napari_seg.cli import console

        monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
        assert console.watch(self.steps(), "Work [brackets]") == "done"
        assert capsys.readouterr().out == ""
