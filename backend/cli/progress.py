"""What commands do with progress bars."""

from __future__ import annotations

from typing import NoReturn

from tqdm import tqdm


def advance(bar: tqdm[NoReturn]) -> None:
    """One step on."""
    bar.update()
