"""Which videos there are: those of a directory, or the rows of a manifest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import quote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from backend.detections.kept import KeptFiles
from backend.errors import DatasetError, PromptError, SettingsError
from backend.labelstudio.config import VideoConfig
from backend.prelabel.from_file import FromFile
from backend.prelabel.listed import Listed, Planned
from backend.prelabel.plan import Left, Plan
from backend.prelabel.prompts import PromptPlan, PromptRecord, PromptRequest
from backend.tracking.lives import DEFAULT_RULES, Rules
from backend.video.source import VIDEO_EXTENSIONS

_PROMPTS = TypeAdapter(list[PromptRecord])
_FORM = '{"video": "street.mp4", "label": "Car"}'


class _Row(BaseModel):
    """A line of a manifest."""

    model_config = ConfigDict(extra="forbid", strict=True)

    video: str = Field(min_length=1)
    name: str | None = Field(None, pattern=r"^[^/\\\x00-\x1f]+(/[^/\\\x00-\x1f]+)*$")
    url: str | None = Field(None, min_length=1)
    prompts: list[PromptRecord] | str | None = None
    detections: str | None = Field(None, min_length=1)
    detections_images: str | None = Field(None, min_length=1)
    label: str | None = Field(None, min_length=1)
    frame_rate: float | None = Field(None, gt=0, allow_inf_nan=False)


@dataclass(frozen=True)
class Defaults:
    """What holds for videos that do not say otherwise.

    Attributes:
        config: the labeling configuration of the project that is to have them.
        label: what all objects are; None: the configuration's only label, or what is said of each.
        rules: when tracks of detections begin, continue and end.
    """

    config: VideoConfig
    label: str | None = None
    rules: Rules = DEFAULT_RULES

    def check(self, label: str | None, where: str) -> str | None:
        """A label, if the configuration has it.

        Raises:
            SettingsError: it has not.
        """
        if label is not None and label not in self.config.labels:
            has = ", ".join(self.config.labels) or "none"
            raise SettingsError(f"{where} {label}: the labeling configuration has no such label, only {has}")
        return label

    def everything(self, label: str | None, where: str) -> Plan:
        """Tracking whatever looks like an object.

        Raises:
            SettingsError: nobody says what the objects are.
        """
        labels = self.config.labels
        label = label or self.label or (labels[0] if len(labels) == 1 else None)
        if label is None:
            raise SettingsError(
                f"{where}: without prompts or detections say what the objects are: the labeling configuration has "
                f"the labels {', '.join(labels) or 'none'}"
            )
        return Plan(None, label)


def of_directory(directory: Path, defaults: Defaults, detections: FromFile | None = None) -> list[Listed]:
    """The videos under a directory, by their names; what begins with a dot is left out.

    Args:
        directory: where they are.
        defaults: what holds for all.
        detections: what a detector found in them; without, whatever looks like an object is tracked.

    Raises:
        SettingsError: there is no such directory, or no video in it, or nobody says what the objects are.
        DatasetError: the detections are not all about these videos.
    """
    if not directory.is_dir():
        raise SettingsError(f"--videos {directory} is not a directory; give the one that holds the videos")
    root = directory.resolve()
    paths = [path for path in sorted(root.rglob("*")) if _is_video(path, root)]
    if not paths:
        raise SettingsError(f"--videos {directory}: there is no video in it")
    for path in paths:
        name = path.relative_to(root.parent).as_posix()
        if not _is_text(name):
            raise SettingsError(f"--videos: the name {name!a} is no text in UTF-8; rename it")
    plan = _planner(paths, defaults, detections)
    return [
        Listed(path.relative_to(root).as_posix(), path, _served(root, path), None, partial(plan, path))
        for path in paths
    ]


def _planner(
    paths: Sequence[Path], defaults: Defaults, detections: FromFile | None
) -> Callable[[Path], Planned | Left]:
    """Says by what each of the videos is tracked."""
    if detections is None:
        everything = defaults.everything(None, "--label")
        return lambda path: everything
    for path in paths:
        detections.meet(str(path), asked_for=True)
    detections.check(chosen=False)
    return lambda path: detections.plan(str(path))


def of_manifest(path: Path, defaults: Defaults) -> list[Listed]:
    """The videos of a manifest: a line of JSON for each. All of it is read, and nothing that it names.

    Args:
        path: the manifest; files that it names lie beside it, unless their paths are absolute.
        defaults: what holds for rows that do not say otherwise.

    Raises:
        DatasetError: it cannot be read, or a line is none; the message has the line.
    """
    found: list[Listed] = []
    lines: dict[str, int] = {}
    files = KeptFiles()
    for line, text in _lines(path):
        where = f"{path}:{line}"
        try:
            one = _Line(_Row.model_validate_json(text), where, path.parent.resolve(), defaults, files).listed()
        except ValidationError as error:
            problem = error.errors()[0]
            place = ".".join(str(part) for part in problem["loc"])
            raise DatasetError(
                f"{where}: {place + ': ' if place else ''}{problem['msg']}; write such as {_FORM}"
            ) from None
        except (SettingsError, PromptError) as error:
            raise DatasetError(f"{where}: {error}") from error
        if one.name in lines:
            raise DatasetError(
                f"{where}: its results would go to {one.name}.json, as those of line {lines[one.name]}; give one of "
                'them a "name"'
            )
        lines[one.name] = line
        found.append(one)
    if not found:
        raise DatasetError(f"{path} has no video; write a line such as {_FORM} for each")
    return found


@dataclass(frozen=True, eq=False)
class _Line:
    row: _Row
    where: str
    directory: Path
    defaults: Defaults
    files: KeptFiles

    def listed(self) -> Listed:
        row, config = self.row, self.defaults.config
        try:
            remote = urlsplit(row.video).scheme in ("http", "https")
        except ValueError as error:
            raise SettingsError(f"video {row.video} is no address ({error})") from error
        video = row.video if remote else self._beside(row.video)
        parts = urlsplit(row.video).path if remote else row.video
        name = row.name or Path(parts).name
        if {".", ".."}.intersection(name.split("/")) or not name:
            raise SettingsError(f'the name {name!r} is no file\'s; give it a "name"')
        if row.frame_rate is not None and config.frame_rate_key is None and config.frame_rate != row.frame_rate:
            declared = "Label Studio's default" if config.frame_rate is None else f"{config.frame_rate:g}"
            raise SettingsError(
                f"frame_rate {row.frame_rate:g}: the labeling configuration does not take it from the task, but "
                f"declares {declared}"
            )
        address = row.url or (row.video if remote else _served(Path(video).parent, Path(video)))
        return Listed(name, video, address, row.frame_rate, self._plan())

    def _plan(self) -> Callable[[], Planned | Left]:
        row, defaults = self.row, self.defaults
        label = defaults.check(row.label, "label")
        if row.prompts is not None and row.detections is not None:
            raise SettingsError("prompts and detections say each what to track: give one of them")
        if row.detections_images is not None and row.detections is None:
            raise SettingsError("detections_images is for detections")
        if row.detections is not None:
            return lambda: self._from_file(label)
        if row.prompts is not None:
            if isinstance(row.prompts, list) and not row.prompts:
                raise SettingsError("prompts: there is none; leave them out to track whatever looks like an object")
            for index, record in enumerate(row.prompts if isinstance(row.prompts, list) else ()):
                defaults.check(record.label, f"prompts[{index}]: label")
            return lambda: PromptPlan(list(self._requests(row.prompts or [], label or defaults.label)))
        everything = defaults.everything(label, "label")
        return lambda: everything

    def _from_file(self, label: str | None) -> Planned | Left:
        row, defaults = self.row, self.defaults
        images = None if row.detections_images is None else self._beside(row.detections_images)
        file = self.files.open(self._beside(row.detections or ""), images)
        labels = defaults.config.labels
        found = FromFile(file, label=label or defaults.label, labels=labels, rules=defaults.rules)
        if len(file.names) < 2:  # of several the one that is called as the video is; the others are other rows'
            found.meet(row.video, asked_for=True)
            found.check(chosen=True)
        return found.plan(row.video)

    def _requests(self, prompts: Sequence[PromptRecord] | str, label: str | None) -> Iterator[PromptRequest]:
        directory, where = self.directory, f"{self.where}: prompts"
        if isinstance(prompts, str):
            path = self._beside(prompts)
            directory, where = path.parent, str(path)
            try:
                prompts = _PROMPTS.validate_json(path.read_bytes())
            except OSError as error:
                raise PromptError(f"{self.where}: {path} cannot be read ({error.strerror})") from error
            except ValidationError as error:
                problem = error.errors()[0]
                raise PromptError(f"{path}: {problem['loc']}: {problem['msg']}") from error
        for index, record in enumerate(prompts):
            self.defaults.check(record.label, f"{where}[{index}]: label")
            given = record if record.label is not None else record.model_copy(update={"label": label})
            yield given.request(f"{where}[{index}]", directory)

    def _beside(self, name: str) -> Path:
        return self.directory / Path(name).expanduser()


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path} cannot be read ({error}); give a file of JSON Lines") from error
    for line, row in enumerate(text.split("\n"), start=1):
        if row.strip():
            yield line, row


def _served(root: Path, path: Path) -> str:
    """As Label Studio serves a file, with ``root`` as a local storage and the one above it as the local files root."""
    return f"/data/local-files/?d={quote('/'.join((root.name, path.relative_to(root).as_posix())))}"


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_video(path: Path, root: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.relative_to(root).parts)
    return path.suffix.lower() in VIDEO_EXTENSIONS and not hidden and path.is_file()
