"""``frames``: videos as lists of images, on which Label Studio shows masks."""

from __future__ import annotations

import argparse
import json
import math
import re
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path, PurePosixPath
from typing import NoReturn

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from backend.cli.interrupts import Interrupts
from backend.cli.options import add_settings, frame_rate, settings_from, to_float
from backend.cli.progress import advance
from backend.cli.studio import project_number, studio_client
from backend.errors import KeytrackError, LabelStudioError, SettingsError
from backend.export.cut import IMAGES, MANIFEST, TASK, Cut, CutOptions, cut, plain_stem
from backend.export.results import replace_text
from backend.labelstudio.cut_video import FRAMES_KEY
from backend.labelstudio.frames_project import FramesProject, title_taken
from backend.labelstudio.local_files import LocalFiles
from backend.labelstudio.picture_config import parse_picture_config
from backend.labelstudio.uploads import Uploads
from backend.settings import Settings
from backend.video.reader import VideoReader

HELP = "Cut videos into images, as tasks of Label Studio that hold masks; and import them."
LABEL_CONFIG = Path(__file__).resolve().parents[2] / "labelstudio_config" / "frames_masks.xml"
INTERRUPTED = 130
CACHE_BYTES = 64 << 20  # frames are read in order, so that little is asked for again
EPILOG = f"""\
in the directory --out, for each video:
  NAME/{IMAGES}/NAME-000012.jpg   the frames by their decode index, from 0, upright
  NAME/{TASK}                a task to import into Label Studio, in which the frames are local files
  NAME/{MANIFEST}                 how they were made, by which the same command knows what it did before

what a task says:
  {FRAMES_KEY}, the images; of each the frame's decode index (indices) and its presentation time in seconds (times); the
  name of the video, and its fps. By these export writes what is drawn on the images as the video's.

how Label Studio gets the frames:
  With --project or --create-project they are uploaded to the project, where everybody who may see it sees them. Nothing
  has to be set up, and --out can be deleted afterwards.
  With --local-files ROOT they are served from where they lie. Start Label Studio with
    LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT=ROOT
  and give --out a directory below ROOT. Where Label Studio sees it under another path, as in a container, write
  --local-files HERE:THERE. The project gets a Local Files storage for --out.
  Without a project import {TASK}. Its addresses are those of --local-files, or of the directory that holds --out as the
  root; the project needs a Local Files storage (Settings > Cloud Storage) for --out.

A task is imported once, however often the command runs.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    parser.add_argument("videos", nargs="+", type=Path, metavar="VIDEO", help="a video file")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the frames go")
    parser.add_argument(
        "--force",
        action="store_true",
        help="cut anew, and replace other cuts of these names in --out; tasks that have their frames there lose them",
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--every", type=_count, default=1, metavar="N", help="each N-th frame (default: 1, all of them)")
    which.add_argument("--fps", type=frame_rate, metavar="F", help="so many frames a second, nearest in time")
    parser.add_argument("--start", type=_seconds, default=0.0, metavar="T", help="from there on: 75, 1:15 or 0:01:15.0")
    parser.add_argument("--end", type=_seconds, default=math.inf, metavar="T", help="up to there, it excluded")
    parser.add_argument("--format", choices=("jpg", "png"), default="jpg", help="of the images (default: jpg)")
    parser.add_argument("--quality", type=_quality, default=90, metavar="Q", help="of jpg, 1 to 95 (default: 90)")
    parser.add_argument(
        "--max-side", type=_count, metavar="P", help="scale the longer side down to P pixels (masks are then as small)"
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--project", type=project_number, metavar="ID", help="import into this project, the 3 in /projects/3"
    )
    where.add_argument("--create-project", metavar="TITLE", help="import into a new project")
    parser.add_argument(
        "--label-config",
        type=Path,
        metavar="FILE",
        help="the labeling configuration of a new project, or of the one that task.json is for (default: "
        "labelstudio_config/frames_masks.xml)",
    )
    parser.add_argument(
        "--local-files",
        type=_local_files,
        metavar="ROOT[:THERE]",
        help="Label Studio serves the frames from this directory (default: they are uploaded)",
    )
    add_settings(parser, "label_studio_url", "label_studio_token")


def run(args: argparse.Namespace) -> int:
    """Cut and import, one video after the other; 130 where Ctrl-C ended it, and what was done by then stays."""
    settings = settings_from(args)
    targets = _targets(args)
    with ExitStack() as stack:
        place = _place(args, settings, stack)
        interrupts = stack.enter_context(Interrupts())
        stack.enter_context(logging_redirect_tqdm())
        for path, target in zip(args.videos, targets, strict=True):
            if not _handle(args, path, target, place, lambda: interrupts.asked):
                print(f"interrupted at {path.name}; what was done before stays, and {place.again()} goes on with it")
                return INTERRUPTED
    if not place.wanted:
        print(f"to import: each {TASK}; see --help on how Label Studio gets the frames")
    return 0


class _Place:
    """Where tasks go: a project, made when the first of them is ready where it is a new one, or nowhere. ``served`` is
    the directory that Label Studio serves the frames from, where they are not uploaded."""

    def __init__(
        self,
        files: LocalFiles,
        served: Path | None,
        key: str,
        project: FramesProject | None,
        make: Callable[[], FramesProject] | None,
    ) -> None:
        self.files = files
        self.served = served
        self.key = key
        self._project = project
        self._make = make

    @property
    def wanted(self) -> bool:
        """Whether tasks are imported at all."""
        return self._project is not None or self._make is not None

    def project(self, found: Cut) -> FramesProject | None:
        """The project, made now where it has to be; none is left behind that could not have the frames."""
        if self._project is None and self._make is not None:
            made = self._make()
            try:
                self.serve(made, found)
            except KeytrackError as error:
                try:
                    made.delete()
                except LabelStudioError as left:
                    raise LabelStudioError(
                        f"{error}; project {made.id}, which was made for it, could not be deleted: {left}"
                    ) from error
                raise
            self._project = made
            print(f"project {made.id}: {made.url}")
        return self._project

    def serve(self, project: FramesProject, found: Cut) -> None:
        """Have Label Studio serve the frames, where they are not uploaded."""
        if self.served is not None:
            self.files.serve(project.client, project.id, self.served)
            self.files.check(project.client, found.files[0])

    def again(self) -> str:
        """What leads on from here."""
        if self._project is None or self._make is None:
            return "the same command"
        return f"the same command with --project {self._project.id}"


def _place(args: argparse.Namespace, settings: Settings, stack: ExitStack) -> _Place:
    """Checked before anything is cut, as far as it can be."""
    parent = args.out.absolute().parent
    files = args.local_files or LocalFiles(parent, PurePosixPath(parent.as_posix()))
    files.place(args.out)  # refuses what cannot be served
    served = None if args.local_files is None else args.out
    if args.project is None and args.create_project is None:
        return _Place(files, served, parse_picture_config(_config(args)).frames_key, None, None)
    client = stack.enter_context(studio_client(settings))
    if args.project is not None:
        if args.label_config is not None:
            raise SettingsError("--label-config: a project has its own; leave it out")
        project = FramesProject.open(client, args.project)
        return _Place(files, served, project.key, project, None)
    config = _config(args)
    key = parse_picture_config(config).frames_key
    taken = title_taken(client, args.create_project)
    if taken is not None:
        raise LabelStudioError(
            f"--create-project {args.create_project!r}: project {taken} has this title; give --project {taken} to "
            "import into it, or another title"
        )
    return _Place(files, served, key, None, partial(FramesProject.create, client, args.create_project, config))


def _handle(args: argparse.Namespace, path: Path, target: Path, place: _Place, cancelled: Callable[[], bool]) -> bool:
    """Cut one video, and import it where that is wanted; False where it was cancelled."""
    with (
        VideoReader(path, cache_bytes=CACHE_BYTES) as video,
        tqdm(desc=f"cutting {path.name}", unit="frame", disable=None) as bar,
    ):
        found = cut(
            video,
            target,
            _options(args),
            force=args.force,
            begin=partial(_expect, bar),
            advance=partial(advance, bar),
            cancelled=cancelled,
        )
        count = len(video)
    if found is None:
        return False
    addresses = [place.files.address(file) for file in found.files]
    tasks = [{"data": found.video.task_data(place.key, addresses)}]
    replace_text(target / TASK, json.dumps(tasks, indent=1) + "\n")
    print(_describe(found, count))
    project = place.project(found)
    return project is None or _import(place, project, found, cancelled)


def _import(place: _Place, project: FramesProject, found: Cut, cancelled: Callable[[], bool]) -> bool:
    """Make the task, unless it is there; False where it was cancelled."""
    task = project.find(found.video)
    if task is not None:
        print(f"  task {task} has these frames already: {project.task_url(task)}")
        return True
    if place.served is not None:
        place.serve(project, found)
        task = project.add(found.video, [place.files.address(file) for file in found.files])
    else:
        with (
            Uploads(project.client, project.id) as uploads,
            tqdm(total=len(found.files), desc="uploading", unit="frame", disable=None) as bar,
        ):
            addresses = uploads.add(found.files, partial(_advance_by, bar), cancelled)
            if addresses is None:
                return False
            uploads.keep()  # an import whose answer is lost may have been made
            task = project.add(found.video, addresses)
    print(f"  task {task}: {project.task_url(task)}")
    return True


def _describe(found: Cut, count: int) -> str:
    video = found.video
    return (
        f"{video.video}: {len(found.files)} of {count} frames, {video.times[0]:.2f} to {video.times[-1]:.2f} s, in "
        f"{found.directory}{' (from before)' if found.found else ''}"
    )


def _expect(bar: tqdm[NoReturn], frames: int) -> None:
    bar.reset(total=frames)


def _advance_by(bar: tqdm[NoReturn], files: int) -> None:
    bar.update(files)


def _targets(args: argparse.Namespace) -> list[Path]:
    """The directory of each video's frames."""
    taken: dict[str, Path] = {}
    for path in args.videos:
        name = plain_stem(path).casefold()
        if name in taken:
            raise SettingsError(
                f"the frames of {taken[name]} and of {path} would go to one directory; give each a command of its own, "
                "with another --out"
            )
        taken[name] = path
    return [args.out / plain_stem(path) for path in args.videos]


def _options(args: argparse.Namespace) -> CutOptions:
    return CutOptions(
        every=args.every,
        rate=args.fps,
        start=args.start,
        end=args.end,
        kind=args.format,
        quality=args.quality,
        max_side=args.max_side,
    )


def _config(args: argparse.Namespace) -> str:
    path: Path = args.label_config or LABEL_CONFIG
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"--label-config {path}: cannot be read ({error})") from error


def _local_files(text: str) -> LocalFiles:
    here, separator, there = text.partition(":")
    root = Path(here).absolute()
    if not here or not root.is_dir() or (separator and not PurePosixPath(there).is_absolute()):
        raise argparse.ArgumentTypeError(
            f"{text!r}: name a directory that exists or, where Label Studio sees it under another path, HERE:/THERE"
        )
    return LocalFiles(root, PurePosixPath(there or root.as_posix()))


def _count(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text) or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 on")
    return int(text)


def _quality(text: str) -> int:
    quality = _count(text)
    if quality > 95:
        raise argparse.ArgumentTypeError(f"{text!r}: the quality of a JPEG is a whole number from 1 to 95")
    return quality


def _seconds(text: str) -> float:
    """Seconds, minutes and seconds, or hours, minutes and seconds."""
    parts = text.split(":")
    if len(parts) > 3 or not all(re.fullmatch(r"[0-9]{1,9}", part) for part in parts[:-1]):
        parts = [""]
    value = math.fsum(to_float(part) * 60.0**power for power, part in enumerate(reversed(parts)))
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; write seconds, such as 75.5, or 1:15.5")
    return value
