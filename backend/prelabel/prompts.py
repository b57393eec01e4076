"""Prompts as records: which object, on which frame, marked by what. Files of ``track`` and manifests have them."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from backend.errors import PromptError
from backend.prelabel.given import GivenPrompts
from backend.service.timeline import Timeline
from backend.tracks import BoolArray, Box, Point, Prompt
from backend.video.frames import Frames
from backend.video.images import FORMATS


@dataclass(frozen=True)
class PromptRequest:
    """A prompt as it was asked for. ``mask`` is an image file, and ``image`` what it has, where that was read already;
    ``mask_value`` is the object's value in it, by default all but 0. ``source`` tells where it was written, for
    messages."""

    source: str
    name: str
    frame: int
    label: str | None = None
    box: Box | None = None
    points: tuple[Point, ...] = ()
    mask: Path | None = None
    mask_value: int | None = None
    image: bytes | None = None

    def read(self) -> PromptRequest:
        """The same with what its image file has, to be used where the file is not.

        Raises:
            PromptError: the file cannot be read.
        """
        if self.mask is None:
            return self
        try:
            return replace(self, image=self.mask.read_bytes())
        except OSError as error:
            raise PromptError(f"{self.source}: mask {self.mask} cannot be read ({error.strerror})") from error

    def load(self, width: int, height: int) -> Prompt:
        """The prompt for a video of this size, its mask read.

        Raises:
            PromptError: it cannot be used there.
        """
        try:
            mask = None if self.mask is None else read_mask(self.mask, self.mask_value, width, height, self.image)
            prompt = Prompt(self.name, self.frame, self.box, self.points, mask)
            prompt.validate(width, height)
        except PromptError as error:
            raise PromptError(f"{self.source}: {error}") from error
        return prompt


class PointRecord(BaseModel):
    """A click in pixels."""

    model_config = ConfigDict(extra="forbid", strict=True)

    x: float
    y: float
    positive: bool = True


class PromptRecord(BaseModel):
    """One object on one frame."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: str = Field(min_length=1)
    label: str | None = Field(None, min_length=1)
    frame: int = Field(ge=0)
    box: tuple[float, float, float, float] | None = None
    points: list[PointRecord] = Field(default_factory=list)
    mask: str | None = Field(None, min_length=1)
    mask_value: int | None = Field(None, ge=0)

    def request(self, source: str, directory: Path) -> PromptRequest:
        """The prompt that it is.

        Args:
            source: where it was written, for messages.
            directory: where its image file is, unless it says that itself.
        """
        return PromptRequest(
            source=source,
            name=self.name,
            frame=self.frame,
            label=self.label,
            box=self.box,
            points=tuple(Point(point.x, point.y, point.positive) for point in self.points),
            mask=None if self.mask is None else directory / self.mask,
            mask_value=self.mask_value,
        )


class PromptPlan:
    """What a video is tracked by whose objects somebody has marked, to be sent wherever it is tracked.

    Args:
        requests: the prompts; their image files are read here.

    Raises:
        PromptError: an image file cannot be read, or an object has two labels.
    """

    label = None

    def __init__(self, requests: Sequence[PromptRequest]) -> None:
        self._requests = [request.read() for request in requests]
        self._labels = labels_of(requests)

    def __str__(self) -> str:
        count = len(self._requests)
        return f"{count} prompt{'s' * (count != 1)}"

    @property
    def fingerprint(self) -> str:
        """Tells the same prompts again."""
        return hashlib.sha256(repr([replace(one, source="", mask=None) for one in self._requests]).encode()).hexdigest()

    def given(self, timeline: Timeline, video: Frames) -> GivenPrompts:
        """The same on the frames of the video.

        Raises:
            PromptError: a prompt does not fit the video.
        """
        for one in self._requests:
            if one.frame >= len(video):
                raise PromptError(f"{one.source}: there is no frame {one.frame}: the video has {len(video)}, from 0 on")
        return GivenPrompts([one.load(video.width, video.height) for one in self._requests], self._labels)


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


def read_mask(path: Path, value: int | None, width: int, height: int, image: bytes | None = None) -> BoolArray:
    """The object in an image file, ``bool (height, width)``: the pixels of ``value``, or all that are not 0.

    Of colours any channel counts; what is transparent is outside. ``image`` is what the file has, where it was read.

    Raises:
        PromptError: no such file, no image, another size than the video, a value asked of colours, nothing inside.
    """
    try:
        with Image.open(path if image is None else io.BytesIO(image), formats=FORMATS) as opened:
            if opened.size != (width, height):
                raise PromptError(
                    f"mask {path} is {opened.width} x {opened.height} pixels, the video {width} x {height}; "
                    "resize it without smoothing"
                )
            transparent = "A" in opened.getbands()
            pixels = np.asarray(opened)
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
