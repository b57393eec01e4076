"""Small synthetic clips: every frame's number can be read from its pixels, every object's box is known."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
Values = npt.NDArray[np.float64]
Box = tuple[float, float, float, float]

GRID = 4
MARKER = (220, 40, 30)


# --- frames that tell their number -------------------------------------------------------------


def code_frame(number: int, width: int = 160, height: int = 120) -> Image:
    """An image whose 4 x 4 cells spell ``number`` (0 <= number < 32768).

    The top left cell is red, which tells rotation and colour order; the other 15, row by row, are the bits
    (white is 1), the lowest first. Cells are large, so that lossy codecs and 4:2:0 chroma keep them apart.
    """
    if not 0 <= number < 2 ** (GRID * GRID - 1):
        raise ValueError(f"{number} does not fit into {GRID * GRID - 1} bits")
    image = np.zeros((height, width, 3), np.uint8)
    for cell, (rows, columns) in enumerate(_cells(height, width)):
        if cell == 0:
            image[rows, columns] = MARKER
        elif number >> (cell - 1) & 1:
            image[rows, columns] = 235
        else:
            image[rows, columns] = 20
    return image


def read_code(image: Image) -> int:
    """The number that :func:`code_frame` wrote; raises ValueError where the image is not such a frame, or turned."""
    number = 0
    for cell, (rows, columns) in enumerate(_cells(*image.shape[:2])):
        patch = image[rows, columns]
        height, width = patch.shape[:2]
        centre = (
            patch[height // 4 : max(height * 3 // 4, 1), width // 4 : max(width * 3 // 4, 1)]
            .reshape(-1, 3)
            .mean(axis=0)
        )
        if cell == 0:
            if not (centre[0] > 150 and centre[1] < 110 and centre[2] < 110):
                raise ValueError(
                    f"the top left cell is {centre.round().tolist()}, not red: rotated, or not a coded frame"
                )
        else:
            grey = centre.mean()
            if 90 < grey < 165:
                raise ValueError(f"cell {cell} is neither black nor white ({grey:.0f})")
            number |= int(grey > 127) << (cell - 1)
    return number


def coded_frames(count: int, width: int = 160, height: int = 120, first: int = 0) -> Iterator[Image]:
    """``count`` coded frames, numbered from ``first``."""
    for number in range(first, first + count):
        yield code_frame(number, width, height)


def _cells(height: int, width: int) -> Iterator[tuple[slice, slice]]:
    rows = np.linspace(0, height, GRID + 1).round().astype(int)
    columns = np.linspace(0, width, GRID + 1).round().astype(int)
    for row in range(GRID):
        for column in range(GRID):
            yield slice(rows[row], rows[row + 1]), slice(columns[column], columns[column + 1])


# --- files -------------------------------------------------------------------------------------


def make_clip(
    path: str | Path,
    frames: Iterable[Image],
    fps: float | Fraction = 10,
    timestamps: Sequence[float] | None = None,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    bframes: int = 0,
    gop: int = 12,
    rotation: int = 0,
    start: float = 0.0,
    mirrored: bool = False,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    audio_seconds: float = 0.0,
) -> Path:
    """Write RGB ``frames`` to ``path`` (the extension picks the container) and return the path.

    Args:
        fps: constant frame rate; ignored for the timing where ``timestamps`` are given.
        timestamps: presentation seconds of each frame (variable frame rate).
        bframes: consecutive B-frames; 0 for none.
        gop: distance of keyframes.
        rotation: degrees clockwise by which a player turns the picture (0, 90, 180, 270); the pixels are
            stored as given, the display matrix says the rest.
        start: seconds added to every timestamp.
        mirrored: the display matrix also mirrors left and right, after it rotates.
        options: further encoder options, e.g. ``{"x264-params": "open-gop=1"}``.
        container_options: muxer options, e.g. ``{"movflags": "faststart"}``.
        audio_seconds: length of a silent audio track beside the video; 0 for none.
    """
    target = Path(path)
    rate = Fraction(fps).limit_denominator(100_000)
    with av.open(str(target), "w", options=container_options or {}) as container:
        images = iter(frames)
        first = next(images)
        height, width = first.shape[:2]
        stream = container.add_stream(codec, rate=rate, options=_encoder_options(codec, gop, bframes, options or {}))
        stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
        stream.codec_context.gop_size = gop
        if codec not in ("gif", "mjpeg"):
            stream.codec_context.max_b_frames = bframes
        ticks = _time_base(codec, rate, timestamps, start)
        stream.codec_context.time_base = ticks
        if rotation or mirrored:
            stream.set_display_rotation(-rotation, hflip=mirrored)
        sound = container.add_stream("aac", rate=8000) if audio_seconds else None
        for index, image in enumerate(_chain(first, images)):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            seconds = Fraction(timestamps[index]) if timestamps is not None else index / rate
            frame.pts, frame.time_base = round((seconds + Fraction(start)) / ticks), ticks
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if sound is not None:
            _write_silence(container, sound, audio_seconds)
    return target


def make_audio(path: str | Path, seconds: float = 1.0) -> Path:
    """A file with a silent audio track and no video."""
    target = Path(path)
    with av.open(str(target), "w") as container:
        _write_silence(container, container.add_stream("aac", rate=8000), seconds)
    return target


def truncate(source: str | Path, target: str | Path, keep: float) -> Path:
    """Copy the first ``keep`` (0..1) of a file's bytes."""
    data = Path(source).read_bytes()
    path = Path(target)
    path.write_bytes(data[: int(len(data) * keep)])
    return path


def _write_silence(container: av.container.OutputContainer, stream: av.AudioStream, seconds: float) -> None:
    for begin in range(0, int(seconds * 8000), 1024):
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 8000, begin, Fraction(1, 8000)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def _encoder_options(codec: str, gop: int, bframes: int, further: dict[str, str]) -> dict[str, str]:
    options = {}
    if codec == "libx264":
        # No scene-cut detection and no adaptive B-frames: keyframes and B-frames lie where the arguments say.
        options = {"preset": "ultrafast", "crf": "18", "sc_threshold": "0", "b_strategy": "0", "bf": str(bframes)}
    elif codec == "libx265":
        params = f"log-level=none:keyint={gop}:min-keyint={gop}:scenecut=0:bframes={bframes}:b-adapt=0"
        options = {"preset": "ultrafast", "x265-params": params}
    elif codec == "libvpx-vp9":
        options = {"deadline": "realtime", "cpu-used": "8", "crf": "20", "b": "0"}
    elif codec in ("mpeg4", "mjpeg"):
        options = {"qscale": "3", "q:v": "3"}
    return {**options, **further}


def _time_base(codec: str, rate: Fraction, timestamps: Sequence[float] | None, start: float) -> Fraction:
    if codec in ("mpeg4", "mpeg2video", "mjpeg", "gif", "wmv2") and timestamps is None:
        return 1 / rate
    if timestamps is None and start == 0:
        return Fraction(1, rate.numerator * (1 if rate.numerator >= 1000 else 1024))
    return Fraction(1, 60_000)


def _chain(first: Image, rest: Iterator[Image]) -> Iterator[Image]:
    yield first
    yield from rest


# --- scenes with objects -----------------------------------------------------------------------


@dataclass(frozen=True)
class SceneObject:
    """A textured object that moves in a straight line, and turns back at the frame's border where ``bounce``.

    ``start`` is the top left corner on frame 0, ``velocity`` pixels a frame. It exists only on the frames
    ``first <= frame <= last`` and not on ``hidden`` ones.
    """

    name: str
    color: tuple[int, int, int]
    size: tuple[int, int] = (32, 24)
    start: tuple[float, float] = (10.0, 10.0)
    velocity: tuple[float, float] = (2.0, 1.0)
    shape: str = "ellipse"
    bounce: bool = True
    first: int = 0
    last: int = 10**9
    hidden: frozenset[int] = frozenset()


@dataclass
class Scene:
    """Frames, and per object name the visible mask and its tight box on each frame (None where nothing shows)."""

    frames: list[Image] = field(default_factory=list)
    masks: dict[str, list[npt.NDArray[np.bool_]]] = field(default_factory=dict)
    boxes: dict[str, list[Box | None]] = field(default_factory=dict)


DEFAULT_OBJECTS = (
    SceneObject("red", (200, 50, 40), (34, 26), (12.0, 20.0), (2.0, 1.0)),
    SceneObject("blue", (40, 70, 200), (28, 30), (110.0, 70.0), (-1.5, -1.0), shape="box"),
)


def moving_boxes_scene(
    count: int = 30,
    size: tuple[int, int] = (160, 120),
    objects: Sequence[SceneObject] = DEFAULT_OBJECTS,
    seed: int = 0,
    pan: tuple[float, float] = (0.0, 0.0),
) -> Scene:
    """Coloured, textured objects that move over a textured background.

    Args:
        size: ``(width, height)``.
        objects: drawn in this order, later ones in front.
        seed: picks the background's texture.
        pan: pixels a frame by which the background moves (the camera), the objects' motion aside.
    """
    width, height = size
    random = np.random.default_rng(seed)
    backdrop = background(random, width, height)
    coats = {item.name: _coat(random, item) for item in objects}
    scene = Scene(masks={item.name: [] for item in objects}, boxes={item.name: [] for item in objects})
    for index in range(count):
        image = np.roll(backdrop, (round(-pan[1] * index), round(-pan[0] * index)), axis=(0, 1)).copy()
        owner = np.full((height, width), -1)
        for rank, item in enumerate(objects):
            if not item.first <= index <= item.last or index in item.hidden:
                continue
            _draw(image, owner, rank, item, coats[item.name], index)
        for rank, item in enumerate(objects):
            mask = owner == rank
            scene.masks[item.name].append(mask)
            scene.boxes[item.name].append(_tight(mask))
        scene.frames.append(image)
    return scene


def background(random: np.random.Generator, width: int, height: int) -> Image:
    """A smooth, muted texture of several scales that wraps around, ``(height, width, 3)``."""
    total = np.zeros((height, width, 3))
    for cells, weight in ((3, 40.0), (8, 25.0), (20, 15.0)):
        grid = random.uniform(-1, 1, (cells, cells, 3))
        rows, columns = np.arange(height) * cells / height, np.arange(width) * cells / width
        total += weight * _smooth(grid, rows, columns)
    return np.clip(110 + total, 0, 255).astype(np.uint8)


def _smooth(grid: Values, rows: Values, columns: Values) -> Values:
    cells = len(grid)
    top, left = np.floor(rows).astype(int) % cells, np.floor(columns).astype(int) % cells
    down, right = (rows % 1)[:, None, None], (columns % 1)[None, :, None]
    down, right = down * down * (3 - 2 * down), right * right * (3 - 2 * right)
    upper, lower = grid[top], grid[(top + 1) % cells]
    next_left = (left + 1) % cells
    above = upper[:, left] * (1 - right) + upper[:, next_left] * right
    below = lower[:, left] * (1 - right) + lower[:, next_left] * right
    return above * (1 - down) + below * down


def _coat(random: np.random.Generator, item: SceneObject) -> Image:
    """The object's own texture, which moves with it: stripes and speckles in its colour."""
    width, height = item.size
    stripes = np.where((np.arange(width) // max(width // 6, 1)) % 2 == 0, 1.0, 0.78)[None, :, None]
    speckles = random.uniform(-14, 14, (height, width, 1))
    return np.clip(np.array(item.color) * stripes + speckles, 0, 255).astype(np.uint8)


def _draw(image: Image, owner: npt.NDArray[np.int_], rank: int, item: SceneObject, coat: Image, index: int) -> None:
    height, width = image.shape[:2]
    x = _position(item.start[0], item.velocity[0], index, width - item.size[0], item.bounce)
    y = _position(item.start[1], item.velocity[1], index, height - item.size[1], item.bounce)
    rows, columns = np.mgrid[0 : item.size[1], 0 : item.size[0]]
    inside = np.ones(coat.shape[:2], bool)
    if item.shape == "ellipse":
        half_height, half_width = item.size[1] / 2, item.size[0] / 2
        inside = ((rows + 0.5 - half_height) / half_height) ** 2 + ((columns + 0.5 - half_width) / half_width) ** 2 <= 1
    rows, columns = rows[inside] + y, columns[inside] + x
    shown = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    image[rows[shown], columns[shown]] = coat[inside][shown]
    owner[rows[shown], columns[shown]] = rank


def _position(start: float, velocity: float, index: int, room: int, bounce: bool) -> int:
    moved = start + velocity * index
    if bounce and room > 0:
        moved = moved % (2 * room)
        moved = 2 * room - moved if moved > room else moved
    return round(moved)


def _tight(mask: npt.NDArray[np.bool_]) -> Box | None:
    if not mask.any():
        return None
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return (float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1))
