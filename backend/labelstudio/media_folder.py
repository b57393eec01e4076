"""Finding a task's media among files on this disk, by their names."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from functools import cached_property
from itertools import takewhile
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from backend.errors import MediaError
from backend.labelstudio.hosts import shown
from backend.labelstudio.media import LOCAL_FILES, UPLOADS

_HASH = re.compile(r"[0-9a-f]{8}-")


class MediaFolder:
    """The files under a directory, links to other directories not followed.

    Label Studio puts eight digits before the name of an upload and changes some of its characters; both are allowed
    for. Where several files have the name, the one whose directories are the task's too is taken.
    """

    def __init__(self, root: Path) -> None:
        """
        Raises:
            MediaError: there is no such directory.
        """
        if not root.is_dir():
            raise MediaError(f"--media {root} is not a directory; name the one that holds the videos or images")
        self.root = root
        self._uploads: dict[Path, str] = {}

    def find(self, value: str) -> Path | None:
        """The file that a task's value means; None where there is none.

        Raises:
            MediaError: several files may be meant, or two uploads may mean one file.
        """
        parts = media_parts(value)
        if not parts:
            return None
        found = self._match(parts)
        if found is None and _is_upload(value) and (name := _HASH.sub("", parts[-1], count=1)) != parts[-1]:
            found = self._match((*parts[:-1], name))
            if found is not None and self._uploads.setdefault(found, value) != value:
                raise MediaError(
                    f"{shown(self._uploads[found])} and {shown(value)} are different uploads, and both may be {found}; "
                    "give files with the names that Label Studio gave them"
                )
        return found

    def _match(self, parts: Sequence[str]) -> Path | None:
        wanted = [plain_name(part) for part in reversed(parts)]
        candidates = [(_common(wanted, self._places(path)), path) for path in self._files.get(wanted[0], ())]
        nearest = [path for common, path in candidates if common == max(candidates)[0]]
        if len(nearest) > 1:
            some = ", ".join(str(path.relative_to(self.root)) for path in nearest[:3])
            raise MediaError(
                f"{parts[-1]} may be any of {len(nearest)} files under {self.root}: {some}; name a directory nearer "
                "to the right one with --media, or lay the files out as Label Studio has them"
            )
        return nearest[0] if nearest else None

    def _places(self, path: Path) -> list[str]:
        return [plain_name(part) for part in reversed(path.relative_to(self.root).parts)]

    @cached_property
    def _files(self) -> dict[str, list[Path]]:
        files: dict[str, list[Path]] = {}
        for directory, _, names in os.walk(self.root):
            for name in names:
                files.setdefault(plain_name(name), []).append(Path(directory, name))
        return {name: sorted(paths) for name, paths in files.items()}


def media_parts(value: str) -> tuple[str, ...]:
    """The directories and the file's name in a task's value: an address of Label Studio or any other, or a path."""
    try:
        parts = urlsplit(value.strip())
    except ValueError:
        return ()
    path = parts.path
    if path.rstrip("/").endswith(LOCAL_FILES):
        path = parse_qs(parts.query).get("d", [""])[0]
    elif parts.scheme or parts.netloc or path.startswith("/data/"):
        path = unquote(path)
    else:
        path = value.strip()  # a file's name may well hold a question mark
    return tuple(part for part in path.replace("\\", "/").split("/") if part not in ("", ".", ".."))


def media_stem(value: str) -> str:
    """The file's name as its owner knew it: without what Label Studio put before an upload's, and the extension."""
    parts = media_parts(value)
    name = parts[-1] if parts else ""
    return Path(_HASH.sub("", name, count=1) if _is_upload(value) else name).stem


def plain_name(name: str) -> str:
    """A name as Label Studio writes it: spaces are underscores, and what is no letter, digit, ``_``, ``-`` or ``.``
    is left out."""
    return re.sub(r"[^-\w.]", "", name.strip().replace(" ", "_"))


def _is_upload(value: str) -> bool:
    return UPLOADS in value


def _common(wanted: Sequence[str], there: Sequence[str]) -> int:
    """How many names agree, from the file's on."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(wanted, there, strict=False)))
