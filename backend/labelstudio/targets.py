"""Where masks that are made interactively belong in a labeling configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backend.errors import PayloadError
from backend.labelstudio.tags import Tag, read_tags, refuse

# Controls of the object, the first that there is counts; Label Studio's interface turns masks into what each holds.
_CONTROLS = {
    "image": ("bitmasklabels", "rectanglelabels", "polygonlabels", "vectorlabels"),
    "video": ("videovectorlabels", "videorectangle", "videovector"),
}


@dataclass(frozen=True)
class Target:
    """The ``from_name`` and ``to_name`` of what is made, and the key under which a task has its ``kind`` of media:
    image or video."""

    from_name: str
    to_name: str
    key: str
    kind: str

    def address_of(self, data: Mapping[str, Any]) -> str:
        """A task's media: an address or a path.

        Raises:
            PayloadError: the task has none.
        """
        value = data.get(self.key)
        if not isinstance(value, str) or not value.strip():
            raise PayloadError(
                f"tasks[0].data.{self.key}: expected the {self.kind}'s address, found {value!r}; the labeling "
                f'configuration says value="${self.key}", so each task needs one under that name'
            )
        return value


def find_target(xml: str) -> Target:
    """The first Image with a control for masks, or else the first such Video.

    Raises:
        LabelConfigError: it is too large, no XML, declares a document type, or has neither.
    """
    tags = read_tags(xml)
    found = [
        (controls.index(tag.name), tag, media, kind)
        for kind, controls in _CONTROLS.items()
        for media in (tag for tag in tags if tag.name == kind)
        for tag in tags
        if tag.name in controls and media.attributes.get("name") in tag.targets
    ]
    if not found:
        refuse(
            "interactive masks need a Video with a VideoRectangle, VideoVectorLabels or VideoVector, or an Image with "
            "BitmaskLabels, RectangleLabels, PolygonLabels or VectorLabels"
        )
    _, control, media, kind = min(found, key=lambda one: (one[3] != found[0][3], one[0]))
    return Target(control.required("name"), media.required("name"), _key(media), kind)


def _key(media: Tag) -> str:
    value = media.required("value")
    if not value.startswith("$") or len(value) == 1:
        refuse(f'<{media.name}> has value="{value}"; write value="${media.name}", the key in the task data')
    return value[1:]
