"""A video as a project's labeling configuration counts it."""

from __future__ import annotations

from dataclasses import dataclass

from backend.video.clock import FrameClock
from backend.video.frames import Frames


@dataclass(frozen=True, eq=False)
class Timeline:
    """The clock, the displayed size (width, height), and the decode index shown at each Label Studio frame.

    ``warnings`` are about the file and about the frame rate, in sentences for the user.
    """

    clock: FrameClock
    size: tuple[int, int]
    shown: tuple[int, ...]
    warnings: tuple[str, ...]

    @classmethod
    def of(cls, video: Frames, frame_rate: float | None) -> Timeline:
        """The timeline of ``video`` at the frame rate that Label Studio takes; None is its default.

        Raises:
            LabelConfigError: the frame rate cannot be used.
        """
        clock = FrameClock(video.timestamps, video.duration, frame_rate)
        shown = tuple(int(index) for index in clock.shown())
        return cls(clock, (video.width, video.height), shown, (*clock.warnings, *video.warnings))
