"""One entry for each series of a study, each of which is read as that series alone."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pydicom
import pytest
from test_dicom import counted, series

from napari_seg.data.dicom_frames import files_in
from napari_seg.data.dicom_series import SeriesSearch
from napari_seg.data.formats import read


def found(folder: Path, seconds: float = 10.0) -> dict[str, Path]:
    search = SeriesSearch(folder, frozenset({"skipped"}))
    while not search.go_on(seconds):
        pass
    return {one.title: one.path for one in search.found()}


def test_each_series_of_a_study_is_listed_and_read_alone(tmp_path: Path) -> None:
    study = tmp_path / "study"
    flat = {"SeriesDescription": "flat", "SeriesNumber": 4}
    one = series(study / "p1" / "a", counted(3, 4, 5), SeriesInstanceUID="1.1", SeriesDescription="T1")
    both = series(study / "p1" / "b", counted(4, 4, 5), SeriesInstanceUID="1.2", SeriesDescription="T2")
    series(study / "p1" / "b", counted(2, 6, 5), SeriesInstanceUID="1.3", **flat)
    series(study / "p2", counted(5, 4, 5), SeriesInstanceUID="1.4", SeriesDescription=None, SeriesNumber=7)
    series(study / "skipped", counted(2, 4, 5), SeriesInstanceUID="1.5")
    series(study / ".hidden", counted(2, 4, 5), SeriesInstanceUID="1.6")
    (study / "p2" / "broken.dcm").write_bytes(bytes(128) + b"DICM" + bytes(40))
    (study / "notes.txt").write_text("nothing")
    (study / "a.png").write_bytes(bytes(128) + b"DICM")
    paths = found(study)
    assert list(paths) == ["p1/a · T1", "p1/b · T2", "p1/b · flat", "p2 · series 7"]
    assert (paths["p1/a · T1"], paths["p2 · series 7"]) == (one, study / "p2")
    assert paths["p1/b · T2"].parent == paths["p1/b · flat"].parent == both
    assert [read(path).shape for path in paths.values()] == [(3, 4, 5), (4, 4, 5), (2, 6, 5), (5, 4, 5)]
    assert found(study, 0.0) == paths  # in as many pieces as there are files


def test_a_folder_that_is_one_series_is_one_entry(tmp_path: Path) -> None:
    folder = series(tmp_path / "ct", counted(2, 4, 5), SeriesDescription="abdomen")
    assert found(folder) == {"ct · abdomen": folder}
    (folder / "more").mkdir()
    last = sorted(folder.glob("*.dcm"))[-1]
    last.rename(folder / "more" / last.name)  # its files may lie in several folders
    assert found(folder) == {"ct · abdomen": folder}
    assert read(folder).shape == (2, 4, 5)
    assert found(tmp_path / "ct" / "nothing") == {}


def test_pixels_are_not_read(tmp_path: Path) -> None:
    folder = series(tmp_path / "ct", counted(2, 4, 5))
    for path in folder.iterdir():
        header = pydicom.dcmread(path, stop_before_pixels=True)
        header.save_as(path, enforce_file_format=True)
    assert len(found(folder)) == 1


def test_segmentations_are_no_images(tmp_path: Path) -> None:
    folder = series(tmp_path / "study", counted(2, 4, 5))
    series(folder / "masks", np.zeros((1, 4, 5), np.int16), SeriesInstanceUID="1.9", Modality="SEG")
    assert list(found(tmp_path / "study").values()) == [folder]


def test_databases_are_not_even_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This program may write to one: closing the file would take its locks away."""
    for name in ("session.sqlite", "session.sqlite-wal", "session.sqlite-shm", "session.sqlite-journal"):
        (tmp_path / name).write_bytes(b"\0" * 128 + b"DICM")
    monkeypatch.setattr(Path, "open", Mock(side_effect=AssertionError("it was opened")))
    assert list(files_in(tmp_path, nested=True)) == []
