"""From what a task says to a file, wherever the user said that files are."""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from backend.errors import MediaError, PayloadError
from backend.labelstudio.cut_video import was_cut
from backend.labelstudio.media import MediaLibrary
from backend.labelstudio.media_folder import MediaFolder, media_parts
from backend.labelstudio.project_config import KINDS, Kind, ProjectConfig

WAYS = (
    "give --media DIR, a directory in which the file lies under its name, or --label-studio-url and "
    "--label-studio-token to fetch it"
)


class Media:
    """Looks into a folder first, then asks the library, which may fetch; either may be missing."""

    def __init__(self, folder: MediaFolder | None, library: MediaLibrary | None) -> None:
        self._folder = folder
        self._library = library

    def find(self, value: str) -> Path:
        """The file for a task's value.

        Raises:
            MediaError: there is none, several may be meant, or it cannot be fetched; the message has the ways to
                give it.
        """
        found = None if self._folder is None else self._folder.find(value)
        if found is not None:
            return found
        name = "/".join(media_parts(value)) or repr(value)
        looked = "" if self._folder is None else f" under --media {self._folder.root}"
        if self._library is None:
            raise MediaError(f"{name} was not found{looked}: {WAYS}")
        try:
            return self._library.resolve(value)
        except MediaError as error:
            raise MediaError(f"{name} was not found{looked}, and: {error}") from error


def find_medium(
    data: Mapping[str, Any], kind: Kind, target: str | None, config: ProjectConfig | None, path: str
) -> tuple[str, str | list[str]]:
    """Under which key a task has its video or its images, and the value: one address or path, or a list of them.

    Args:
        data: the task's.
        kind: what is looked for.
        target: the name of the tag that the regions refer to; None where there are no regions.
        config: the labeling configuration; where it does not tell, the value counts that looks like one.
        path: of the data, for messages.

    Raises:
        PayloadError: none, or several that may be it.
    """
    declared = None if config is None else _declared_key(target, config, path)
    key = _likely_key(data, kind, target, path) if declared is None else declared
    value = data.get(key)
    where = f"{path}.{key}"
    if isinstance(value, str) and value.strip():
        return key, value
    if isinstance(value, list) and value and kind == "image":
        for index, item in enumerate(value):
            if not isinstance(item, str) or not item.strip():
                raise PayloadError(
                    f"{where}[{index}]: expected an image's address, found {item!r}", f"{where}[{index}]"
                )
        return key, value
    raise PayloadError(f"{where}: expected the {kind}'s address, found {value!r:.80}", where)


def _declared_key(target: str | None, config: ProjectConfig, path: str) -> str | None:
    """What the configuration says; None where it has several tags, and no region tells which."""
    if target is None:
        return config.media[0].key if len(config.media) == 1 else None
    medium = config.medium(target)
    if medium is None:
        known = ", ".join(repr(medium.name) for medium in config.media) or "none"
        raise PayloadError(
            f"{path}: the regions refer to {target!r}, and the labeling configuration has {known}: is it this "
            "project's?",
            path,
        )
    return medium.key


def _likely_key(data: Mapping[str, Any], kind: Kind, target: str | None, path: str) -> str:
    """The one that is called like the tag, else the only one that looks like it."""
    if target is not None and _addresses(data.get(target)):
        return target
    likely = [key for key, value in data.items() if any(_type(text) == kind for text in _addresses(value))]
    if not likely:
        likely = [key for key, value in data.items() if any("/" in text for text in _addresses(value))]
    if len(likely) == 1:
        return likely[0]
    found = ", ".join(likely or data) or "nothing"
    raise PayloadError(
        f"{path}: which of its values is the {kind}? It has {found}; give the project's --label-config, which says it",
        path,
    )


def likely_kind(data: Mapping[str, Any], config: ProjectConfig | None) -> Kind:
    """What a task without any region is for."""
    if config is not None and len(config.media) == 1:
        return config.media[0].kind
    if was_cut(data):  # it names the video too
        return "image"
    kinds = {_type(text) for value in data.values() for text in _addresses(value)[:1]}
    return next((kind for kind in KINDS if kind in kinds), "video")


def _addresses(value: object) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [item for item in values if isinstance(item, str) and item.strip()]


def _type(address: str) -> str | None:
    name = media_parts(address)[-1:]
    guessed = mimetypes.guess_type(f"x{Path(name[0]).suffix}")[0] if name else None
    return guessed.partition("/")[0] if guessed else None
