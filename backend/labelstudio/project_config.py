"""A labeling configuration of any kind, as far as an export needs it: where the media are, and the labels' order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from backend.labelstudio.config import is_command
from backend.labelstudio.tags import Tag, parse_number, read_tags

Kind = Literal["video", "image"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class Medium:
    """A Video or Image tag.

    Attributes:
        kind: which of the two; an Image may have a list of them.
        name: the tag's, to which regions refer.
        key: under which tasks keep it.
        frame_rate: what the tag declares.
        frame_rate_key: under which tasks keep the frame rate.
    """

    kind: Kind
    name: str
    key: str
    frame_rate: float | None = None
    frame_rate_key: str | None = None

    def frame_rate_of(self, data: Mapping[str, Any]) -> float | None:
        """What is declared for a task, or None, for which Label Studio takes its default."""
        return self.frame_rate if self.frame_rate_key is None else parse_number(data.get(self.frame_rate_key))


@dataclass(frozen=True)
class ProjectConfig:
    """``media`` in their order; ``labels`` of all groups in their order, those aside that act as buttons."""

    media: tuple[Medium, ...]
    labels: tuple[str, ...]

    def medium(self, name: str | None) -> Medium | None:
        """The tag of that name."""
        return next((medium for medium in self.media if medium.name == name), None)


def parse_project_config(xml: str) -> ProjectConfig:
    """Read a labeling configuration, whatever it is for.

    Raises:
        LabelConfigError: it is too large, no XML, or declares a document type.
    """
    tags = read_tags(xml)
    media = [_medium(tag, kind) for tag in tags for kind in KINDS if tag.name == kind]
    groups = [tag.words for tag in tags if tag.name.endswith("labels") and not is_command(tag.words)]
    labels = dict.fromkeys(word for group in groups for word in group)
    return ProjectConfig(tuple(medium for medium in media if medium is not None), tuple(labels))


def _medium(tag: Tag, kind: Kind) -> Medium | None:
    value = tag.attributes.get("valuelist") or tag.attributes.get("value") or ""
    name = tag.attributes.get("name", "").strip()
    frame_rate = tag.attributes.get("framerate", "").strip()
    if not name or not value.startswith("$") or len(value) == 1:
        return None
    return Medium(
        kind, name, value[1:], parse_number(frame_rate), frame_rate[1:] if frame_rate.startswith("$") else None
    )
