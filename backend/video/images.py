"""Images in their order, as a video."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from backend.errors import FrameOutOfRange, VideoError
from backend.tracks import ImageArray
from backend.video.frames import check_index, file_state, in_order
from backend.video.source import MAX_PIXELS, MAX_SIDE

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
"""The kinds of images that are read, by Pillow's names. It knows more, and has other programs read some of them."""


class ImageSequence:
    """Frames that lie as image files in one directory, or in several; see :class:`backend.video.frames.Frames`.

    Each is read when it is asked for, must have the size of the first, and is turned as its camera noted (EXIF), which
    is how browsers show it.
    """

    warnings: tuple[str, ...] = ()

    def __init__(self, images: Sequence[Path], *, fps: float = 24.0) -> None:
        """
        Args:
            images: the files, in the order of the frames.
            fps: frames per second.

        Raises:
            VideoError: no image at all, or the first cannot be read.
        """
        if not images:
            raise VideoError("there are no images to make a video of")
        self._images = tuple(images)
        self.path = self._images[0].parent
        self.fps = fps
        self.timestamps: npt.NDArray[np.float64] = np.arange(len(self._images)) / fps
        self.timestamps.setflags(write=False)
        self.duration = len(self._images) / fps
        self.height, self.width = read_image(self._images[0]).shape[:2]

    def __len__(self) -> int:
        return len(self._images)

    @property
    def images(self) -> tuple[Path, ...]:
        """The files, in the order of the frames."""
        return self._images

    def frame(self, index: int) -> ImageArray:
        """The RGB image ``uint8 (H, W, 3)`` of a frame.

        Raises:
            FrameOutOfRange: there is no such frame.
            VideoError: the file cannot be read, or its size is not the first one's.
        """
        check_index(index, len(self), self.path.name)
        image = read_image(self._images[index])
        if image.shape[:2] != (self.height, self.width):
            raise VideoError(
                f"{self._images[index]} is {image.shape[1]} x {image.shape[0]} pixels, the first image "
                f"{self.width} x {self.height}; bring them to one size"
            )
        return image

    def frames(self, start: int, stop: int, step: int = 1) -> Iterator[tuple[int, ImageArray]]:
        """See :meth:`~backend.video.frames.Frames.frames`."""
        return in_order(self, range(start, stop, step), self.path.name)

    def identity(self) -> Hashable:
        """The files, with their sizes and times of change.

        Raises:
            VideoError: one is gone.
        """
        try:
            return tuple(file_state(path) for path in self._images)
        except OSError as error:
            raise VideoError(f"{error.filename} is gone: {error.strerror}; put it back") from error


class SparseImages:
    """Some frames of a video that lie as images, by their decode indices in it; see
    :class:`backend.video.frames.SizedSource`."""

    def __init__(self, images: ImageSequence, indices: Sequence[int]) -> None:
        """
        Args:
            images: the files.
            indices: of each the frame that it is, ascending.
        """
        self._images = images
        self._positions = {index: position for position, index in enumerate(indices)}
        self._length = indices[-1] + 1
        self.path = images.path
        self.width, self.height = images.width, images.height

    def __len__(self) -> int:
        """Frames up to the last image."""
        return self._length

    def frame(self, index: int) -> ImageArray:
        """The RGB image ``uint8 (H, W, 3)`` of a frame.

        Raises:
            FrameOutOfRange: there is no image of it.
            VideoError: the file cannot be read, or its size is not the first one's.
        """
        position = self._positions.get(index)
        if position is None:
            raise FrameOutOfRange(f"{self.path.name} has no image of frame {index}")
        return self._images.frame(position)


def read_image(path: Path) -> ImageArray:
    """The RGB image ``uint8 (H, W, 3)`` of a file, upright as browsers show it.

    Raises:
        VideoError: it cannot be read, or is too large.
    """
    try:
        with Image.open(path, formats=FORMATS) as image:
            # The size stands in the header: nothing is allocated for an absurd one.
            if max(image.size) > MAX_SIDE or image.size[0] * image.size[1] > MAX_PIXELS:
                raise VideoError(f"{path} is {image.size[0]} x {image.size[1]} pixels; that is too large")
            return np.array(ImageOps.exif_transpose(image).convert("RGB"))
    except UnidentifiedImageError:
        raise VideoError(f"{path} cannot be read as an image (it is none of {', '.join(FORMATS)})") from None
    # Pillow has a SyntaxError for a PNG whose chunks are damaged.
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise VideoError(f"{path} cannot be read as an image ({error})") from error
