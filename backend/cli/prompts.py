"""Prompts as people write them: ``NAME[:LABEL]@FRAME box=...`` on the command line, or records in a JSON file."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from backend.errors import PromptError
from backend.tracks import BoolArray, Box, Point, Prompt

SYNTAX = """\
prompts:
  --prompt "NAME[:LABEL]@FRAME FIELD..." marks one object on one frame.
    NAME         is the object's own: prompts of one NAME on several frames are one object's
    LABEL        is its class in Label Studio, such as Car; once for each NAME is enough
    FRAME        counts the video's frames from 0
  FIELD is one or more of
    box=X0,Y0,X1,Y1     left, top, right and bottom in pixels
    points=+X,Y;-X,Y    clicks in pixels: + on the object, - beside it
    mask=FILE.png       an image of the video's size, not 0 where the object is;
                        mask=FILE.png#2 takes the pixels of value 2
  for instance
    --prompt "cat:Animal@12 box=40,30,120,90" --prompt "cat@80 points=+60,50;-90,20"

  --prompts FILE.json holds a list of such prompts:
    [{"name": "cat", "label": "Animal", "frame": 12, "box": [40, 30, 120, 90]},
     {"name": "cat", "frame": 80, "points": [{"x": 60, "y": 50}, {"x": 90, "y": 20, "positive": false}]},
     {"name": "dog", "frame": 0, "mask": "dog.png", "mask_value": 2}]
  where a mask lies beside FILE.json unless its path is absolute.
"""

Value = TypeVar("Value")

_HEAD_FORM = '"NAME[:LABEL]@FRAME box=X0,Y0,X1,Y1", for instance "cat:Animal@12 box=40,30,120,90"'
_FORMS = {
    "box": "box=X0,Y0,X1,Y1, for instance box=40,30,120,90",
    "points": "points=+X,Y;-X,Y, for instance points=+60,50;-90,20",
    "mask": "mask=FILE.png, or mask=FILE.png#2 for the pixels of value 2",
}
_HEAD = re.compile(
    r"\s*(?P<name>[^:@]*[^:@\s])\s*(?::\s*(?P<label>[^@]*[^@\s]))?\s*@\s*(?P<frame>\d{1,9})(?:\s+(?P<fields>.*))?",
    re.DOTALL,
)
_POINT = re.compile(r"([+-])([^,]+),([^,]+)")
_MASK = re.compile(r"(?P<path>.+?)(?:#(?P<value>\d{1,5}))?", re.DOTALL)


@dataclass(frozen=True)
class PromptRequest:
    """A prompt as it was asked for. ``mask`` is an image file; ``mask_value`` is the object's value in it, by default
    all but 0. ``source`` tells where it was written, for messages."""

    source: str
    name: str
    frame: int
    label: str | None = None
    box: Box | None = None
    points: tuple[Point, ...] = ()
    mask: Path | None = None
    mask_value: int | None = None

    def load(self, width: int, height: int) -> Prompt:
        """The prompt for a video of this size, its mask read.

        Raises:
            PromptError: it cannot be used there.
        """
        try:
            mask = None if self.mask is None else read_mask(self.mask, self.mask_value, width, height)
            prompt = Prompt(self.name, self.frame, self.box, self.points, mask)
            prompt.validate(width, height)
        except PromptError as error:
            raise PromptError(f"{self.source}: {error}") from error
        return prompt


def parse_prompt(text: str) -> PromptRequest:
    """Read ``NAME[:LABEL]@FRAME FIELD...``.

    Raises:
        PromptError: it is not of that form; the message says what is wrong and shows the right form.
    """
    source = f"--prompt {text!r}"
    head = _HEAD.fullmatch(text)
    if head is None:
        raise PromptError(f"{source} does not start with a name and a frame; write {_HEAD_FORM}")
    try:
        words = shlex.split(head["fields"] or "")
    except ValueError as error:
        raise PromptError(f"{source}: {error}; write {_HEAD_FORM}") from error
    if not words:
        raise PromptError(f"{source} marks nothing; write {_HEAD_FORM}")
    fields: dict[str, str] = {}
    for word in words:
        key, _, value = word.partition("=")
        if key not in _FORMS:
            raise PromptError(f"{source}: {word!r} is no field; write {'; or '.join(_FORMS.values())}")
        if key in fields:
            raise PromptError(f"{source} has two fields {key}; give one")
        if not value:
            raise PromptError(f"{source}: {key} is empty; write {_FORMS[key]}")
        fields[key] = value
    mask = _MASK.fullmatch(fields["mask"]) if "mask" in fields else None
    return PromptRequest(
        source=source,
        name=head["name"].strip(),
        frame=int(head["frame"]),
        label=head["label"],
        box=_field(source, fields, "box", _box),
        points=_field(source, fields, "points", _points) or (),
        mask=Path(mask["path"]).expanduser() if mask else None,
        mask_value=int(mask["value"]) if mask and mask["value"] else None,
    )


class _PointRecord(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    x: float
    y: float
    positive: bool = True


class _PromptRecord(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    name: str = Field(min_length=1)
    label: str | None = Field(None, min_length=1)
    frame: int = Field(ge=0)
    box: tuple[float, float, float, float] | None = None
    points: list[_PointRecord] = Field(default_factory=list)
    mask: str | None = Field(None, min_length=1)
    mask_value: int | None = Field(None, ge=0)


_RECORDS = TypeAdapter(list[_PromptRecord])


def read_prompts(path: Path) -> list[PromptRequest]:
    """Read a JSON file of prompts.

    Raises:
        PromptError: it cannot be read, or is not a list of prompts; the message names the place.
    """
    try:
        records = _RECORDS.validate_json(path.read_bytes())
    except OSError as error:
        raise PromptError(f"--prompts {path}: cannot be read ({error.strerror})") from error
    except ValidationError as error:
        problem = error.errors()[0]
        place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in problem["loc"])
        raise PromptError(
            f"--prompts {path}{': ' + place if place else ''}: {problem['msg']}; write a list such as "
            '[{"name": "cat", "label": "Animal", "frame": 12, "box": [40, 30, 120, 90]}]'
        ) from error
    return [
        PromptRequest(
            source=f"{path}[{index}]",
            name=record.name,
            frame=record.frame,
            label=record.label,
            box=record.box,
            points=tuple(Point(point.x, point.y, point.positive) for point in record.points),
            mask=None if record.mask is None else path.parent / record.mask,
            mask_value=record.mask_value,
        )
        for index, record in enumerate(records)
    ]


def labels_of(requests: Sequence[PromptRequest]) -> dict[str, str | None]:
    """The label of each object, the objects in order of their first prompt.

    Raises:
        PromptError: an object has two labels.
    """
    labels: dict[str, str | None] = {}
    for request in requests:
        known = labels.setdefault(request.name, request.label)
        if known is None:
            labels[request.name] = request.label
        elif request.label not in (None, known):
            raise PromptError(
                f"{request.source}: object {request.name!r} is a {known!r} in another prompt; "
                "give it one label, or give the other object a name of its own"
            )
    return labels


def read_mask(path: Path, value: int | None, width: int, height: int) -> BoolArray:
    """The object in an image file, ``bool (height, width)``: the pixels of ``value``, or all that are not 0.

    Of colours any channel counts; what is transparent is outside.

    Raises:
        PromptError: no such file, no image, another size than the video, a value asked of colours, nothing inside.
    """
    try:
        with Image.open(path) as image:
            if image.size != (width, height):
                raise PromptError(
                    f"mask {path} is {image.width} x {image.height} pixels, the video {width} x {height}; "
                    "resize it without smoothing"
                )
            transparent = "A" in image.getbands()
            pixels = np.asarray(image)
    except FileNotFoundError:
        raise PromptError(f"mask {path}: there is no such file") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise PromptError(f"mask {path} cannot be read as an image: {error}") from error
    if pixels.ndim == 2:
        mask = pixels != 0 if value is None else pixels == value
    elif value is not None:
        raise PromptError(f"mask {path} holds colours, no value {value}; give an indexed or grey image")
    else:
        colours = pixels[..., :-1] if transparent else pixels
        mask = (colours != 0).any(axis=-1)
        if transparent:
            mask &= pixels[..., -1] != 0
    if not mask.any():
        inside = "all of it is 0" if value is None else f"no pixel is {value}"
        raise PromptError(f"mask {path} marks nothing: {inside}")
    return np.asarray(mask, dtype=bool)


def _field(source: str, fields: Mapping[str, str], key: str, read: Callable[[str], Value]) -> Value | None:
    if key not in fields:
        return None
    try:
        return read(fields[key])
    except ValueError as error:
        problem = f"{source}: {key}={fields[key]}: {error}"
        raise PromptError(f"{problem}; write {_FORMS[key]}") from error


def _box(text: str) -> Box:
    sides = [_number(part) for part in text.split(",")]
    if len(sides) != 4:
        raise ValueError(f"{len(sides)} numbers instead of 4")
    x0, y0, x1, y1 = sides
    if x1 <= x0 or y1 <= y0:
        raise ValueError("the right side is not right of the left one, or the bottom not below the top")
    return x0, y0, x1, y1


def _points(text: str) -> tuple[Point, ...]:
    points = []
    for part in text.split(";"):
        found = _POINT.fullmatch(part.strip())
        if found is None:
            raise ValueError(f"{part!r} is no point")
        points.append(Point(_number(found[2]), _number(found[3]), found[1] == "+"))
    return tuple(points)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{text!r} is no number") from None
