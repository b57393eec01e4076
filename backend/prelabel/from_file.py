"""What a detector found in the videos of a project, from a file: which task has which of its videos."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path

from backend.detections.files import DetectionFile
from backend.detections.naming import shown
from backend.errors import DatasetError, SettingsError
from backend.labelstudio.media_folder import media_parts, media_stem, plain_name
from backend.prelabel.given import Given, GivenDetections
from backend.prelabel.plan import Leave, Left, not_sure
from backend.service.timeline import Timeline
from backend.tracking.lives import Rules
from backend.video.frames import Frames


class FromFile:
    """A file of detections, and the tasks of a project that it is about.

    A video is known by its file's name without the extension; where several of the file's are called so, by the
    directories above it as well. A file that names no video, or a single one, may be of one task that was asked for.

    Args:
        file: the detections.
        label: what all objects are; None: what the detections say.
        labels: those of the project.
        rules: when tracks begin, continue and end.

    Raises:
        DatasetError: the file has no detection.
        SettingsError: what is detected has no label of the project's, or no score is high enough for a track.
    """

    def __init__(self, file: DetectionFile, *, label: str | None, labels: Sequence[str], rules: Rules) -> None:
        if math.isinf(file.best):
            raise DatasetError(f"{file.path} has no detection")
        if file.best < rules.confident:
            raise SettingsError(
                f"{file.path}: the highest score is {file.best:g}, and below {rules.confident:g} nothing begins a "
                "track: give --sure and --weak on this detector's scale"
            )
        self._file = file
        self._label = label or _label(file, labels)
        self._rules = rules
        self._known = {name: tuple(plain_name(part) for part in name.split("/")) for name in file.names}
        self._met: set[str] = set()
        self._asked_for = 0
        self._alone = False

    def meet(self, value: str, *, asked_for: bool) -> None:
        """Take note of a task of the project.

        Args:
            value: its video's address or path.
            asked_for: it is to be tracked.

        Raises:
            DatasetError: several of the file's videos may be this one.
        """
        self._met.update(filter(None, [self._name_of(value)]))
        self._asked_for += asked_for

    def check(self, *, chosen: bool) -> None:
        """Refuse a file that is not all about the tasks that were met.

        Args:
            chosen: the tasks that were asked for were named one by one.

        Raises:
            DatasetError: there are detections of a video that no task has.
            SettingsError: the file does not say of which video it is, and not one task was asked for.
        """
        path, names = self._file.path, self._file.names
        self._alone = self._asked_for == 1 and (not names or (chosen and len(names) == 1))
        if self._alone:
            return
        if not names:
            raise SettingsError(
                f"{path} does not say of which video it is: name its task by --tasks, or for COCO's results give the "
                "file that names the images by --detections-images"
            )
        strange = [name for name in self._file.found_in if name not in self._met]
        if strange:
            raise DatasetError(
                f"{path}: no task of the project has a video of the name {shown(strange)}. Videos are called as the "
                'directory of their images (or as the images\' "video" says) and as the files in the tasks, without '
                "extension"
            )

    def plan(self, value: str) -> FilePlan | Left:
        """What a task is tracked by.

        Args:
            value: its video's address or path.

        Raises:
            DatasetError: several of the file's videos may be this one.
        """
        name = self._name_of(value)
        if self._alone:
            name = next(iter(self._file.names), None)
        elif name is None:
            return Left(f"{self._file.path.name} has nothing of its video")
        return FilePlan(self._file.of(name), name, self._label, self._rules)

    def _name_of(self, value: str) -> str | None:
        """What a task's video is called in the file; None where the file does not have it."""
        parts = [plain_name(part) for part in media_parts(value)]
        if not parts:
            return None
        file, plain = Path(parts[-1]), plain_name(media_stem(value))
        called = {file.name, file.stem, plain, plain + file.suffix}
        agreeing = {name: _common(own[:-1], parts[:-1]) for name, own in self._known.items() if own[-1] in called}
        best = [name for name, count in agreeing.items() if count == max(agreeing.values())]
        if len(best) > 1:
            raise DatasetError(f"{self._file.path}: the video {parts[-1]} may be any of {shown(best)}")
        return best[0] if best else None


class FilePlan:
    """What one task is tracked by; it has what the file has of this video."""

    def __init__(self, file: DetectionFile, name: str | None, label: str | None, rules: Rules) -> None:
        self._file = file
        self._name = name
        self._rules = rules
        self.label = label

    def __str__(self) -> str:
        return f"the detections of {self._file.path.name}"

    @property
    def fingerprint(self) -> str:
        """Tells the same plan again."""
        return hashlib.sha256(repr((self._file.fingerprint, self._name, self._rules)).encode()).hexdigest()

    def given(self, timeline: Timeline, video: Frames) -> Given:
        """The same on the frames of the video.

        Raises:
            DatasetError: the file does not fit the video.
            Leave: no detection is sure enough.
        """
        found = self._file.detections(video, self._name)
        best = max((one.score for detections in found.values() for one in detections), default=None)
        if best is not None and best < self._rules.confident:
            raise Leave(not_sure(best, self._rules.confident))
        return GivenDetections(found, self._rules)


def _label(file: DetectionFile, labels: Sequence[str]) -> str | None:
    """What all objects are, where the file does not say it; None where it does."""
    has = ", ".join(labels) or "none"
    strange = [label for label in file.labels if label not in labels]
    if strange:
        raise SettingsError(
            f"{file.path}: the project has no label {shown(strange)}, only {has}; say by --label what all objects are, "
            "or give categories of these names (of COCO's results by --detections-images)"
        )
    if file.labels or not labels:
        return None
    if len(labels) > 1:
        raise SettingsError(f"{file.path} does not say what it detects: give --label; the project has {has}")
    return labels[0]


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    """How many directories agree, from the last one on."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(reversed(one), reversed(other), strict=False)))
