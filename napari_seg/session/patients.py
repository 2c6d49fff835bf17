"""Which images of a session are of one patient (or animal, or specimen): a model is never judged on a patient from whom
it learned.

A person says it with a mark of their own, such as P1. Of an image that nobody spoke of it is the subject that its file
is named after in the way of BIDS (:func:`~napari_seg.training.split.subject_of`), if it is.
"""

from __future__ import annotations

from collections.abc import Mapping

from napari_seg.session.records import PATIENT, ImageRow
from napari_seg.session.store import Store
from napari_seg.training.split import subject_of

TOLD = "patient told"
"""What the log says when a person has told the patient of an image."""


def marks(store: Store) -> Mapping[str, str]:
    """What persons told, by the fingerprints of images."""
    return store.metas(PATIENT)


def patient_of(image: ImageRow, told: Mapping[str, str]) -> str:
    """The mark of the patient of an image, empty where it is not known. ``told``: by :func:`marks`."""
    return told.get(image.fingerprint) or subject_of(image.name)


def tell_patient(store: Store, image: int, mark: str, at: float, who: str) -> None:
    """Keep of which patient an image is; an empty mark takes it back."""
    store.put_meta(f"{PATIENT}{store.image(image).fingerprint}", mark.strip())
    store.note(image, at, who, TOLD)
