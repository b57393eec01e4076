"""Regions of a video: Label Studio's results to prompts, and tracks back to results.

Percent exists only here. A box is ``xyxy`` pixels everywhere else, and a frame a 0-based decode index.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from backend.errors import FrameOutOfRange, PayloadError, PromptError
from backend.labelstudio.config import DIRECTIONS, VideoConfig
from backend.labelstudio.edits import Item, closing, hidden_after
from backend.labelstudio.payload import ChoicesItem, RectangleItem, ResultItem, parse
from backend.labelstudio.untouched import Earlier, untouched_gaps
from backend.tracking.corrections import carry_margins
from backend.tracking.keyframes import thin
from backend.tracks import Box, Direction, Keyframe, Prompt
from backend.video.clock import FrameClock

log = logging.getLogger(__name__)

Size = tuple[int, int]

RECTANGLE = "videorectangle"
CHOICES = "choices"
NOTE = "Keytrack: "
DECIMALS = 6


@dataclass(frozen=True, eq=False)
class Region:
    """One object's boxes over the video, as they came.

    ``items`` are its keyframes, sorted by frame, each the very dict that came. ``raw`` is its result, ``companions``
    are the other results of the same region, such as the chosen direction.
    """

    id: str
    labels: tuple[str, ...]
    items: tuple[Item, ...]
    direction: Direction
    raw: Item
    companions: tuple[Item, ...] = ()

    @property
    def frames(self) -> frozenset[int]:
        """The Label Studio frames (from 1) of its keyframes."""
        return frozenset(item["frame"] for item in self.items)


def parse_regions(result: object, config: VideoConfig, path: str = "context.result") -> list[Region]:
    """The regions of the configuration's VideoRectangle in a result; all else in it is left aside.

    A region without a choice of direction goes both ways. Where several keyframes name the same frame the first
    one counts, since that is the one Label Studio draws.

    Args:
        result: the list of results; None counts as empty.
        config: says which names to look for.
        path: where the result was found, for messages.

    Raises:
        PayloadError: a wrong type, a missing field, or a number that is not finite or out of all proportion; a region
            that occurs twice; a choice that is no direction.
    """
    if result is None:
        return []
    if not isinstance(result, list):
        raise PayloadError(f"{path}: expected a list of results; found {type(result).__name__}")
    rectangles: dict[str, tuple[RectangleItem, Item]] = {}
    directions: dict[str, Direction] = {}
    others: dict[str, list[Item]] = {}
    for index, raw in enumerate(result):
        where = f"{path}[{index}]"
        item = parse(ResultItem, raw, where)
        if (item.type, item.from_name, item.to_name) == (RECTANGLE, config.region_name, config.video_name):
            rectangle = parse(RectangleItem, raw, where)
            if rectangle.id in rectangles:
                raise PayloadError(f"{where}.id: region {rectangle.id!r} occurs twice; send each region once")
            rectangles[rectangle.id] = rectangle, raw
            continue
        if item.id is not None:
            others.setdefault(item.id, []).append(raw)
        if (item.type, item.from_name) == (CHOICES, config.direction_name):
            choices = parse(ChoicesItem, raw, where)
            directions[choices.id] = _direction(choices.value.choices, f"{where}.value.choices")
    return [
        Region(
            id=region_id,
            labels=tuple(rectangle.value.labels),
            items=sorted_items(region_id, raw["value"]["sequence"]),
            direction=directions.get(region_id, "both"),
            raw=raw,
            companions=tuple(others.get(region_id, ())),
        )
        for region_id, (rectangle, raw) in rectangles.items()
    ]


def new_region(name: str, label: str | None, config: VideoConfig) -> Region:
    """A region that nobody has drawn: it has no keyframes yet."""
    labels = () if label is None else (label,)
    raw: Item = {
        "id": name,
        "from_name": config.region_name,
        "to_name": config.video_name,
        "type": RECTANGLE,
        "value": {"labels": list(labels)} if labels else {},
    }
    return Region(name, labels, (), "both", raw)


def to_keyframe(item: Item, position: int, size: Size) -> Keyframe:
    """A keyframe in pixels at ``position``; where it is rotated, the box is the one before the rotation.

    ``size`` is the displayed frame's width and height.
    """
    x, width = item["x"] * size[0] / 100, item["width"] * size[0] / 100
    y, height = item["y"] * size[1] / 100, item["height"] * size[1] / 100
    return Keyframe(position, (x, y, x + width, y + height), item["enabled"], item.get("rotation", 0.0))


def to_box(item: Item, size: Size) -> Box:
    """The upright box in pixels around a keyframe."""
    return upright(to_keyframe(item, 0, size))


def upright(keyframe: Keyframe) -> Box:
    """The upright box around a keyframe in pixels, which may be rotated: clockwise, about its top left corner."""
    x0, y0, x1, y1 = keyframe.box
    if keyframe.rotation % 360 == 0:
        return keyframe.box
    angle = math.radians(keyframe.rotation)
    right = ((x1 - x0) * math.cos(angle), (x1 - x0) * math.sin(angle))
    down = ((y0 - y1) * math.sin(angle), (y1 - y0) * math.cos(angle))
    xs = [x0, x0 + right[0], x0 + down[0], x0 + right[0] + down[0]]
    ys = [y0, y0 + right[1], y0 + down[1], y0 + right[1] + down[1]]
    return (min(xs), min(ys), max(xs), max(ys))


def from_keyframe(keyframe: Keyframe, frame: int, frame_rate: float, size: Size) -> Item:
    """A keyframe of a sequence at a Label Studio frame; the inverse of :func:`to_keyframe`."""
    x0, y0, x1, y1 = keyframe.box
    return {
        "frame": frame,
        "enabled": keyframe.enabled,
        "rotation": keyframe.rotation,
        "x": round(100 * x0 / size[0], DECIMALS),
        "y": round(100 * y0 / size[1], DECIMALS),
        "width": round(100 * (x1 - x0) / size[0], DECIMALS),
        "height": round(100 * (y1 - y0) / size[1], DECIMALS),
        "time": round(frame / frame_rate, DECIMALS),
    }


def prompts(
    region: Region, human_frames: Collection[int], clock: FrameClock, size: Size, closed: Collection[int] = ()
) -> list[Prompt]:
    """A box prompt for each human keyframe, the disabled ones too: Label Studio draws those as well.

    Of several that show the same decoded frame the first one counts.

    Args:
        region: its keyframes at other frames than ``human_frames`` are a model's and give no prompts.
        human_frames: Label Studio frames, from 1.
        clock: tells which decoded frame Label Studio shows.
        size: the displayed frame's width and height.
        closed: those of them that end a visible span.

    Raises:
        PromptError: no keyframe is a human's; a box has no size or lies outside the frame.
        FrameOutOfRange: the video does not have that frame.
    """
    found: dict[int, Prompt] = {}
    for item in region.items:
        if item["frame"] not in human_frames:
            continue
        index = _index(region, item["frame"], clock)
        prompt = Prompt(region.id, index, box=to_box(item, size), ends=item["frame"] in closed)
        try:
            prompt.validate(*size)
        except PromptError as error:
            raise PromptError(f"Label Studio frame {item['frame']}: {error}") from error
        found.setdefault(index, prompt)
    if not found:
        raise PromptError(f"region {region.id!r} has no keyframe drawn by a human; draw a box where the object shows")
    return list(found.values())


def format_region(
    region: Region,
    boxes: Mapping[int, Box | None],
    clock: FrameClock,
    size: Size,
    *,
    human: Sequence[Item] = (),
    closed: Collection[int] | None = None,
    score: float | None = None,
    texts: Sequence[str] = (),
    keyframe_iou: float = 0.95,
    earlier: Earlier | None = None,
    touched: Collection[int] = (),
) -> Item:
    """The result that replaces a region: the same but for a new sequence, with the keyframes that draw ``boxes`` as the
    human would have drawn them; see :func:`backend.tracking.corrections.carry_margins`.

    Args:
        region: as it came.
        boxes: dense boxes of the masks in pixels by decode index; None where the object is absent, missing where
            nothing is known (yet). Both are hidden.
        clock: the timeline: Label Studio's frames, and which decoded frame each shows.
        size: the displayed frame's width and height.
        human: the human keyframes, which come back as the same dicts.
        closed: the frames of those among them that end a visible span: what follows stays hidden, up to the next
            keyframe of the region. Unless given, they are found in the region as it came.
        score: the region's confidence in [0, 1].
        texts: notes for the region's details.
        keyframe_iou: how well the interpolated boxes meet the dense ones, to within the rounding to 1e-6 percent.
        earlier: the region as it was handed out before; gaps between the human's keyframes in which nothing changed
            keep the keyframes that they had, the very same dicts.
        touched: decode indices that were tracked again since.

    Raises:
        FrameOutOfRange: the video does not have a human keyframe's frame.
    """
    by_frame = {item["frame"]: item for item in human}
    drawn: dict[int, Box] = {}
    for frame, item in by_frame.items():
        drawn.setdefault(_index(region, frame, clock), to_box(item, size))
    fitted = carry_margins(boxes, drawn, size)
    shown = clock.shown().tolist()
    shown += [clock.index(frame) for frame in range(len(shown) + 1, max(by_frame, default=0) + 1)]
    dense = [fitted.get(index) for index in shown]
    closed = closing(region.items, by_frame) if closed is None else closed
    for first, last in hidden_after(region.items, closed):
        last = len(dense) if last is None else last
        dense[first - 1 : last] = [None] * len(dense[first - 1 : last])
    kept: list[Item] = []
    gaps: list[range] = []
    if earlier is not None:
        again = {frame for frame, index in enumerate(shown, start=1) if index in touched}
        gaps = untouched_gaps(earlier, human, closed, again, len(shown))
        kept = [item for item in earlier.sequence if any(item["frame"] in gap for gap in gaps)]
    for gap in gaps:
        dense[gap.start - 1 : gap.stop - 1] = [None] * len(gap)
    # A fixed keyframe beside what is left out has its box for one position more, which is left out below.
    fixed = {frame - 1: to_keyframe(item, frame - 1, size) for frame, item in by_frame.items()}
    sequence = [
        by_frame.get(keyframe.position + 1) or from_keyframe(keyframe, keyframe.position + 1, clock.frame_rate, size)
        for keyframe in thin(dense, iou=keyframe_iou, fixed=fixed)
        if not any(keyframe.position + 1 in gap for gap in gaps)
    ]
    sequence = sorted([*sequence, *kept], key=lambda item: item["frame"])
    return replace_sequence(
        region,
        sequence,
        frame_count=clock.frame_count,
        duration=clock.frame_count / clock.frame_rate,
        score=score,
        texts=texts,
    )


def replace_sequence(
    region: Region,
    sequence: Sequence[Item],
    *,
    frame_count: int | None = None,
    duration: float | None = None,
    score: float | None = None,
    texts: Sequence[str] = (),
) -> Item:
    """The result that replaces a region: as it came, labels, notes and further keys included, but for its sequence.

    Args:
        region: as it came; it is not changed.
        sequence: the new keyframes, sorted by frame.
        frame_count: Label Studio's number of frames, where the region does not tell.
        duration: the video's in seconds, where the region does not tell.
        score: the region's confidence in [0, 1].
        texts: notes for the region's details. They follow the annotator's own and replace earlier ones from here.
    """
    value = region.raw["value"]
    timing = {"framesCount": frame_count, "duration": duration}
    missing = {key: given for key, given in timing.items() if given is not None and value.get(key) is None}
    replaced = {
        **region.raw,
        "origin": "prediction",
        "meta": _meta(region.raw.get("meta"), texts),
        "value": {**value, **missing, "sequence": list(sequence)},
    }
    return replaced if score is None else {**replaced, "score": score}


def _meta(meta: object, texts: Sequence[str]) -> Item:
    """``text`` becomes one text with a note a line: Label Studio shows the parts of a list with nothing between them,
    and joins them by commas when somebody edits them."""
    kept = dict(meta) if isinstance(meta, dict) else {}
    written = kept.get("text", [])
    parts = written if isinstance(written, list) else [written]
    lines = [line for part in parts if isinstance(part, str) for line in part.split("\n")]
    own = [line for line in lines if not line.startswith(NOTE)]
    text = "\n".join([*own, *(NOTE + text for text in texts)])
    return {**kept, "text": [text] if text else []}


def _index(region: Region, frame: int, clock: FrameClock) -> int:
    try:
        return clock.index(frame)
    except FrameOutOfRange as error:
        raise FrameOutOfRange(f"region {region.id!r}, Label Studio frame {frame}: {error}") from error


def sorted_items(region_id: str, sequence: Sequence[Item]) -> tuple[Item, ...]:
    """Keyframes by their frame; of several at one frame the first, which is the one that Label Studio draws."""
    items: dict[int, Item] = {}
    for item in sequence:
        if items.setdefault(item["frame"], item) is not item:
            log.warning("Region %s: a second keyframe at frame %d is left aside", region_id, item["frame"])
    return tuple(items[frame] for frame in sorted(items))


def _direction(choices: Sequence[str], path: str) -> Direction:
    """The direction that was chosen; several together, or none, are both."""
    words = {choice.strip().lower() for choice in choices}
    unknown = words.difference(DIRECTIONS)
    if unknown:
        raise PayloadError(f"{path}: {min(unknown)!r} is no direction; choose one of {', '.join(DIRECTIONS)}")
    return next((word for word in DIRECTIONS if words == {word}), "both")
