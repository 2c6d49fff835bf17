"""A setting is a frozen spec: one definition is the flags, the form, the JSON in a file and the record of what was
done."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from reprlib import repr as short
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, ValidationError, model_serializer
from pydantic_core import ErrorDetails

from napari_seg.errors import SegError

_MEANT = {
    "bool_parsing": "it should be True or False",
    "bool_type": "it should be True or False",
    "dict_type": "it should be a dictionary",
    "finite_number": "it should be a number",
    "float_parsing": "it should be a number",
    "float_type": "it should be a number",
    "int_from_float": "it should be a whole number",
    "int_parsing": "it should be a whole number",
    "int_type": "it should be a whole number",
    "string_type": "it should be text",
    "tuple_type": "it should be a tuple or a list",
}
"""What is meant by errors that pydantic tells in words of its own; the words of the others are plain."""


class Spec(BaseModel):
    """Base of all settings. Unknown keys are refused from people and kept from files written by a newer version."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def __init__(self, /, **values: Any) -> None:
        """Raises ``SegError`` naming the first value that is wrong."""
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise SegError(_sentence(error, type(self))) from None

    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]  # a spec in a spec is read as ever

    @classmethod
    def from_person(cls, values: Mapping[str, Any]) -> Self:
        """Settings typed by a person. Raises ``SegError`` naming the first value that is wrong."""
        return cls(**values)

    @classmethod
    def refuse_other(cls, given: object) -> None:
        """Raises ``SegError`` where what a function was given as its settings are none of this kind."""
        if not isinstance(given, cls):
            words = f"The settings are of the type {type(given).__name__}; give a {cls.__name__}"
            raise SegError(f"{words}, as {cls.__name__}(**settings) makes of a dictionary.")

    @classmethod
    def from_file(cls, text: str | bytes) -> Self:
        """Settings stored as JSON. Unknown keys are kept. Raises ``SegError`` naming the first value that is wrong."""
        try:
            return cls.model_validate_json(text, extra="allow")
        except ValidationError as error:
            raise SegError(_sentence(error, cls)) from None

    @model_serializer(mode="wrap")
    def _with_unknown_keys(self, known: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {**known(self), **(self.model_extra or {})}

    def to_json(self) -> str:
        return json.dumps(self.model_dump(mode="json"), ensure_ascii=True, allow_nan=False)


def _sentence(error: ValidationError, kind: type[Spec]) -> str:
    """Which setting is wrong, what it should be and what was given."""
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "The settings do not fit"
    if first["type"] == "extra_forbidden":
        known = f", only {', '.join(kind.model_fields)}" if len(first["loc"]) == 1 else ""
        return f"{where}: there is no such setting{known}; correct this name."
    return f"{where}: {_wrong(first)}; correct this value."


def _wrong(error: ErrorDetails) -> str:
    if error["type"] == "missing":
        return "it is missing"
    if error["type"] == "value_error":
        return error["msg"].removeprefix("Value error, ")
    words = _MEANT.get(error["type"]) or re.sub(r"^\w+ should ", "it should ", error["msg"].replace(" valid ", " "))
    return f"{words[:1].lower()}{words[1:]}, not {' '.join(short(error['input']).split())}"
