"""What is installed: the wheel in a clean environment, the manifest, the lazy names, the versions that are promised."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

import napari_seg

ROOT = Path(__file__).parent.parent
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
REQUIREMENTS = [
    Requirement(line)
    for line in (
        *PROJECT["dependencies"],
        *(line for extra in PROJECT["optional-dependencies"].values() for line in extra),
    )
]


def pins(name: str) -> dict[str, Version]:
    lines = (ROOT / ".ci" / name).read_text().splitlines()
    return {
        pin[0].lower().replace("_", "-"): Version(pin[1])
        for line in lines
        if line and not line.startswith("#")
        for pin in [line.split("==")]
    }


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a clean environment with the wheel; its dependencies are those of this environment."""
    folder = tmp_path_factory.mktemp("clean") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "-q", "--no-deps", "--no-index", str(wheel)]
    subprocess.run([*pip, "--disable-pip-version-check"], check=True)
    where = [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    site = Path(subprocess.run(where, capture_output=True, text=True, check=True).stdout.strip())
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


def ask(python: Path, code: str, folder: Path) -> Any:
    """What ``code`` prints as JSON, run in another folder than the source's."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    ended = subprocess.run(
        [str(python), "-c", code], capture_output=True, text=True, cwd=folder, env=environment, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout.splitlines()[-1])


class TestWheel:
    def test_holds_what_is_needed_and_no_more(self, wheel):
        names = zipfile.ZipFile(wheel).namelist()
        for wanted in (
            "napari_seg/napari.yaml",
            "napari_seg/py.typed",
            "napari_seg/sample_data/",
            "napari_seg/weights/",
        ):
            assert any(name.startswith(wanted) for name in names), wanted
        tops = {name.split("/")[0] for name in names}
        assert tops == {"napari_seg", f"napari_seg-{napari_seg.__version__}.dist-info"}
        assert not [name for name in names if "__pycache__" in name or name.endswith(".log")]

    def test_every_file_of_weights_is_small_and_has_a_card(self, wheel):
        models = [i for i in zipfile.ZipFile(wheel).infolist() if i.filename.endswith(".safetensors")]
        assert models
        assert all(model.file_size < 8_000_000 for model in models)
        names = {model.filename for model in models}
        alone = {name for name in names if not name.endswith(".samples.safetensors")}
        assert names == alone | {name.replace(".safetensors", ".samples.safetensors") for name in alone}

    def test_samples_are_small(self, wheel):
        sizes = [
            i.file_size for i in zipfile.ZipFile(wheel).infolist() if i.filename.startswith("napari_seg/sample_data/")
        ]
        assert 0 < sum(sizes) < 6_000_000

    def test_napari_finds_plugin_samples_and_weights(self, installed, tmp_path):
        found = ask(
            installed,
            """
import importlib.util, json, warnings
warnings.simplefilter("ignore")
import napari_seg
from npe2 import PluginManager
from napari_seg.data.samples import SAMPLES, folder, labels_of, path_of
from napari_seg.models.zoo import shipped
manager = PluginManager.instance()
manager.discover()
manifest = manager.get_manifest("napari-seg")
modules = {command.python_name.split(":")[0] for command in manifest.contributions.commands}
print(json.dumps({
    "home": napari_seg.__file__,
    "samples": sorted(sample.key for sample in manifest.contributions.sample_data),
    "modules": [importlib.util.find_spec(module) is not None for module in modules],
    "readers": [reader.command for reader in manager.iter_compatible_readers(["a.nii.gz"])],
    "files": {name: [path_of(name).exists(), labels_of(name).exists()] for name in SAMPLES},
    "home_of_samples": str(folder()),
    "weights": {name: path.exists() for name, path in shipped().items()},
}))
""",
            tmp_path,
        )
        site = str(installed.parent.parent)
        assert found["home"].startswith(site)
        assert found["home_of_samples"].startswith(site)
        assert found["samples"] == sorted(found["files"])
        assert all(found["modules"])
        assert "napari-seg.get_reader" in found["readers"]
        assert all(all(pair) for pair in found["files"].values())
        assert found["weights"]
        assert all(found["weights"].values())

    def test_console_script_runs(self, installed, tmp_path):
        script = installed.parent / ("napari-seg.exe" if os.name == "nt" else "napari-seg")
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        ended = subprocess.run(
            [script, "models", "--json"], capture_output=True, text=True, cwd=tmp_path, env=environment, check=False
        )
        assert ended.returncode == 0, ended.stderr
        assert json.loads(ended.stdout)["models"]


class TestManifest:
    def test_root_is_the_same_as_the_packages(self):
        assert (ROOT / "napari.yaml").read_text() == (ROOT / "napari_seg" / "napari.yaml").read_text()

    def test_is_valid(self):
        from npe2 import PluginManifest

        manifest = PluginManifest.from_file(ROOT / "napari_seg" / "napari.yaml")
        assert manifest.name == "napari-seg"

    def test_commands_are_used_once(self):
        raw = yaml.safe_load((ROOT / "napari_seg" / "napari.yaml").read_text())
        ids = [command["id"] for command in raw["contributions"]["commands"]]
        assert len(ids) == len(set(ids))
        assert all(one.startswith("napari-seg.") for one in ids)


class TestVersions:
    def test_are_the_same_everywhere(self):
        assert PROJECT["version"] == napari_seg.__version__
        assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == napari_seg.__version__

    def test_tested_versions_are_allowed(self):
        tested = pins("constraints.txt")
        for requirement in REQUIREMENTS:
            assert tested[requirement.name.lower()] in requirement.specifier, requirement

    def test_lowest_versions_are_the_bounds(self):
        lowest = pins("lowest.txt")
        for requirement in REQUIREMENTS:
            (bound,) = [clause.version for clause in requirement.specifier if clause.operator == ">="]
            assert lowest[requirement.name.lower()] == Version(bound), requirement


def test_licence_is_shipped():
    assert PROJECT["license"] == "MIT"
    assert (ROOT / "LICENSE").read_text().startswith("MIT License")
