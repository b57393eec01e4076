"""A progress bar over tasks that are videos."""

from __future__ import annotations

from typing import NoReturn

from tqdm import tqdm


class TaskBar:
    """One bar for all: first it counts what is listed, then it tells how much of the tasks is done, their frames among
    that, and how long the rest takes."""

    def __init__(self) -> None:
        self._bar: tqdm[NoReturn] = tqdm(desc="listing", unit="task", disable=None)
        self._total = 0
        self._part = 0.0

    def __enter__(self) -> TaskBar:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def listed(self) -> None:
        """One task more."""
        self._bar.update()

    def begin(self, count: int) -> None:
        """So many tasks are to be done."""
        self._bar.bar_format = "{desc}: {percentage:3.0f}%|{bar}| {n:.2f}/{total} [{elapsed}<{remaining}{postfix}]"
        self._bar.set_description_str("tasks", refresh=False)
        # The mean over all of it: single tasks differ much.
        self._bar.smoothing = 0
        self._total = count
        self._bar.reset(total=count)

    def advance(self, frames: int) -> None:
        """A frame of a video of so many was dealt with."""
        part = min(1.0 / frames, 1.0 - self._part)  # what is written at the end counts as frames too
        self._part += part
        self._bar.set_postfix_str(f"{self._part:.0%} of {frames} frames", refresh=False)
        self._bar.update(part)

    def refresh(self) -> None:
        """Draw it as it is now."""
        self._bar.refresh()

    def say(self, line: str) -> None:
        """A line above the bar."""
        self._bar.write(line)

    def done(self, *, tracked: bool) -> None:
        """A task is done; one that is left does not count, or the rest would seem as quick."""
        self._bar.set_postfix_str("", refresh=False)
        if tracked:
            self._bar.update(1.0 - self._part)
        else:
            self._total -= 1
            self._bar.total = self._total
            self._bar.update(-self._part)
        self._part = 0.0
        self._bar.refresh()
