"""The manifest: what napari is told before a line of code is imported."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import npe2
import numpy as np
import pytest

from napari_seg.data.formats import FORMATS, read, write
from napari_seg.data.samples import SAMPLES
from napari_seg.data.volume import Volume
from napari_seg.errors import SegError
from napari_seg.gui.manifest import write_labels

ROOT = Path(__file__).parents[1]
PACKED = ROOT / "napari_seg" / "napari.yaml"


@pytest.fixture(scope="module")
def manifest() -> npe2.PluginManifest:
    return npe2.PluginManifest.from_file(PACKED)


def test_the_file_at_the_root_is_the_one_in_the_package() -> None:
    assert (ROOT / "napari.yaml").read_text() == PACKED.read_text()


def test_every_command_exists(manifest: npe2.PluginManifest) -> None:
    for command in manifest.contributions.commands or ():
        module, name = command.python_name.split(":")
        assert callable(getattr(import_module(module), name)), command.id


def test_every_format_is_read_and_written(manifest: npe2.PluginManifest) -> None:
    (reader,) = manifest.contributions.readers or ()
    assert reader.accepts_directories
    read = {pattern.removeprefix("*") for pattern in reader.filename_patterns}
    for entry in FORMATS.values():
        for suffix in entry.suffixes:
            assert any(suffix.endswith(ending) for ending in read if ending.startswith(".")), suffix
    for writer in manifest.contributions.writers or ():
        for suffix in writer.filename_extensions:
            assert any(entry.writes and suffix.endswith(entry.suffixes) for entry in FORMATS.values()), suffix


@pytest.fixture
def manager(manifest: npe2.PluginManifest) -> npe2.PluginManager:
    """napari's list of plugins with this one alone."""
    made = npe2.PluginManager()
    made.register(manifest)
    return made


@pytest.mark.parametrize(
    "name",
    [
        "CT.1.3.12.2.1107.5.1.4.60064.30000022120808113428000016583",
        "MR.1.2.840",
        "PT.1.2.840.113619.5",
        "1.2.840.113.77",
        "1.2.276.0.7230010.3.1.4.8323329.5",
        "ct.1.2",
        "mr.004",
        "IM0001",
        "IM1",
        "IMG-0002-00014",
        "00000012",
        "a.DCM",
        "scan.IMA",
    ],
)
def test_slices_are_offered_by_the_names_that_scanners_and_archives_give_them(
    manager: npe2.PluginManager, name: str
) -> None:
    assert list(manager.iter_compatible_readers([f"/scans/2024.05.17/{name}"]))


@pytest.mark.parametrize(
    "name",
    ["film.mp4", "cells.h5", "cells.hdf5", "cells.czi", "dose.jp2", "a.nc4", "a.b.2.csv", "ct.csv", "README", "x.bz2"],
)
def test_files_of_others_are_not_claimed_by_their_names(manager: npe2.PluginManager, name: str) -> None:
    assert not list(manager.iter_compatible_readers([f"/scans/2024.05.17/{name}"]))


def test_the_samples_are_those_of_the_program(manifest: npe2.PluginManifest) -> None:
    found = {sample.key: sample.display_name for sample in manifest.contributions.sample_data or ()}
    assert found == {name: sample.title for name, sample in SAMPLES.items()}


def test_registering_imports_nothing_of_the_package() -> None:
    script = (
        "import sys, npe2\n"
        f"npe2.PluginManager.instance().register(npe2.PluginManifest.from_file({str(PACKED)!r}))\n"
        "assert not [name for name in sys.modules if name.startswith(('napari_seg', 'torch'))]\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_the_readers_import_no_torch() -> None:
    script = "import sys, napari_seg.gui.manifest, napari_seg.gui.opening; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True)


def test_one_mask_does_not_replace_a_file_of_several(tmp_path: Path) -> None:
    planes = Volume(np.ones((3, 40, 60), np.uint8), "CYX", channels=("liver", "spleen", "kidney"))
    path = write(planes, tmp_path / "organs.ome.tif")
    before = path.read_bytes()
    with pytest.raises(SegError, match="holds 3 masks or channels, this is one of them; choose another name"):
        write_labels(str(path), np.ones((40, 60), np.uint8), {"name": "liver"})
    assert path.read_bytes() == before
    one = tmp_path / "liver.ome.tif"
    for value in (1, 2):
        write_labels(str(one), np.full((40, 60), value, np.uint8), {"name": "liver"})
    assert (np.asarray(read(one).data) == 2).all()
