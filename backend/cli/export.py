"""``export``: what was labelled, as files that other tools read."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from backend.cli.interrupts import Interrupts
from backend.cli.options import add_settings, frame_rate, settings_from
from backend.cli.progress import advance
from backend.cli.studio import project_number, studio_client
from backend.errors import DatasetError, SettingsError
from backend.export.dataset import Dataset
from backend.export.formats import FORMATS, Format
from backend.export.json_file import JsonFile
from backend.export.media import Media
from backend.export.notes import Notes
from backend.export.reading import Choices, Reading
from backend.export.results import ResultsDirectory
from backend.export.studio_tasks import choose_labellings, read_tasks
from backend.export.track_results import TASKS, is_track_directory, read_track
from backend.export.writing import Options, Summary
from backend.labelstudio.exported import Task, parse_task, parse_tasks
from backend.labelstudio.in_use import media_in_use
from backend.labelstudio.media import MediaLibrary
from backend.labelstudio.media_folder import MediaFolder
from backend.labelstudio.project import iter_tasks, read_label_config
from backend.labelstudio.project_config import ProjectConfig, parse_project_config
from backend.service.archive import Archive
from backend.service.store import DATABASE
from backend.settings import Settings
from backend.video.shelf import VideoShelf

HELP = "Write what was labelled as COCO, YouTube-VIS, YOLO, MOTChallenge, MOTS or DAVIS."
INTERRUPTED = 130
PROJECT = "project:"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _epilog()
    parser.add_argument(
        "source",
        nargs="?",
        metavar="SOURCE",
        help='Label Studio\'s export "JSON", a directory that track wrote, or project:ID',
    )
    parser.add_argument("--project", type=project_number, metavar="ID", help="a project of Label Studio, as project:ID")
    parser.add_argument(
        "--format", required=True, metavar="FORMAT[,FORMAT...]", type=_formats, help="one or more of those below"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="each format is written to DIR/FORMAT")
    parser.add_argument("--force", action="store_true", help="replace earlier results of the same formats in --out")
    parser.add_argument("--media", type=Path, metavar="DIR", help="where the videos or images lie, by their names")
    parser.add_argument(
        "--label-config",
        type=Path,
        metavar="FILE",
        help="the project's labeling configuration, which tells the frame rate and the order of the labels",
    )
    parser.add_argument(
        "--frame-rate", type=frame_rate, metavar="FPS", help="by which Label Studio counted; of images, their rate"
    )
    parser.add_argument(
        "--predictions", action="store_true", help="export the newest prediction of tasks without an annotation"
    )
    parser.add_argument(
        "--objects",
        choices=("region", "label"),
        default="region",
        help="what is one object on several images: a region's id (default), or a label",
    )
    parser.add_argument(
        "--pictures", choices=("jpg", "png", "none"), default="jpg", help="how frames are written (default: jpg)"
    )
    parser.add_argument(
        "--val", type=float, default=0.0, metavar="PART", help="the part of the videos for validation, such as 0.2"
    )
    parser.add_argument(
        "--ignore",
        type=_types,
        default=frozenset(),
        metavar="TYPE[,TYPE...]",
        help="regions that are left aside, such as polygonlabels; otherwise those that cannot be exported are refused",
    )
    parser.add_argument(
        "--masks-from-store",
        action="store_true",
        help="put the masks that the backend keeps in --data-dir beside the boxes of videos that it tracked",
    )
    parser.add_argument(
        "--masked-only",
        action="store_true",
        help="leave out the frames of videos on which a box has no mask, instead of refusing formats that hold masks",
    )
    add_settings(
        parser,
        "label_studio_url",
        "label_studio_token",
        "media_root",
        "allowed_hosts",
        "max_media_bytes",
        "media_cache_bytes",
        "data_dir",
    )


def run(args: argparse.Namespace) -> int:
    """Read, write, and say what was written; 130 where Ctrl-C ended it, and then nothing is."""
    settings = settings_from(args)
    source = _source(args)
    options = _options(args)
    folder = None if args.media is None else MediaFolder(args.media)
    notes = Notes()
    with ExitStack() as stack:
        results = stack.enter_context(ResultsDirectory(args.out, tuple(args.format), force=args.force))
        shelf = stack.enter_context(VideoShelf())
        interrupts = stack.enter_context(Interrupts())
        stack.enter_context(logging_redirect_tqdm())
        stack.enter_context(media_in_use())  # each video is read again when it is written
        library = _library(settings, source, stack)
        choices = _choices(args, settings, source)
        masks = stack.enter_context(Archive(settings.data_dir / DATABASE).open()) if args.masks_from_store else None
        reading = Reading(choices, Media(folder, library), shelf, notes, lambda: interrupts.asked, masks)
        dataset = _read(source, settings, reading)
        summaries = None if dataset is None else _write(args.format, dataset, results, options, reading.cancelled)
        if dataset is None or summaries is None:
            print("interrupted; nothing was written")
            return INTERRUPTED
        results.publish()
    for name, summary in summaries.items():
        print(f"{args.out / name}: {_describe(summary)}")
    print(f"warnings: {len(notes)}")
    for line in notes.lines():
        print(f"  {line}")
    return 0


@dataclass(frozen=True)
class _Source:
    """A path, or a project's number."""

    path: Path | None = None
    project: int | None = None


def _source(args: argparse.Namespace) -> _Source:
    if (args.source is None) == (args.project is None):
        raise SettingsError("name one source: a JSON file, a directory of track's, or project:ID (or --project ID)")
    if args.project is not None:
        return _Source(project=args.project)
    if args.source.startswith(PROJECT):
        try:
            return _Source(project=project_number(args.source.removeprefix(PROJECT)))
        except argparse.ArgumentTypeError as error:
            raise SettingsError(str(error)) from error
    path = Path(args.source)
    if path.is_dir() and not is_track_directory(path):
        raise DatasetError(f"{path} is no directory that track wrote: it has no {TASKS}")
    return _Source(path=path)


def _options(args: argparse.Namespace) -> Options:
    """Checked before anything is read."""
    formats = [FORMATS[name] for name in args.format]
    if not 0 <= args.val < 1:
        raise SettingsError(f"--val {args.val:g}: give a part of at least 0 and below 1")
    if args.val and not any(item.splits for item in formats):
        raise SettingsError(f"--val: only {_listed(lambda item: item.splits)} tell validation from training")
    if args.pictures == "png" and any(item.jpeg_only for item in formats):
        raise SettingsError(f"--pictures png: {_listed(lambda item: item.jpeg_only)} have JPEG pictures only")
    return Options(None if args.pictures == "none" else args.pictures, args.val)


def _library(settings: Settings, source: _Source, stack: ExitStack) -> MediaLibrary | None:
    """The library where the user said anything about where media come from, beside --media."""
    if source.project is None and not (settings.label_studio_url or settings.media_root or settings.allowed_hosts):
        return None
    library = MediaLibrary(settings)
    stack.callback(library.close)
    return library


def _choices(args: argparse.Namespace, settings: Settings, source: _Source) -> Choices:
    config: ProjectConfig | None = None
    if args.label_config is not None:
        try:
            config = parse_project_config(args.label_config.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"--label-config {args.label_config}: cannot be read ({error})") from error
    elif source.project is not None:
        with studio_client(settings) as client:
            config = parse_project_config(read_label_config(client, source.project))
    return Choices(
        config=config,
        predictions=args.predictions,
        by_label=args.objects == "label",
        frame_rate=args.frame_rate,
        pictures=args.pictures != "none",
        ignored=args.ignore,
        masked_only=args.masked_only,
    )


def _read(source: _Source, settings: Settings, reading: Reading) -> Dataset | None:
    if source.project is not None:
        with studio_client(settings) as client:
            raw = enumerate(iter_tasks(client, source.project, reading.cancelled), start=1)
            tasks = [
                parse_task(task, "", number) for number, task in tqdm(raw, desc="listing", unit="task", disable=None)
            ]
        return None if reading.cancelled() else _read_tasks(tasks, reading)
    path = source.path or Path()
    if path.is_dir():
        with tqdm(desc="reading", unit="mask", disable=None) as bar:
            return read_track(path, reading, partial(advance, bar))
    file = JsonFile.read(path)
    with file.naming_lines():
        return _read_tasks(list(parse_tasks(file.value)), reading)


def _read_tasks(tasks: Sequence[Task], reading: Reading) -> Dataset | None:
    chosen = choose_labellings(tasks, reading.choices, reading.notes)
    with tqdm(total=len(chosen), desc="reading", unit="task", disable=None) as bar:
        return read_tasks(chosen, reading, partial(advance, bar))


def _write(
    names: Sequence[str],
    dataset: Dataset,
    results: ResultsDirectory,
    options: Options,
    cancelled: Callable[[], bool],
) -> dict[str, Summary] | None:
    """What was written, by format; None where it was cancelled."""
    frames = sum(len(video.labelled) for video in dataset.videos)
    fitting = {name: options if FORMATS[name].splits else Options(options.pictures) for name in names}
    for name in names:  # all before the first is written
        FORMATS[name].check(dataset, fitting[name])
    summaries = {}
    for name in names:
        with tqdm(total=frames, desc=name, unit="frame", disable=None) as bar:
            summary = FORMATS[name].write(
                dataset, results.path(name), fitting[name], advance=partial(advance, bar), cancelled=cancelled
            )
        if summary is None:
            return None
        summaries[name] = summary
    return summaries


def _describe(summary: Summary) -> str:
    counts = (
        (summary.videos, "video"),
        (summary.frames, "frame"),
        (summary.objects, "object"),
        (summary.annotations, "annotation"),
    )
    text = ", ".join(f"{count} {noun}{'s' * (count != 1)}" for count, noun in counts)
    return text + (f"; {summary.left_out} that show nothing left out" if summary.left_out else "")


def _formats(text: str) -> list[str]:
    names = list(dict.fromkeys(name.strip().lower() for name in text.split(",") if name.strip()))
    unknown = [name for name in names if name not in FORMATS]
    if unknown or not names:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown) or 'nothing'}: choose of {', '.join(FORMATS)}")
    return names


def _types(text: str) -> frozenset[str]:
    return frozenset(name.strip().lower() for name in text.split(",") if name.strip())


def _listed(is_wanted: Callable[[Format], bool]) -> str:
    return ", ".join(item.name for item in FORMATS.values() if is_wanted(item))


def _epilog() -> str:
    width = max(map(len, FORMATS))
    formats = "\n".join(f"  {name.ljust(width)}  {item.help}" for name, item in FORMATS.items())
    return f"formats:\n{formats}\n\n{_READING}"


_READING = """\
what is read:
  Of a task's annotations that were not skipped a ground truth counts before any other, and the one that was updated
  last. Boxes are on every frame on which Label Studio draws them, by its own interpolation and presentation times: the
  frames written are those that were labelled. Where no configuration tells the frame rate, the regions do.
  The JSON export has no labeling configuration: give --label-config, or labels are numbered by the alphabet.

where videos and images are looked for:
  in --media by their names, as they were uploaded or as Label Studio calls them; then at --label-studio-url, and
  plain paths in --media-root.

which masks videos have:
  Label Studio holds boxes on a video, and no masks. With --masks-from-store those count that the backend made when it
  tracked the boxes: on the frames on which a region is drawn as it was tracked. What was changed since has none.

which regions of images are one object:
  those with the same meta.track_id; else, with --objects label, those of one label; else those of the same id.

Objects are numbered by the first frame that shows them, those that begin together by their id: in every format, and
whenever it is exported, the same. Results of track keep their numbers.
"""
