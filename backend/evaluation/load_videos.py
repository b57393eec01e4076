"""The videos of a load test: drawn, so that it is known where each object is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path

import numpy as np

from backend.evaluation.moving_scene import FPS, PERIOD, MovingScene
from backend.tracks import Box, box_iou
from backend.video.clock import FrameClock
from backend.video.writer import VideoWriter

OBJECTS = 12


@dataclass(frozen=True)
class LoadVideo:
    """A part of a moving scene, which begins at the scene's frame ``first``."""

    name: str
    scene: MovingScene
    first: int

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.scene.width, self.scene.height

    @property
    def frames(self) -> int:
        """How many there are."""
        return self.scene.frames - self.first

    @cached_property
    def clock(self) -> FrameClock:
        """As Label Studio counts its frames."""
        return FrameClock(np.arange(self.frames) / FPS, self.frames / FPS, FPS)

    def box(self, number: int, frame: int) -> Box:
        """Where an object, counted from 0, is on a frame (decode index)."""
        return self.scene.box(number, self.first + frame)

    def write(self, directory: Path) -> None:
        """Render it to a file of its name.

        Raises:
            VideoError: the file cannot be written.
        """
        with VideoWriter(directory / self.name, *self.size, FPS) as writer:
            for image in islice(self.scene.render(), self.first, None):
                writer.write(image)


@dataclass(frozen=True)
class Target:
    """An object of a video, by its number from 0."""

    video: LoadVideo
    number: int

    def box(self, frame: int) -> Box:
        """Where it is on a frame (decode index)."""
        return self.video.box(self.number, frame)

    def fit(self, boxes: Mapping[int, Box]) -> float:
        """The mean IoU of boxes by frame with where it is; frames that its video does not have count as 0."""
        ious = [box_iou(box, self.box(frame)) if frame < self.video.frames else 0.0 for frame, box in boxes.items()]
        return float(np.mean(ious)) if ious else 0.0


def make_videos(count: int, frames: int, width: int, height: int) -> list[LoadVideo]:
    """Videos in which the same objects go the same ways, but are nowhere at the same time."""
    firsts = [round(PERIOD * number / count) for number in range(count)]
    return [
        LoadVideo(f"load-{number}.mp4", MovingScene(OBJECTS, width, height, first + frames), first)
        for number, first in enumerate(firsts, start=1)
    ]


def targets(videos: Sequence[LoadVideo]) -> list[Target]:
    """All objects of all videos."""
    return [Target(video, number) for video in videos for number in range(video.scene.objects)]
