"""Names that are fit for files, whatever the videos are called."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable

_LONGEST = 120  # bytes, which leaves room for a frame's number and an extension


def file_names(titles: Iterable[str], reserved: Collection[str] = ()) -> list[str]:
    """A name for each title, in their order: letters, digits, ``.``, ``-``, ``+`` and ``_``, each name once.

    Names that differ in capitals alone count as the same, since some file systems hold them so; a later one gets a
    number. The same titles always get the same names.

    Args:
        titles: what the videos are called.
        reserved: names that are taken.
    """
    taken = {name.casefold() for name in reserved}
    names = []
    for title in titles:
        plain = name = _plain(title)
        number = 2
        while name.casefold() in taken:
            name = f"{plain}_{number}"
            number += 1
        taken.add(name.casefold())
        names.append(name)
    return names


def _plain(title: str) -> str:
    """Word characters of any script; anything else is an underscore, and no dot or dash leads."""
    text = re.sub(r"[^\w.+-]+", "_", unicodedata.normalize("NFC", title))
    short = text.encode("utf-8")[:_LONGEST].decode("utf-8", errors="ignore")
    return short.strip("._-") or "video"
