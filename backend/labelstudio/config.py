"""A project's labeling configuration: which names its video, its boxes, its labels and its direction go by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from backend.errors import PayloadError
from backend.labelstudio.tags import Tag, parse_number, read_tags, refuse
from backend.tracks import Direction

COMMAND = "track"
DIRECTIONS: tuple[Direction, ...] = get_args(Direction)


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
        return self.frame_rate if self.frame_rate_key is None else parse_number(data.get(self.frame_rate_key))


def parse_config(xml: str) -> VideoConfig:
    """Read a labeling configuration. What it holds beside one video and its boxes is ignored.

    The classes are the first Labels group of the video; any further one is a button. The direction is the first
    per-region Choices of the video that offers nothing but forward, backward and both.

    Raises:
        LabelConfigError: it is too large, no XML, declares a document type, or has not exactly one Video with
            one VideoRectangle; the message says what to change.
    """
    return parse_video_config(read_tags(xml))


def parse_video_config(tags: Sequence[Tag]) -> VideoConfig:
    """The same of a labeling configuration whose elements were read."""
    videos = [tag for tag in tags if tag.name == "video"]
    if len(videos) != 1:
        refuse(f"it has {len(videos) or 'no'} <Video> tags where this backend needs exactly one")
    video = videos[0]
    video_name = video.required("name")
    controls = [tag for tag in tags if video_name in tag.targets]
    rectangles = [tag for tag in controls if tag.name == "videorectangle"]
    if len(rectangles) != 1:
        refuse(
            f'it has {len(rectangles) or "no"} <VideoRectangle toName="{video_name}"> where this backend needs '
            "exactly one: boxes come from it and go back to it"
        )
    groups = [tag.words for tag in controls if tag.name == "labels"]
    if len(groups) > 1 and is_command(groups[0]):
        refuse(
            f"the Labels group with {groups[0][0]!r} stands before the classes, so that Label Studio would save "
            f"{groups[0][0]!r} as the class of a box; move it behind them"
        )
    frame_rate = video.attributes.get("framerate", "").strip()
    return VideoConfig(
        region_name=rectangles[0].required("name"),
        video_name=video_name,
        video_key=_variable(video),
        frame_rate=parse_number(frame_rate),
        frame_rate_key=frame_rate[1:] if frame_rate.startswith("$") else None,
        labels_name=next((tag.attributes.get("name") for tag in controls if tag.name == "labels"), None),
        labels=tuple(groups[0]) if groups else (),
        command_labels=tuple(word for group in groups[1:] for word in group),
        direction_name=next((tag.attributes.get("name") for tag in controls if _is_direction(tag)), None),
    )


def _variable(video: Tag) -> str:
    value = video.required("value")
    if not value.startswith("$") or len(value) == 1:
        refuse(f'<Video> has value="{value}"; write value="$video", where "video" is the key in the task data')
    return value[1:]


def is_command(words: Sequence[str]) -> bool:
    """Whether a group of labels is a button."""
    return bool(words) and all(word.strip().lower() == COMMAND for word in words)


def _is_direction(tag: Tag) -> bool:
    per_region = tag.attributes.get("perregion", "").strip().lower() == "true"
    return (
        tag.name == "choices"
        and per_region
        and bool(tag.words)
        and {word.strip().lower() for word in tag.words} <= set(DIRECTIONS)
    )
