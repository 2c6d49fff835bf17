"""A setting is a frozen spec: one definition is the flags, the form, the JSON in a file and the record of what was
done."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, ValidationError, model_serializer

from napari_seg.errors import SegError


class Spec(BaseModel):
    """Base of all settings. Unknown keys are refused from people and kept from files written by a newer version."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def from_person(cls, values: Mapping[str, Any]) -> Self:
        """Settings typed by a person. Raises ``SegError`` naming the first value that is wrong."""
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            raise SegError(_sentence(error)) from None

    @classmethod
    def from_file(cls, text: str | bytes) -> Self:
        """Settings stored as JSON. Unknown keys are kept. Raises ``SegError`` naming the first value that is wrong."""
        try:
            return cls.model_validate_json(text, extra="allow")
        except ValidationError as error:
            raise SegError(_sentence(error)) from None

    @model_serializer(mode="wrap")
    def _with_unknown_keys(self, known: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {**known(self), **(self.model_extra or {})}

    def to_json(self) -> str:
        return json.dumps(self.model_dump(mode="json"), ensure_ascii=True, allow_nan=False)


def _sentence(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "The settings do not fit"
    what = first["msg"].removeprefix("Value error, ")
    return f"{where}: {what[:1].lower()}{what[1:]}; correct this value."
