"""What arrives from Label Studio in a result, with strict types: a wrong one is refused with its path."""

from __future__ import annotations

import reprlib
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from backend.errors import PayloadError

FARTHEST = 1_000_000.0
LAST_FRAME = 1_000_000_000

Number = Annotated[float, Field(allow_inf_nan=False, ge=-FARTHEST, le=FARTHEST)]
FrameNumber = Annotated[int, Field(ge=-LAST_FRAME, le=LAST_FRAME)]
Text = Annotated[str, Field(max_length=1000)]
Name = Annotated[Text, Field(min_length=1)]

_shortened = reprlib.Repr()
_shortened.maxstring = _shortened.maxother = 40


class Incoming(BaseModel):
    """Strict about the types it names (``True`` is no number, ``"1"`` neither), indifferent to further keys."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)


class ResultItem(Incoming):
    """What every item of a result has, as far as it has it: relations, for one, have neither names nor a value."""

    id: Text | None = None
    type: Text | None = None
    from_name: Text | None = None
    to_name: Text | None = None


class SequenceItem(Incoming):
    """A keyframe: percent of the displayed frame, ``frame`` from 1, degrees clockwise about the top left corner."""

    frame: FrameNumber
    enabled: bool
    x: Number
    y: Number
    width: Number
    height: Number
    rotation: Number = 0.0


class RectangleValue(Incoming):
    """The value of a ``videorectangle``."""

    sequence: list[SequenceItem]
    labels: list[Text] = []
    frames_count: Number | None = Field(None, alias="framesCount")
    duration: Number | None = None


class RectangleItem(Incoming):
    """A ``videorectangle``: one region's boxes over the video."""

    id: Name
    value: RectangleValue


class ChoicesValue(Incoming):
    """The value of a ``choices``."""

    choices: list[Text]


class ChoicesItem(Incoming):
    """A ``choices`` of one region."""

    id: Name
    value: ChoicesValue


Model = TypeVar("Model", bound=BaseModel)


def parse(model: type[Model], value: object, path: str = "", *, secret: bool = False) -> Model:
    """``value``, which was found at ``path`` in the payload, as a ``model``.

    Args:
        model: what it should be.
        value: what came.
        path: of the value; empty for a whole body.
        secret: it may hold tokens, so that messages get paths and no values.

    Raises:
        PayloadError: something is missing or has the wrong type; the message names its path and what was found.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = path + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"])
        found = "" if secret or first["type"] == "missing" else f"; found {_shortened.repr(first['input'])}"
        where = where.removeprefix(".")
        problem = "Input should be an object" if first["type"] in ("model_type", "dict_type") else first["msg"]
        raise PayloadError(f"{where or 'the body'}: {problem}{found}", where) from None
