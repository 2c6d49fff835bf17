"""Of which patient an image is: told by a person, read from a name in the way of BIDS, and taken along."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from session_images import a_store, an_image, blocks_of, step

from napari_seg.session.cases import case, cases
from napari_seg.session.database import connect
from napari_seg.session.patients import marks, patient_of, tell_patient
from napari_seg.session.store import Store


@pytest.mark.parametrize(
    ("name", "patient"),
    [
        ("sub-01_T2w", "sub-01"),
        ("sub-Ann2_ses-1_run-3_bold", "sub-Ann2"),
        ("sub-01", ""),  # one image for each subject needs no mark
        ("hippocampus_004", ""),
        ("sub-_T2w", ""),
        ("my sub-01_T2w", ""),
    ],
)
def test_the_subject_of_a_name(name: str, patient: str) -> None:
    assert patient_of(replace(an_image((8, 8)), name=name), {}) == patient


def test_what_a_person_says_comes_first_and_can_be_taken_back(tmp_path: Path) -> None:
    store = Store(connect(tmp_path))
    image = store.add_image(replace(an_image((8, 8)), name="sub-01_T2w")).id
    tell_patient(store, image, " P1 ", 1.0, "Ann")
    assert case(store, image).patient == "P1"
    assert cases(store) == [case(store, image)]
    assert case(store, image).state == "new"  # nobody has looked at any mask
    assert [(who, what) for _, who, _, what, _, _ in store.log(image)] == [("Ann", "patient told")]
    tell_patient(store, image, "", 2.0, "Ann")
    assert case(store, image).patient == "sub-01"


def test_it_goes_with_the_work_into_a_project_and_is_forgotten_with_the_image(tmp_path: Path) -> None:
    for name in ("own", "project"):
        (tmp_path / name).mkdir()
    own, image = a_store(tmp_path / "own", (8, 8))
    own.commit(image, step(blocks_of(own, image, np.ones((8, 8), np.uint16))))
    tell_patient(own, image, "P1", 1.0, "Ann")
    known_by = own.image(image).fingerprint
    project, _ = a_store(tmp_path / "project", (8, 8))
    project._sql.execute("UPDATE images SET fingerprint = 'another'")
    here = project.add_image(own.image(image)).id
    project.bring(here, tmp_path / "own", known_by)
    assert case(project, here).patient == "P1"
    assert marks(project) == {known_by: "P1"}
    project.forget(here)
    assert marks(project) == {}
