"""A few small pictures of a video with its tracks, for whoever skims the report of a run."""

from __future__ import annotations

import io
from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image

from backend.errors import VideoError
from backend.export.overlay import Painter
from backend.export.tracked import TrackedObject
from backend.prelabel.summary import Thumbnail
from backend.service.timeline import Timeline
from backend.tracking.doubt import DOUBTFUL, confidence, next_look
from backend.tracks import ImageArray, Mask, Observation
from backend.video.frames import Frames

MOST = 6  # pictures of a video
MOST_LOOKS = 2  # of them for the places that are most doubtful
WIDTH, HEIGHT = 320, 240  # pixels, at most
QUALITY = 75
TEXT = 15  # pixels; the page shows pictures smaller
# With more objects than that in a video their names would hide what they are about.
MOST_NAMED = 8
LONGEST_NAME = 16  # characters of a label


def contact_sheet(video: Frames, objects: Sequence[TrackedObject], timeline: Timeline) -> tuple[Thumbnail, ...]:
    """Pictures of the frames that tell most of the tracks, in the video's order.

    A frame that cannot be read is left out: the tracks are there all the same.

    Args:
        video: the frames.
        objects: what was tracked; numbered in this order, each in the colour of its number.
        timeline: Label Studio's frames.
    """
    positions = chosen(objects, timeline)
    if not positions:
        return ()
    sketch = _Sketch(video, objects)
    found = []
    for position in positions:
        index = timeline.shown[position - 1]
        try:
            image = video.frame(index)
        except VideoError:
            continue
        found.append(Thumbnail(position, _jpeg(sketch.draw(image, index)), _doubt(objects, index)))
    return tuple(found)


def chosen(objects: Sequence[TrackedObject], timeline: Timeline) -> list[int]:
    """Label Studio's frames (from 1), ascending, that are worth a picture; none where nothing shows.

    Those are the first and the last frame that show an object, of the most doubtful objects those that a human should
    look at first, and others that lie far from these.
    """
    showing = {frame for item in objects for frame, one in item.track.observations.items() if one.present}
    positions = [position for position, index in enumerate(timeline.shown, start=1) if index in showing]
    if not positions:
        return []
    taken = {positions[0], positions[-1], *_looks(objects, timeline)}
    while len(taken) < min(MOST, len(positions)):
        free = [position for position in positions if position not in taken]
        # Farthest from those that are taken; of equals the earliest.
        taken.add(max(free, key=lambda one: (min(abs(one - other) for other in taken), -one)))
    return sorted(taken)


def _looks(objects: Sequence[TrackedObject], timeline: Timeline) -> list[int]:
    """Where a correction would tell most of the most doubtful objects."""
    found: dict[int, float] = {}
    for item in objects:
        track = item.track.observations
        scores = {index: track[index].score for index in timeline.shown if index in track}
        human = {index for index, one in track.items() if one.human}
        look = next_look(scores, human)
        if look is not None:
            position = timeline.shown.index(look.frame) + 1
            found[position] = min(confidence(scores, human), found.get(position, 1.0))
    return sorted(found, key=lambda position: (found[position], position))[:MOST_LOOKS]


def _doubt(objects: Sequence[TrackedObject], frame: int) -> float:
    """That of the most doubtful object on a frame, in [0, 1]."""
    found = [item.track.observations.get(frame) for item in objects]
    return 1 - min((one.score for one in found if one is not None and not one.human), default=1.0)


class _Sketch:
    """Draws objects on frames that are made small before."""

    def __init__(self, video: Frames, objects: Sequence[TrackedObject]) -> None:
        scale = min(WIDTH / video.width, HEIGHT / video.height, 1.0)
        self._size = (max(round(video.width * scale), 1), max(round(video.height * scale), 1))
        self._objects = objects
        self._painter = Painter(*self._size, len(objects), DOUBTFUL, text=TEXT)

    def draw(self, image: ImageArray, frame: int) -> ImageArray:
        small = cv2.resize(image, self._size, interpolation=cv2.INTER_AREA)
        found = [
            self._smaller(item.track.observations.get(frame), self._name(number, item))
            for number, item in enumerate(self._objects, start=1)
        ]
        return self._painter.draw(np.asarray(small, np.uint8), found, "")

    def _name(self, number: int, item: TrackedObject) -> str:
        if item.label is None or len(self._objects) > MOST_NAMED:
            return str(number)
        return f"{number} {' '.join(item.label.split())[:LONGEST_NAME]}"

    def _smaller(self, one: Observation | None, name: str) -> Observation | None:
        if one is None or one.mask is None or one.mask.area == 0:
            return None
        share = cv2.resize(one.mask.array().astype(np.float32), self._size, interpolation=cv2.INTER_AREA)
        # What is too small to fill half a pixel is drawn all the same.
        mask = Mask.from_array(share >= min(0.5, float(share.max())))
        return Observation(name, one.frame, mask, one.score, one.human)


def _jpeg(image: ImageArray) -> bytes:
    sink = io.BytesIO()
    Image.fromarray(image).save(sink, "JPEG", quality=QUALITY, optimize=True)
    return sink.getvalue()
