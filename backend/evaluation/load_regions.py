"""A region as an annotator's browser holds it, and what the annotator does to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from backend.evaluation.load_videos import Target
from backend.evaluation.moving_scene import FPS
from backend.labelstudio.edits import Item
from backend.labelstudio.regions import NOTE, RECTANGLE, from_keyframe
from backend.tracks import Box, Keyframe


@dataclass(frozen=True)
class Held:
    """A region, and what its annotator knows of it. Frames are Label Studio's, from 1.

    Attributes:
        target: what it is about.
        item: as it is sent, and as it last came back.
        drawn: the keyframes that the annotator drew, by frame.
        last: the frame after which the annotator hid the object; None where it stays.
        tracked: it came back tracked to the end, and was not changed since.
    """

    target: Target
    item: Item
    drawn: Mapping[int, Item]
    last: int | None = None
    tracked: bool = False

    @property
    def id(self) -> str:
        """The region's."""
        return str(self.item["id"])

    def with_box(self, frame: int, box: Box) -> Held:
        """After a box (pixels) was drawn, or drawn anew, on a frame."""
        return self._with(self.target_keyframe(frame, box), self.item["value"]["sequence"], self.drawn)

    def ended(self, frame: int, box: Box) -> Held:
        """After the object was hidden from ``frame`` on, and the keyframes that followed were deleted."""
        kept = [item for item in self.item["value"]["sequence"] if item["frame"] < frame]
        drawn = {number: item for number, item in self.drawn.items() if number < frame}
        return replace(self._with(self.target_keyframe(frame, box, enabled=False), kept, drawn), last=frame)

    def answered(self, item: Item) -> Held:
        """With what came back for it."""
        return replace(self, item=item, tracked=is_tracked(item))

    def target_keyframe(self, frame: int, box: Box, *, enabled: bool = True) -> Item:
        """A keyframe as the browser makes it."""
        position = self.target.video.clock.index(frame)
        return from_keyframe(Keyframe(position, box, enabled), frame, FPS, self.target.video.size)

    def _with(self, keyframe: Item, sequence: list[Item], drawn: Mapping[int, Item]) -> Held:
        frame = keyframe["frame"]
        others = [item for item in sequence if item["frame"] != frame]
        changed = sorted([*others, keyframe], key=lambda item: int(item["frame"]))
        item = {**self.item, "value": {**self.item["value"], "sequence": changed}}
        return replace(self, item=item, drawn={**drawn, frame: keyframe}, tracked=False)


def new_region(name: str, label: str, target: Target, frame: int, box: Box) -> Held:
    """A region of one box (pixels), just drawn and labelled on a frame."""
    value = {"framesCount": target.video.frames, "duration": target.video.frames / FPS, "labels": [label]}
    item = {
        "id": name,
        "from_name": "box",
        "to_name": "video",
        "type": RECTANGLE,
        "origin": "manual",
        "value": {**value, "sequence": []},
    }
    return Held(target, item, {}).with_box(frame, box)


def notes_of(item: Item) -> list[str]:
    """What the backend tells about a region, in its details."""
    lines = "\n".join(item.get("meta", {}).get("text", [])).splitlines()
    return [line.removeprefix(NOTE) for line in lines if line.startswith(NOTE)]


def is_tracked(item: Item) -> bool:
    """Whether a region came back tracked to the end."""
    notes = notes_of(item)
    return problem_of(item) is None and any(note.startswith("tracked ") for note in notes)


def problem_of(item: Item) -> str | None:
    """Why a region was not tracked, or not to the end."""
    return next((note for note in notes_of(item) if note.startswith(("not tracked: ", "stopped after "))), None)
