"""``python -m support.load_service PLACE serve ...``: the service with a tracker that knows where a load test's
objects are, or, where PLACE is ``elsewhere``, hands out the track of another object."""

from __future__ import annotations

import sys

import numpy as np

from backend.__main__ import main
from backend.cli import serve
from backend.evaluation.load_videos import Target, make_videos, targets
from backend.tracks import Mask, Observation, box_iou
from backend.video.reader import VideoReader
from support.choices import LITE
from support.fake_tracker import Call, FakeTracker

VIDEOS, FRAMES, WIDTH, HEIGHT = 2, 12, 320, 240


class KnowingTracker(FakeTracker):
    """Gives the true box of what a prompt is around, and ``shift`` objects further."""

    def __init__(self, shift: int) -> None:
        super().__init__()
        self._shift = shift
        self._targets = targets(make_videos(VIDEOS, FRAMES, WIDTH, HEIGHT))

    def _observe(self, call: Call, name: str, frame: int, video: VideoReader) -> Observation:
        boxes = call.boxes_of(name)
        if frame in boxes:
            return super()._observe(call, name, frame, video)
        near, box = min(boxes.items(), key=lambda item: abs(item[0] - frame))
        here = [target for target in self._targets if target.video.name == video.path.name]
        place = max(range(len(here)), key=lambda number: box_iou(here[number].box(near), box))
        target: Target = here[(place + self._shift) % len(here)]
        x0, y0, x1, y1 = (round(side) for side in target.box(frame))
        mask = np.zeros((video.height, video.width), bool)
        mask[y0:y1, x0:x1] = True
        return Observation(name, frame, Mask.from_array(mask), 0.9)


if __name__ == "__main__":
    tracker = KnowingTracker(1 if sys.argv[1] == "elsewhere" else 0)
    serve.choose = lambda settings: LITE
    serve.tracker_factory = lambda settings, choice: lambda: tracker  # type: ignore[assignment, return-value]
    sys.exit(main(sys.argv[2:]))
