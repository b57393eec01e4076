"""A directory as a ZIP file that is sent while it is made."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

CHUNK = 1 << 18


def zipped(directory: Path) -> Iterator[bytes]:
    """The bytes of a ZIP file with all files below ``directory``, of which one is in memory at a time. They are not
    compressed: what is large in them, PNGs, is already."""
    sink = _Sink()
    with zipfile.ZipFile(sink, "w") as archive:
        for path in sorted(path for path in directory.rglob("*") if path.is_file()):
            archive.write(path, path.relative_to(directory).as_posix())
            if len(sink.data) >= CHUNK:
                yield sink.taken()
    yield sink.taken()


class _Sink:
    """What a ZIP file is written to, and taken from."""

    def __init__(self) -> None:
        self.data = bytearray()

    def write(self, data: bytes, /) -> int:
        """Keep it."""
        self.data += data
        return len(data)

    def flush(self) -> None:
        """There is nothing to do."""

    def close(self) -> None:
        """There is nothing to do."""

    def taken(self) -> bytes:
        """What was written since the last time."""
        data = bytes(self.data)
        self.data.clear()
        return data
