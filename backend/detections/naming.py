"""Which of the videos that a file names is meant."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import PurePosixPath

from backend.errors import PayloadError


def fitting(names: Sequence[str], wanted: Collection[str]) -> list[str]:
    """Those of a file's names of videos that are one of the wanted, by themselves or at the end of a path."""
    return [name for name in names if name in wanted or PurePosixPath(name).name in wanted]


def choose(names: Sequence[str], wanted: str, path: str) -> str:
    """The name of a video in a file: the only one that there is, whatever it is, else the one that is wanted.

    Raises:
        PayloadError: of several names none, or more than one, is; ``path`` says where they stand.
    """
    if len(names) == 1:
        return names[0]
    found = fitting(names, {wanted})
    if len(found) != 1:
        raise PayloadError(
            f"{path}: of its videos ({shown(names)}) {len(found) or 'none'} has the name {wanted!r}", path
        )
    return found[0]


def shown(names: Sequence[str]) -> str:
    """The first few of many names, for a message."""
    return ", ".join(map(repr, names[:5])) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
