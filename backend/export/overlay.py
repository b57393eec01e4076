"""The video with its tracks drawn on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from backend.export.colours import Colour, bright_colours
from backend.export.tracked import TrackedObject, tracked_frames
from backend.tracks import BoolArray, Box, ImageArray, Observation
from backend.video.frames import Frames
from backend.video.writer import VideoWriter

FILL, DOUBTFUL_FILL = 0.45, 0.2
_DASH = 5  # in line widths


def write_overlay(
    path: Path,
    video: Frames,
    objects: Sequence[TrackedObject],
    *,
    doubtful: float,
    advance: Callable[[], None] = lambda: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> bool:
    """Write the frames from the first to the last that was tracked as an MP4, each object in a colour of its own.

    The clip has the video's average frame rate, and one frame in memory at a time.

    Args:
        path: ends in ``.mp4``.
        video: the frames, read once more.
        objects: at least one of them was tracked.
        doubtful: a score below this is drawn as doubtful.
        advance: called after each frame.
        cancelled: asked before each frame; True drops the clip.

    Returns:
        whether the clip was written.

    Raises:
        VideoError: a frame cannot be read or written.
    """
    frames = tracked_frames(objects)
    painter = Painter(video.width, video.height, len(objects), doubtful)
    with VideoWriter(path, video.width, video.height, video.fps) as writer:
        for frame, image in video.frames(frames[0], frames[-1] + 1):
            if cancelled():
                writer.abort()
                return False
            found = [item.track.observations.get(frame) for item in objects]
            writer.write(painter.draw(image, found, f"frame {frame}"))
            advance()
    return True


class Painter:
    """Draws objects on frames of one size.

    Args:
        width, height: the frame's.
        count: of the objects.
        doubtful: a score below this is drawn as doubtful.
        text: the height of names in pixels; by default what suits the frame.
    """

    def __init__(self, width: int, height: int, count: int, doubtful: float, *, text: int | None = None) -> None:
        self._width = width
        self._doubtful = doubtful
        self._colours = bright_colours(count)
        self._line = max(1, round(min(width, height) / 300))
        self._font = ImageFont.load_default(text or max(10, round(min(width, height) / 30)))

    def draw(self, image: ImageArray, found: Sequence[Observation | None], title: str) -> ImageArray:
        """A copy of an RGB image with the objects on it.

        A present object has a translucent mask, its contour, its box, its name and score; a doubtful one a fainter
        mask and a dashed box. One that is absent (or None) is not drawn.

        Args:
            image: ``uint8 (H, W, 3)``.
            found: by object, in the order of the colours.
            title: stands in the lower left corner; "" for none.
        """
        painted = image.copy()
        shown = []
        for one, colour in zip(found, self._colours, strict=True):
            if one is not None and one.mask is not None and one.box is not None:
                doubtful = not one.human and one.score < self._doubtful
                self._fill(painted, one.mask.array(), colour, DOUBTFUL_FILL if doubtful else FILL)
                shown.append((one, one.box, colour, doubtful))
        canvas = Image.fromarray(painted)
        pen = ImageDraw.Draw(canvas)
        for _, box, colour, doubtful in shown:
            self._frame(pen, box, colour, dashed=doubtful)
        # Names last, so that no box crosses them.
        for one, box, colour, doubtful in shown:
            said = "given" if one.human else f"{one.score:.2f}{'?' if doubtful else ''}"
            self._name(pen, (box[0], box[1]), f"{one.object_id} {said}", colour)
        if title:
            self._name(pen, (0, image.shape[0]), title, (0, 0, 0))
        return np.asarray(canvas)

    def _fill(self, image: ImageArray, mask: BoolArray, colour: Colour, opacity: float) -> None:
        blended = image[mask] * (1 - opacity) + np.array(colour, np.float32) * opacity
        image[mask] = blended.round().astype(np.uint8)
        contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(image, contours, -1, colour, self._line)

    def _frame(self, pen: ImageDraw.ImageDraw, box: Box, colour: Colour, *, dashed: bool) -> None:
        x0, y0, x1, y1 = box[0], box[1], box[2] - 1, box[3] - 1
        if not dashed:
            pen.rectangle((x0, y0, x1, y1), outline=colour, width=self._line)
            return
        dash = _DASH * self._line
        for start in range(int(x0), int(x1) + 1, 2 * dash):
            for y in (y0, y1):
                pen.line((start, y, min(start + dash, x1), y), fill=colour, width=self._line)
        for start in range(int(y0), int(y1) + 1, 2 * dash):
            for x in (x0, x1):
                pen.line((x, start, x, min(start + dash, y1)), fill=colour, width=self._line)

    def _name(self, pen: ImageDraw.ImageDraw, corner: tuple[float, float], text: str, colour: Colour) -> None:
        """White or black on the colour, above a corner, or as near as the picture lets it be."""
        pad = self._line + 1
        left, top, right, bottom = pen.textbbox((0, 0), text, font=self._font)
        width, height = right - left + 2 * pad, bottom - top + 2 * pad
        x = max(0.0, min(corner[0], self._width - width))
        y = max(0.0, corner[1] - height)
        ink = (0, 0, 0) if sum(colour) > 330 else (255, 255, 255)
        pen.rectangle((x, y, x + width - 1, y + height - 1), fill=colour)
        pen.text((x + pad - left, y + pad - top), text, fill=ink, font=self._font)
