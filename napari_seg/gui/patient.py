"""Who the patient is: asked for by a click, read from the image's file for that one look, and kept nowhere."""

from __future__ import annotations

from napari_seg.data.volume import Volume


def names_patient(volume: Volume) -> bool:
    """Whether the file of an image may name a patient."""
    return volume.source is not None and volume.source.format == "dicom"


def patient_of(volume: Volume) -> dict[str, str]:
    """The name and the ID that the file says; empty where it names nobody."""
    from napari_seg.data.dicom import patient

    if volume.source is None or not names_patient(volume):
        return {}
    found = patient(volume.source.path, series=volume.source.series)
    return {"Patient's name": found["name"], "Patient's ID": found["id"]}
