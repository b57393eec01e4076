"""``track``: what a press in Label Studio does, for a video file."""

from __future__ import annotations

import argparse
import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from backend import __version__
from backend.cli import prompts, track_by
from backend.cli.interrupts import Interrupts
from backend.cli.label_config import add_label_config, read_config
from backend.cli.options import CHOICE, add_settings, frame_rate, settings_from
from backend.cli.progress import advance
from backend.cli.summary import describe, region_texts
from backend.cli.track_by import Way
from backend.errors import SettingsError
from backend.export.label_studio import format_task, write_tasks
from backend.export.masks import MOST_OBJECTS, write_masks
from backend.export.overlay import write_overlay
from backend.export.results import ResultsDirectory, write_text
from backend.export.track_results import (
    INCOMPLETE,
    MASKS,
    NAMES,
    NUMBERS,
    OVERLAY,
    TASKS,
    VIDEO,
    write_video_file,
)
from backend.export.tracked import TrackedObject, tracked_frames
from backend.labelstudio.config import DIRECTIONS, VideoConfig
from backend.service.engine import Tracker, choose, tracker_factory
from backend.service.notes import ranges
from backend.service.timeline import Timeline
from backend.tracking.doubt import DOUBTFUL
from backend.video.reader import VideoReader

HELP = "Track objects through a video file: masks, a task to import into Label Studio, and a video to look at."
INTERRUPTED = 130
NOTHING = 1
OUTPUTS = f"""\
in the directory --out:
  {MASKS}/00000.png    for each tracked frame, by its number from 0: an indexed image, the value of a pixel the
                     object's number, in the colours of DAVIS
  {NUMBERS}       the id and the label of each number
  {TASKS}  a task with the tracks as a prediction, to import into Label Studio
  {VIDEO}         which video and which frames were tracked, for export
  {OVERLAY}        the tracked part with masks, boxes and scores; dashed where they are doubtful
Ctrl-C ends the tracking and keeps what is done, but for {OVERLAY}; {INCOMPLETE} then says what is missing.
A second Ctrl-C keeps nothing.
"""

log = logging.getLogger(__name__)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = f"{prompts.SYNTAX}\n{track_by.SYNTAX}\n{OUTPUTS}"
    parser.add_argument("video", type=Path, metavar="VIDEO", help="a video file")
    track_by.add_options(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="a directory for the results, new")
    parser.add_argument("--force", action="store_true", help="replace earlier results in --out")
    parser.add_argument("--direction", choices=DIRECTIONS, help="from the prompts (default: both)")
    parser.add_argument("--span", type=_span, metavar="FIRST-LAST", help="frames to track (default: all)")
    parser.add_argument("--no-masks", action="store_true", help=f"leave out {MASKS}/ and {NUMBERS}")
    parser.add_argument("--no-overlay", action="store_true", help=f"leave out {OVERLAY}")
    add_label_config(parser)
    parser.add_argument(
        "--frame-rate",
        type=frame_rate,
        metavar="FPS",
        help="by which Label Studio counts frames (default: what the labeling configuration says, or the video's own)",
    )
    parser.add_argument(
        "--video-url",
        metavar="URL",
        help="the video's address in Label Studio (default: /data/local-files/?d=DIRECTORY/NAME, which is served with "
        "the video's directory as a local storage, and the one above it as the local files root)",
    )
    add_settings(
        parser,
        "data_dir",
        "weights_dir",
        *CHOICE,
        "refine",
        "xmem_mode",
        "keyframe_iou",
        "embedding_cache_bytes",
        "threads",
    )


def run(args: argparse.Namespace) -> int:
    """Track, write, and say what came of it; 130 where Ctrl-C ended it early, 1 where nothing was found."""
    settings = settings_from(args)
    request = track_by.request_from(args)
    config = read_config(args.label_config)
    with VideoReader(args.video) as video:
        way = request(video)
        timeline = Timeline.of(video, _declared_rate(args.frame_rate, config, video.fps))
        _warn(timeline, way.labels, config)
        with ResultsDirectory(args.out, NAMES, force=args.force) as results:
            choice = choose(settings)
            tracker = tracker_factory(settings, choice)()
            version = f"keytrack-{__version__}-{choice.name}"
            work = _Work(args, config, timeline, way, version, settings.keyframe_iou)
            with Interrupts() as interrupts, logging_redirect_tqdm():
                return _carry_out(work, tracker, video, results, interrupts)


@dataclass(frozen=True, eq=False)
class _Work:
    """What was asked, and how it is done."""

    args: argparse.Namespace
    config: VideoConfig
    timeline: Timeline
    way: Way
    model_version: str
    keyframe_iou: float


def _carry_out(
    work: _Work, tracker: Tracker, video: VideoReader, results: ResultsDirectory, interrupts: Interrupts
) -> int:
    try:
        _track(work, tracker, video, lambda: interrupts.asked)
    except Exception as error:
        # What took an hour is not lost with what comes after it.
        if tracked_frames(work.way.objects()):
            _write(work, video, results, f"stopped by an error ({error})", lambda: True)
        raise
    if not tracked_frames(work.way.objects()):
        if interrupts.asked:
            print("interrupted before any frame was tracked; nothing was written")
            return INTERRUPTED
        print("no object was found; nothing was written")
        return NOTHING
    _write(work, video, results, "interrupted" if interrupts.asked else None, lambda: interrupts.asked)
    return INTERRUPTED if interrupts.asked else 0


def _track(work: _Work, tracker: Tracker, video: VideoReader, cancelled: Callable[[], bool]) -> None:
    with tqdm(total=work.way.frames, desc="tracking", unit="frame", disable=None) as bar:
        for _ in work.way.run(tracker, video, cancelled):
            bar.update()


def _write(
    work: _Work, video: VideoReader, results: ResultsDirectory, stopped: str | None, cancelled: Callable[[], bool]
) -> None:
    """Write the results and print a summary; ``stopped`` says why there are no more."""
    args, objects, timeline = work.args, work.way.objects(), work.timeline
    task = format_task(
        objects,
        config=work.config,
        data=_task_data(work),
        clock=timeline.clock,
        size=timeline.size,
        model_version=work.model_version,
        texts={item.id: region_texts(item, timeline, stopped) for item in objects},
        keyframe_iou=work.keyframe_iou,
    )
    write_tasks(results.path(TASKS), [task])
    write_video_file(results.path(VIDEO), video, tracked_frames(objects))
    missing = []
    if not args.no_masks and len(objects) > MOST_OBJECTS:  # what was detected is counted only now
        missing.append(f"{MASKS} were not written: they hold {MOST_OBJECTS} objects, and {len(objects)} were found")
    elif not args.no_masks:
        write_masks(results.path(MASKS), results.path(NUMBERS), objects, timeline.size)
    if stopped is not None:
        first, last = work.way.span
        done = ranges(tracked_frames(objects))
        missing.append(f"{stopped}: of the frames {first}-{last} only {done} were tracked")
    if not args.no_overlay and not _draw(objects, video, results.path(OVERLAY), cancelled):
        missing.append(f"{OVERLAY} was not drawn")
    if missing:
        write_text(results.path(INCOMPLETE), "".join(line + "\n" for line in missing))
    results.publish()
    keyframes = {region["id"]: len(region["value"]["sequence"]) for region in task["predictions"][0]["result"]}
    for item in objects:
        print(describe(item, keyframes.get(item.id, 0)))
    for line in missing:
        print(f"incomplete: {line}")
    print(f"frames count from 0; results in {args.out}")


def _draw(objects: Sequence[TrackedObject], video: VideoReader, path: Path, cancelled: Callable[[], bool]) -> bool:
    """Draw the overlay; False where it was given up."""
    if cancelled():
        return False
    frames = tracked_frames(objects)
    with tqdm(total=frames[-1] - frames[0] + 1, desc="drawing", unit="frame", disable=None) as bar:
        return write_overlay(path, video, objects, doubtful=DOUBTFUL, advance=lambda: advance(bar), cancelled=cancelled)


def _task_data(work: _Work) -> dict[str, object]:
    path = work.args.video.absolute()
    # Label Studio refuses its local files root itself as a storage: hence the directory before the name.
    address = work.args.video_url or f"/data/local-files/?d={quote('/'.join((path.parent.name, path.name)))}"
    data: dict[str, object] = {work.config.video_key: address}
    if work.config.frame_rate_key is not None:
        data[work.config.frame_rate_key] = work.timeline.clock.frame_rate
    return data


def _declared_rate(given: float | None, config: VideoConfig, own: float) -> float | None:
    """By which Label Studio will count: what its configuration declares, or what the task will say."""
    if config.frame_rate_key is not None:
        return given or own
    if given is not None and config.frame_rate is not None and given != config.frame_rate:
        raise SettingsError(
            f"--frame-rate {given:g}: the labeling configuration declares {config.frame_rate:g}, and Label Studio "
            "goes by that; leave the option out, or change the configuration"
        )
    return given or config.frame_rate


def _warn(timeline: Timeline, labels: Sequence[str], config: VideoConfig) -> None:
    for sentence in timeline.clock.warnings:  # those of the file were logged when it was opened
        log.warning("%s", sentence)
    unknown = [label for label in labels if label not in config.labels]
    if unknown:
        log.warning(
            "the labeling configuration has no label %s, only %s; Label Studio's project needs it",
            ", ".join(map(repr, unknown)),
            ", ".join(config.labels) or "none",
        )


def _span(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d{1,9})-(\d{1,9})", text)
    if found is None or int(found[1]) > int(found[2]):
        raise argparse.ArgumentTypeError(f"{text!r} is no span; write the first and the last frame, such as 120-480")
    return int(found[1]), int(found[2])
