"""A task's video with the boxes that were drawn on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from backend.errors import PayloadError
from backend.export.dataset import LabelledObject, LabelledVideo
from backend.export.kept_masks import MaskSource, Place, counted, masks_of
from backend.export.media import find_medium
from backend.export.reading import ROTATED, LabelledTask, Reading, Sketch, in_order
from backend.labelstudio.drawn import draw
from backend.labelstudio.media_folder import media_stem
from backend.labelstudio.rates import ChosenRate, RateEvidence, check_declared, guess_rate
from backend.labelstudio.regions import Size
from backend.labelstudio.results import VideoRegion
from backend.video.clock import FrameClock
from backend.video.frames import Frames

_LEEWAY = 1.0  # seconds by which browsers and containers may differ on where a video ends


def label_video(item: LabelledTask, reading: Reading) -> LabelledVideo:
    """The video of a task, each object's box on every decoded frame that Label Studio shows it on.

    Raises:
        PayloadError: no value, or several, may be the video; regions refer to two videos; or a keyframe is long after
            the end of this one.
        MediaError: the video is not at hand.
        VideoError: it cannot be read.
        LabelConfigError: a frame rate that cannot be used.
    """
    target = _target(item)
    config = reading.choices.config
    _, value = find_medium(item.task.data, "video", target, config, item.data_path)
    if isinstance(value, list):
        raise PayloadError(f"{item.data_path}: the regions are of a video, and the task has a list", item.data_path)
    video = reading.shelf.add(reading.media.find(value))
    evidence = RateEvidence.of(item.results.videos)
    if evidence is not None and abs(evidence.duration - video.duration) > _LEEWAY:
        reading.notes.add(
            f"it was labelled on a video of {evidence.duration:g} s, and the one found has {video.duration:g} s: it is "
            "another one, or was cut since",
            item.place,
        )
    clock = _clock(item, target, video, evidence, reading)
    for sentence in (*clock.warnings, *video.warnings):
        reading.notes.add(sentence, item.place)
    size = (video.width, video.height)
    sketches: dict[str, Sketch] = {}
    for region in item.results.videos:
        drawn = draw(region.items, clock, size)
        sketches[region.id] = Sketch.of(region.id, region.labels, reading, item.place)
        sketches[region.id].boxes.update(drawn.boxes)
        if drawn.rotated:
            reading.notes.add(ROTATED, item.place)
        if drawn.beyond is not None:
            reading.notes.add(_beyond(drawn.beyond, region, clock), item.place)
    objects = in_order(sketches, reading, item.place)
    if reading.masks is not None:
        objects = [_with_masks(one, reading.masks, item, value, clock, size, reading) for one in objects]
    return LabelledVideo(
        name=item.name(media_stem(value)),
        size=size,
        length=len(video),
        fps=video.fps,
        labelled=_labelled(np.unique(clock.shown()).tolist(), objects, reading, item.place),
        objects=objects,
        frames=video,
    )


def _with_masks(
    one: LabelledObject,
    source: MaskSource,
    item: LabelledTask,
    value: str,
    clock: FrameClock,
    size: Size,
    reading: Reading,
) -> LabelledObject:
    task = item.task
    kept = source.find(task.project, task.id, one.id) if task.project is not None and task.id is not None else None
    place = Place(item.place, one.id, one.label)
    return replace(one, masks=masks_of(one.boxes, kept, value, clock, size, reading.notes, place))


def _labelled(frames: list[int], objects: Sequence[LabelledObject], reading: Reading, place: str) -> list[int]:
    """Of the frames those that count as labelled."""
    if not reading.choices.masked_only:
        return frames
    whole = [frame for frame in frames if all(frame in one.masks for one in objects if frame in one.boxes)]
    if len(whole) < len(frames):
        left = sorted(set(frames) - set(whole))
        reading.notes.add(f"{counted(left)} left out: a box has no mask there", place)
    return whole


def _target(item: LabelledTask) -> str | None:
    targets = {region.target: region.path for region in item.results.videos}
    if len(targets) > 1:
        *_, path = targets.values()
        raise PayloadError(
            f"{path}.to_name: the regions are of {len(targets)} videos, and one video a task can be exported",
            f"{path}.to_name",
        )
    return next(iter(targets), None)


def _beyond(frame: int, region: VideoRegion, clock: FrameClock) -> str:
    """What is said of a keyframe after the end, which counts nevertheless if it is a matter of rounding."""
    found = (
        f"a keyframe is at Label Studio's frame {frame}, where the timeline ends with {clock.frame_count}: the video "
        f"or the frame rate ({clock.frame_rate:g}) is not the one that it was labelled with"
    )
    if frame - clock.frame_count > _LEEWAY * clock.frame_rate:
        raise PayloadError(
            f"{region.last_path}: {found}; give --frame-rate, or the right video by --media", region.last_path
        )
    return found


def _clock(
    item: LabelledTask, target: str | None, video: Frames, evidence: RateEvidence | None, reading: Reading
) -> FrameClock:
    """The clock at the rate that was given, that the configuration declares, or that the regions tell."""
    choices, data = reading.choices, item.task.data
    if choices.frame_rate is None and choices.config is None:
        chosen = guess_rate(evidence, data, video.fps)
        clock = FrameClock(video.timestamps, video.duration, chosen.rate)
    else:
        medium = None if choices.config is None else choices.config.medium(target)
        declared = choices.frame_rate or (None if medium is None else medium.frame_rate_of(data))
        clock = FrameClock(video.timestamps, video.duration, declared)
        chosen = (
            ChosenRate(clock.frame_rate)
            if choices.frame_rate is not None
            else check_declared(clock.frame_rate, evidence)
        )
    if chosen.warning is not None:
        reading.notes.add(chosen.warning, item.place)
    return clock
