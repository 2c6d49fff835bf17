"""Which images of a session are of one patient (or animal, or specimen): a model is never judged on a patient from whom
it learned.

A person says it with a mark of their own, such as P1. Of an image that nobody spoke of it is the subject that its file
is named after in the way of BIDS (Gorgolewski et al., Sci. Data 2016), such as ``sub-01_T2w.nii.gz``, if it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from napari_seg.session.records import PATIENT, ImageRow
from napari_seg.session.store import Store

TOLD = "patient told"
"""What the log says when a person has told the patient of an image."""

_SUBJECT = re.compile(r"sub-[0-9A-Za-z]+(?=_)")


def marks(store: Store) -> Mapping[str, str]:
    """What persons told, by the fingerprints of images."""
    return store.metas(PATIENT)


def patient_of(image: ImageRow, told: Mapping[str, str]) -> str:
    """The mark of the patient of an image, empty where it is not known. ``told``: by :func:`marks`."""
    subject = _SUBJECT.match(image.name)
    return told.get(image.fingerprint) or (subject[0] if subject else "")


def tell_patient(store: Store, image: int, mark: str, at: float, who: str) -> None:
    """Keep of which patient an image is; an empty mark takes it back."""
    store.put_meta(f"{PATIENT}{store.image(image).fingerprint}", mark.strip())
    store.note(image, at, who, TOLD)
