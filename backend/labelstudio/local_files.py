"""Files that Label Studio serves from its own disk: ``/data/local-files/?d=``, below LOCAL_FILES_DOCUMENT_ROOT."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import quote

from backend.errors import LabelStudioError, MediaError, SettingsError
from backend.labelstudio.client import LabelStudioClient
from backend.labelstudio.payload import Incoming, parse

TITLE = "Frames of videos (served, never synchronized)"
NOTHING = "^$"  # as a filter of names: a synchronization would make a task of every image


class _Storage(Incoming):
    """A Local Files storage of a project."""

    path: str


@dataclass(frozen=True)
class LocalFiles:
    """A directory that Label Studio serves files from.

    Attributes:
        here: as this machine has it.
        there: as Label Studio has it: another path where it runs in a container or on another machine.
    """

    here: Path
    there: PurePosixPath

    def address(self, path: Path) -> str:
        """The address that a task has for a file in it.

        Raises:
            SettingsError: it is not in it.
        """
        return f"/data/local-files/?d={quote(self._within(path).as_posix())}"

    def place(self, directory: Path) -> PurePosixPath:
        """Where Label Studio has a directory whose files it is to serve.

        Raises:
            SettingsError: it is not in this one, or is all of it, which Label Studio does not serve.
        """
        below = self._within(directory)
        if not below.parts:
            raise SettingsError(
                f"{directory}: Label Studio serves directories below its root alone; write the frames into one of them"
            )
        return self.there / below

    def serve(self, client: LabelStudioClient, project: int, directory: Path) -> None:
        """Make sure that a project's storages cover a directory, by one more where they do not.

        Raises:
            SettingsError: see :meth:`place`.
            LabelStudioError: Label Studio refuses the storage, or cannot be reached.
        """
        wanted = self.place(directory)
        found = client.items("/api/storages/localfiles", project=project)
        paths = [PurePosixPath(parse(_Storage, item, "a storage").path) for item in found]
        if any(wanted.is_relative_to(path) for path in paths):
            return
        body = {
            "project": project,
            "title": TITLE,
            "path": str(wanted),
            "regex_filter": NOTHING,
            "use_blob_urls": True,
        }
        try:
            client.post("/api/storages/localfiles", body)
        except LabelStudioError as error:
            raise LabelStudioError(f"{self._hint(wanted)} ({error})") from error

    def check(self, client: LabelStudioClient, path: Path) -> None:
        """Make sure that Label Studio serves a file, and the one that is meant.

        Raises:
            LabelStudioError: it does not; the message says what has to be set up.
            MediaError: the file cannot be read here.
        """
        address = self.address(path)
        try:
            content = path.read_bytes()
        except OSError as error:
            raise MediaError(f"{path} cannot be read ({error.strerror})") from error
        try:
            served = client.read(address)
        except LabelStudioError as error:
            raise LabelStudioError(f"{self._hint(self.there)} ({error})") from error
        if served != content:
            raise LabelStudioError(
                f"Label Studio serves another file at {address} than {path}: is {self.there} its directory for "
                f"{self.here}?"
            )

    def _within(self, path: Path) -> PurePosixPath:
        try:
            return PurePosixPath(path.absolute().relative_to(self.here).as_posix())
        except ValueError:
            raise SettingsError(
                f"{path} is not in {self.here}, from which Label Studio serves files; give --out a directory in it"
            ) from None

    def _hint(self, directory: PurePosixPath) -> str:
        return (
            f"Label Studio does not serve files from {directory}. Start it with "
            "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true and "
            f"LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT={self.there}, and make sure that it can read the directory; or "
            "leave --local-files out, and the frames are uploaded"
        )
