"""A labeling configuration for pictures in their order, on which masks are painted, made by clicks, and tracked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from backend.errors import PayloadError
from backend.labelstudio.config import COMMAND, DIRECTIONS, VideoConfig, parse_video_config
from backend.labelstudio.tags import Tag, read_tags, refuse
from backend.tracks import Direction

EXAMPLE = "labelstudio_config/frames_masks.xml"
CLICKS, BOXES, BRUSH = "keypointlabels", "rectanglelabels", "brushlabels"


@dataclass(frozen=True)
class PictureConfig:
    """What the backend needs of a labeling configuration for pictures in their order.

    ``image_name`` is the name of its Image, whose pictures a task lists under ``frames_key``. Masks are regions of
    ``brush_name``, with one of its ``labels``. ``clicks_names`` and ``boxes_names`` are the controls whose points and
    rectangles ask for a mask; ``commands`` are the labels of those that ask for tracking instead, and which way.
    """

    image_name: str
    frames_key: str
    brush_name: str
    labels: tuple[str, ...]
    clicks_names: tuple[str, ...] = ()
    boxes_names: tuple[str, ...] = ()
    commands: Mapping[str, Direction] = field(default_factory=dict)

    def frames_of(self, data: Mapping[str, Any]) -> tuple[str, ...]:
        """The addresses of a task's pictures.

        Raises:
            PayloadError: the task has none, or something else is among them.
        """
        found = data.get(self.frames_key)
        if not isinstance(found, list) or not found:
            raise PayloadError(
                f"data.{self.frames_key}: expected a list of pictures' addresses, found {_brief(found)}; the labeling "
                f'configuration says valueList="${self.frames_key}", so each task needs one under that name'
            )
        for index, address in enumerate(found):
            if not isinstance(address, str) or not address.strip():
                raise PayloadError(
                    f"data.{self.frames_key}[{index}]: expected a picture's address, found {_brief(address)}"
                )
        return tuple(found)


def read_config(xml: str) -> VideoConfig | PictureConfig:
    """Read a labeling configuration: one with a Video, or one with pictures in their order.

    Raises:
        LabelConfigError: neither :func:`backend.labelstudio.config.parse_config` nor
            :func:`parse_picture_config` can read it.
    """
    tags = read_tags(xml)
    if any(tag.name == "video" for tag in tags) or not _sequences(tags):
        return parse_video_config(tags)
    return _parse(tags)


def parse_picture_config(xml: str) -> PictureConfig:
    """Read a labeling configuration for pictures; what it holds beside one sequence and its controls is ignored.

    Raises:
        LabelConfigError: it is too large, no XML, declares a document type, has not exactly one Image with a
            ``valueList``, no BrushLabels for it, or clicks with labels that no mask can have.
    """
    return _parse(read_tags(xml))


def _parse(tags: Sequence[Tag]) -> PictureConfig:
    images = _sequences(tags)
    if len(images) != 1:
        _refuse(f"it has {len(images) or 'no'} <Image valueList> tags where this backend needs exactly one")
    image = images[0]
    image_name = image.required("name")
    controls = [tag for tag in tags if image_name in tag.targets]
    brushes = [tag for tag in controls if tag.name == BRUSH]
    if len(brushes) != 1:
        _refuse(
            f'it has {len(brushes) or "no"} <BrushLabels toName="{image_name}"> where this backend needs exactly one: '
            "masks go back to it"
        )
    labels = tuple(brushes[0].words)
    clicks = [tag for tag in controls if tag.name == CLICKS]
    boxes = [tag for tag in controls if tag.name == BOXES]
    commands: dict[str, Direction] = {}
    for tag in (*clicks, *boxes):
        for word in tag.words:
            way = direction_of(word)
            if way is not None:
                commands[word] = way
            elif word not in labels:
                _refuse(f"<{tag.name}> has the label {word!r}, and <BrushLabels> has none of that name for its mask")
    return PictureConfig(
        image_name=image_name,
        frames_key=_key(image),
        brush_name=brushes[0].required("name"),
        labels=labels,
        clicks_names=_names(clicks),
        boxes_names=_names(boxes),
        commands=commands,
    )


def direction_of(label: str) -> Direction | None:
    """Which way a label asks to track: ``Track`` forwards, ``Track backward`` and ``Track both`` as they say; None for
    a class."""
    command, _, way = label.strip().lower().partition(" ")
    if command != COMMAND:
        return None
    return next((direction for direction in DIRECTIONS if way.strip() == direction), None if way else "forward")


def _sequences(tags: Sequence[Tag]) -> list[Tag]:
    return [tag for tag in tags if tag.name == "image" and tag.attributes.get("valuelist", "").strip()]


def _names(tags: Iterable[Tag]) -> tuple[str, ...]:
    return tuple(tag.required("name") for tag in tags)


def _key(image: Tag) -> str:
    value = image.required("valuelist")
    if not value.startswith("$") or len(value) == 1:
        _refuse(
            f'<Image> has valueList="{value}"; write valueList="$frames", where "frames" is the key in the task data'
        )
    return value[1:]


def _refuse(problem: str) -> NoReturn:
    refuse(problem, EXAMPLE)


def _brief(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:80] + "..."
