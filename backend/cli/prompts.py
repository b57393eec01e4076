"""Prompts as people write them: ``NAME[:LABEL]@FRAME box=...`` on the command line, or records in a JSON file."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from backend.errors import PromptError
from backend.prelabel.prompts import PromptRecord, PromptRequest
from backend.tracks import Box, Point

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


_RECORDS = TypeAdapter(list[PromptRecord])


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
    return [record.request(f"{path}[{index}]", path.parent) for index, record in enumerate(records)]


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
