"""A project's labeling configuration: which names its video, its boxes, its labels and its direction go by."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn, get_args
from xml.parsers import expat

from backend.errors import LabelConfigError, PayloadError
from backend.tracks import Direction

MAX_CHARACTERS = 1_000_000
COMMAND = "track"
DIRECTIONS: tuple[Direction, ...] = get_args(Direction)
RECOMMENDED = "labelstudio_config/video_boxes.xml"


@dataclass(frozen=True)
class VideoConfig:
    """What the backend needs of a labeling configuration.

    ``region_name`` and ``video_name`` are the names of its VideoRectangle and its Video: ``from_name`` and ``to_name``
    of every region. A task keeps the video under ``video_key``. The frame rate is ``frame_rate``, or the task's
    own under ``frame_rate_key``, or neither: then Label Studio takes its default. ``labels`` are the classes;
    ``command_labels`` those of further groups, which act as buttons. ``direction_name`` names the per-region Choices
    for the direction of tracking. Labels and choices are as they are in results: an ``alias`` stands for its value.
    """

    region_name: str
    video_name: str
    video_key: str
    frame_rate: float | None = None
    frame_rate_key: str | None = None
    labels_name: str | None = None
    labels: tuple[str, ...] = ()
    command_labels: tuple[str, ...] = ()
    direction_name: str | None = None

    def video_of(self, data: Mapping[str, Any]) -> str:
        """A task's video: an address or a path.

        Raises:
            PayloadError: the task has none.
        """
        value = data.get(self.video_key)
        if not isinstance(value, str) or not value.strip():
            raise PayloadError(
                f"data.{self.video_key}: expected the video's address, found {value!r}; the labeling configuration "
                f'says value="${self.video_key}", so each task needs one under that name'
            )
        return value

    def frame_rate_of(self, data: Mapping[str, Any]) -> float | None:
        """The frame rate that is declared for a task, or None; a text that is no number counts as none, as it does
        for Label Studio. :class:`backend.video.clock.FrameClock` makes sense of it."""
        return self.frame_rate if self.frame_rate_key is None else _number(data.get(self.frame_rate_key))


def parse_config(xml: str) -> VideoConfig:
    """Read a labeling configuration. What it holds beside one video and its boxes is ignored.

    The classes are the first Labels group of the video; any further one is a button. The direction is the first
    per-region Choices of the video that offers nothing but forward, backward and both.

    Raises:
        LabelConfigError: it is too large, no XML, declares a document type, or has not exactly one Video with
            one VideoRectangle; the message says what to change.
    """
    tags = _read(xml)
    videos = [tag for tag in tags if tag.name == "video"]
    if len(videos) != 1:
        _refuse(f"it has {len(videos) or 'no'} <Video> tags where this backend needs exactly one")
    video = videos[0]
    video_name = _required(video, "name")
    controls = [tag for tag in tags if video_name in tag.targets]
    rectangles = [tag for tag in controls if tag.name == "videorectangle"]
    if len(rectangles) != 1:
        _refuse(
            f'it has {len(rectangles) or "no"} <VideoRectangle toName="{video_name}"> where this backend needs '
            "exactly one: boxes come from it and go back to it"
        )
    groups = [tag.words for tag in controls if tag.name == "labels"]
    if len(groups) > 1 and _is_command(groups[0]):
        _refuse(
            f"the Labels group with {groups[0][0]!r} stands before the classes, so that Label Studio would save "
            f"{groups[0][0]!r} as the class of a box; move it behind them"
        )
    frame_rate = video.attributes.get("framerate", "").strip()
    return VideoConfig(
        region_name=_required(rectangles[0], "name"),
        video_name=video_name,
        video_key=_variable(video),
        frame_rate=_number(frame_rate),
        frame_rate_key=frame_rate[1:] if frame_rate.startswith("$") else None,
        labels_name=next((tag.attributes.get("name") for tag in controls if tag.name == "labels"), None),
        labels=tuple(groups[0]) if groups else (),
        command_labels=tuple(word for group in groups[1:] for word in group),
        direction_name=next((tag.attributes.get("name") for tag in controls if _is_direction(tag)), None),
    )


@dataclass
class _Tag:
    """An element; names of tags and attributes in lower case, since Label Studio does not tell cases apart.

    ``words`` are the labels or choices inside a group.
    """

    name: str
    attributes: dict[str, str]
    words: list[str] = field(default_factory=list)

    @property
    def targets(self) -> list[str]:
        return [name.strip() for name in self.attributes.get("toname", "").split(",")]


class _Reader:
    """Gathers the elements of a document in their order, with the options of each group."""

    def __init__(self) -> None:
        self.tags: list[_Tag] = []
        self._open: list[_Tag] = []

    def start(self, name: str, attributes: dict[str, str]) -> None:
        tag = _Tag(_local(name), {_local(key): value for key, value in attributes.items()})
        if tag.name in ("label", "choice"):
            word = tag.attributes.get("alias") or tag.attributes.get("value")
            group = next((parent for parent in reversed(self._open) if parent.name in ("labels", "choices")), None)
            if word and group:
                group.words.append(word)
        self.tags.append(tag)
        self._open.append(tag)

    def end(self, _name: str) -> None:
        self._open.pop()


def _read(xml: str) -> list[_Tag]:
    if not xml.strip():
        _refuse("it is empty")
    if len(xml) > MAX_CHARACTERS:
        _refuse(f"it has {len(xml)} characters, and {MAX_CHARACTERS} are the most that are read")
    reader = _Reader()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.StartDoctypeDeclHandler = _refuse_document_type
    try:
        parser.Parse(xml.strip(), True)
    except (expat.ExpatError, UnicodeError) as error:
        _refuse(f"it is no well-formed XML: {error}")
    return reader.tags


def _refuse_document_type(*_declaration: object) -> NoReturn:
    # Entities can only be declared in one, and a few nested entities expand to gigabytes.
    _refuse("it declares a document type; remove the <!DOCTYPE ...> part")


def _refuse(problem: str) -> NoReturn:
    raise LabelConfigError(f"labeling configuration: {problem} (a configuration that works: {RECOMMENDED})")


def _local(name: str) -> str:
    """A name without its namespace, in lower case."""
    return name.rpartition(" ")[2].lower()


def _required(tag: _Tag, attribute: str) -> str:
    value = tag.attributes.get(attribute, "").strip()
    if not value:
        _refuse(f'a <{tag.name}> tag has no {attribute}; write {attribute}="..."')
    return value


def _variable(video: _Tag) -> str:
    value = _required(video, "value")
    if not value.startswith("$") or len(value) == 1:
        _refuse(f'<Video> has value="{value}"; write value="$video", where "video" is the key in the task data')
    return value[1:]


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return None if math.isnan(number) else number


def _is_command(words: list[str]) -> bool:
    return bool(words) and all(word.strip().lower() == COMMAND for word in words)


def _is_direction(tag: _Tag) -> bool:
    per_region = tag.attributes.get("perregion", "").strip().lower() == "true"
    return (
        tag.name == "choices"
        and per_region
        and bool(tag.words)
        and {word.strip().lower() for word in tag.words} <= set(DIRECTIONS)
    )
