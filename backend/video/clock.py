"""Label Studio's frame numbers <-> decoded frames.

Label Studio has no access to a file's frames: it divides the time by a frame rate that the labeling configuration
declares, and seeks the browser's video there. Which decoded frame that shows is a matter of presentation times.
Source: Label Studio 1.23.2's editor, ``VideoCanvas`` (``goToFrame``, ``frameSteppedTime``) and the ``Video`` tag.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from backend.errors import FrameOutOfRange, LabelConfigError

DEFAULT_FRAME_RATE = 24.0

# Label Studio rounds the time it seeks to this grid, and then goes one step further, into the frame.
_TIME_STEP = 0.002
# Browsers count in microseconds.
_TOLERANCE = 0.5e-6
# Containers round timestamps, to a millisecond at worst.
_ROUNDING = 0.0015
# A day at 50 frames per second; each takes some memory here and more where tracks are drawn.
_MAX_FRAMES = 5_000_000


class FrameClock:
    """Converts between Label Studio's 1-based frame numbers and 0-based decode indices of one video.

    Attributes:
        frame_rate: frames per second by which Label Studio counts.
        frame_count: frames on Label Studio's timeline, at least 1.
        warnings: sentences for the user, where the two do not count alike: a frame rate that is not the file's,
            a variable one, a video that starts late.
    """

    def __init__(self, timestamps: npt.ArrayLike, duration: float, frame_rate: float | None) -> None:
        """
        Args:
            timestamps: ``(N,)`` ascending presentation seconds, N >= 1.
            duration: seconds, as the browser reports it.
            frame_rate: what the labeling configuration declares; None or 0 stands for Label Studio's default of
                24, a value below 1 for the seconds of a frame.

        Raises:
            LabelConfigError: a frame rate that is negative, not finite, or absurdly high.
        """
        self._timestamps = np.asarray(timestamps, np.float64)
        self.frame_rate = _normalise(frame_rate)
        frames = duration * self.frame_rate
        if not frames < _MAX_FRAMES:
            raise LabelConfigError(f"a frame rate of {frame_rate} over {duration:.0f} s makes {frames:.0f} frames")
        self.frame_count = max(_round(frames), 1)
        self._shown = self._indices(np.arange(1, self.frame_count + 1))
        self.warnings = tuple(self._find_warnings(declared=bool(frame_rate)))

    def index(self, label_studio_frame: int) -> int:
        """The decode index on screen at a Label Studio frame.

        One frame more than the timeline has is the last one: Label Studio's rounding yields it at times.

        Raises:
            FrameOutOfRange: less than 1, or beyond the timeline.
        """
        if not 1 <= label_studio_frame <= self.frame_count + 1:
            raise FrameOutOfRange(
                f"there is no frame {label_studio_frame}: at {self.frame_rate:g} frames per second the video has the "
                f"frames 1 to {self.frame_count}"
            )
        return int(self._shown[min(label_studio_frame, self.frame_count) - 1])

    def label_studio_frame(self, index: int) -> int:
        """The first Label Studio frame that shows a decode index; where none does, one that shows the nearest.

        Raises:
            FrameOutOfRange: the video has no such frame.
        """
        if not 0 <= index < len(self._timestamps):
            raise FrameOutOfRange(f"there is no frame with index {index}: the video has {len(self._timestamps)}")
        after = min(int(np.searchsorted(self._shown, index)), self.frame_count - 1)
        nearest = int(self._shown[after])
        if after and nearest != index and index - self._shown[after - 1] <= abs(nearest - index):
            nearest = int(self._shown[after - 1])
        return int(np.searchsorted(self._shown, nearest)) + 1

    def shown(self) -> npt.NDArray[np.int64]:
        """``(frame_count,)`` the decode index on screen at Label Studio's frames 1, 2, ...; ascending."""
        return self._shown.copy()

    def _indices(self, frames: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        exact = (frames - 1) / self.frame_rate
        seek = np.floor(exact / _TIME_STEP + 0.5) * _TIME_STEP + _TIME_STEP
        found = np.searchsorted(self._timestamps, seek + _TOLERANCE, side="right") - 1
        return np.clip(found, 0, len(self._timestamps) - 1).astype(np.int64)

    def _find_warnings(self, declared: bool) -> list[str]:
        count = len(self._timestamps)
        aligned = min(count, self.frame_count)
        if count < 2 or (abs(count - self.frame_count) <= 1 and (self._shown[:aligned] == np.arange(aligned)).all()):
            return []
        gaps = np.diff(self._timestamps)
        usual = float(np.median(gaps))
        if float(np.abs(gaps - usual).max()) > max(0.25 * usual, _ROUNDING):
            return [self._variable_rate(gaps)]
        warnings = []
        span = float(self._timestamps[-1] - self._timestamps[0])
        rate = (count - 1) / span
        if abs(rate / self.frame_rate - 1) > _ROUNDING / span + 1e-4:
            warnings.append(self._wrong_rate(rate, declared))
        if self._timestamps[0] >= 0.5 * usual:
            warnings.append(self._late_start())
        return warnings

    def _variable_rate(self, gaps: npt.NDArray[np.float64]) -> str:
        shortest, longest = gaps.min() * 1000, gaps.max() * 1000
        return (
            f"The video's frame rate varies (from {shortest:.0f} to {longest:.0f} ms a frame), while Label Studio "
            f"counts {self.frame_rate:g} frames per second: {self._skipped()}. Boxes are placed by time and stay "
            "right, but for exact frame numbers convert the video to a constant frame rate."
        )

    def _wrong_rate(self, rate: float, declared: bool) -> str:
        source = "The labeling configuration declares" if declared else "Label Studio assumes"
        right = _tidy(rate)
        return (
            f"{source} {self.frame_rate:g} frames per second, but the video has {right}: {self._skipped()}. "
            f'Boxes are placed by time and stay right; to see each frame once, set frameRate="{right}" in the Video '
            f'tag, or frameRate="$fps" there and "fps": {right} in the task.'
        )

    def _late_start(self) -> str:
        return (
            f"The video's first picture comes {self._timestamps[0]:.2f} s after its start, and Label Studio counts "
            f"from the start: {self._skipped()}. Convert the video so that its picture starts at 0."
        )

    def _skipped(self) -> str:
        """What the annotator notices: how many frames are never on screen, or are there more than once."""
        count = len(self._timestamps)
        seen = len(np.unique(self._shown))
        parts = []
        if seen < count:
            parts.append(f"{count - seen} of its {count} frames are never shown")
        if seen < self.frame_count:
            parts.append(f"{self.frame_count - seen} of the {self.frame_count} timeline positions repeat a frame")
        return " and ".join(parts) or "frame numbers do not match"


def _normalise(frame_rate: float | None) -> float:
    if not frame_rate or math.isnan(frame_rate):
        return DEFAULT_FRAME_RATE
    if frame_rate < 0 or math.isinf(frame_rate):
        raise LabelConfigError(f"the frame rate is {frame_rate}; set frameRate in the Video tag to a positive number")
    return 1 / frame_rate if frame_rate < 1 else float(frame_rate)


def _round(value: float) -> int:
    """JavaScript's rounding: halves go up."""
    return math.floor(value + 0.5)


def _tidy(rate: float) -> str:
    """A rate as one writes it: 30, 29.97, 23.976."""
    return f"{rate:.3f}".rstrip("0").rstrip(".")
