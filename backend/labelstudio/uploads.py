"""Many files uploaded to a project of Label Studio, or none."""

from __future__ import annotations

import logging
import mimetypes
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType

from backend.errors import LabelStudioError, MediaError
from backend.labelstudio.client import LabelStudioClient
from backend.labelstudio.payload import Incoming, parse

log = logging.getLogger(__name__)

# Label Studio takes 100 files and 250 MB in a request, and what stands before it often less; each is in memory once.
MOST_FILES = 50
MOST_BYTES = 16 << 20


class _Answer(Incoming):
    """What an upload is answered with."""

    file_upload_ids: list[int]


class _Upload(Incoming):
    """A file that Label Studio has; ``file`` is its place below ``/data/``."""

    id: int
    file: str


class Uploads:
    """Uploads to one project; a context manager: without :meth:`keep` they are deleted again."""

    def __init__(self, client: LabelStudioClient, project: int) -> None:
        self._client = client
        self._project = project
        self._ids: list[int] = []

    def __enter__(self) -> Uploads:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._ids:
            return
        try:
            path = f"/api/projects/{self._project}/file-uploads"
            self._client.call("DELETE", path, json={"file_upload_ids": self._ids})
        except LabelStudioError as failure:
            log.warning("%d uploads to project %d are left over: %s", len(self._ids), self._project, failure)

    def keep(self) -> None:
        """Leave the uploads where they are."""
        self._ids.clear()

    def add(
        self,
        paths: Sequence[Path],
        advance: Callable[[int], None] = lambda files: None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> list[str] | None:
        """Upload files, many in a request.

        Args:
            paths: the files.
            advance: called with the number of files after each request.
            cancelled: asked before each request.

        Returns:
            the addresses that tasks have for them, in the same order; None where it was cancelled.

        Raises:
            MediaError: a file cannot be read.
            LabelStudioError: Label Studio cannot be reached, or refused a file.
        """
        addresses: list[str] = []
        for batch in _batches(paths):
            if cancelled():
                return None
            addresses += self._send(batch)
            advance(len(batch))
        return addresses

    def _send(self, paths: Sequence[Path]) -> list[str]:
        # Of several files in one field Label Studio takes the last.
        files = [
            (f"file{number}", (path.name, _read(path), mimetypes.guess_type(path.name)[0]))
            for number, path in enumerate(paths)
        ]
        place = f"/api/projects/{self._project}"
        reply = self._client.call("POST", f"{place}/import", files=files, params={"commit_to_project": "false"})
        ids = parse(_Answer, reply, "the answer to an upload").file_upload_ids
        self._ids += ids
        found = self._client.items(f"{place}/file-uploads", ids=str(ids))
        known = {item.id: item for item in (parse(_Upload, item, "an upload") for item in found)}
        if len(ids) != len(paths) or known.keys() != set(ids):
            raise LabelStudioError(
                f"of {len(paths)} files that were uploaded Label Studio has {len(known)}; start again"
            )
        return ["/data/" + known[number].file.lstrip("/").removeprefix("data/") for number in ids]


def _batches(paths: Sequence[Path]) -> Iterator[list[Path]]:
    """As many files as fit into a request, at least one."""
    batch: list[Path] = []
    total = 0
    for path in paths:
        size = _size(path)
        if batch and (len(batch) == MOST_FILES or total + size > MOST_BYTES):
            yield batch
            batch, total = [], 0
        batch.append(path)
        total += size
    if batch:
        yield batch


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise MediaError(f"{path} cannot be read ({error.strerror})") from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise MediaError(f"{path} cannot be read ({error.strerror})") from error
