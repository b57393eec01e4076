"""Files of detections that are asked for again and again, read once."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

from backend.detections.files import DetectionFile, open_detections
from backend.errors import DatasetError
from backend.video.frames import FileState, file_state

# Of the files that are kept beside the one that was asked for last; in memory they take several times as many.
MOST_BYTES = 64 << 20

_Key = tuple[FileState | None, ...]


class KeptFiles:
    """Opens files of detections, and keeps the last ones in memory. Not for several threads at once.

    Args:
        most_bytes: that the files which are kept have together; the one that was asked for last is kept in any case.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._files: OrderedDict[_Key, DetectionFile] = OrderedDict()

    def open(self, path: Path, images: Path | None = None) -> DetectionFile:
        """As :func:`backend.detections.files.open_detections`; a file that has changed is read anew.

        Raises:
            DatasetError, SettingsError: as there.
        """
        key = _state(path), None if images is None else _state(images)
        found = self._files.pop(key, None)
        if found is None:
            found = open_detections(path, images)
        self._files[key] = found
        while len(self._files) > 1 and sum(map(_size, self._files)) > self._most_bytes:
            self._files.popitem(last=False)
        return found


def _state(path: Path) -> FileState:
    try:
        return file_state(path)
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror or error}") from error


def _size(key: _Key) -> int:
    return sum(state[2] for state in key if state is not None)
