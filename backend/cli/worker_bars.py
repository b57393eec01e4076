"""How far a run over many videos is: a bar for all of it, and a line for each worker."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable
from typing import NoReturn

from tqdm import tqdm

# Seconds from one line to the next where nobody looks at a terminal.
EVERY = 30.0
# Characters of what a worker does; of a long name the end tells more.
_LONGEST = 40
_PART = re.compile(r", (?:piece [0-9]+ of ([0-9]+)|joining)$")
_ALL = "{desc}: {percentage:3.0f}%|{bar}| {n:.2f}/{total} [{elapsed}<{remaining}]"
_ONE = "{desc} |{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}, {rate_fmt}]"
_IDLE = "{desc}"


class WorkerBars:
    """First it counts what is listed. Then it tells how much of the videos is done, their frames among that, and how
    long the rest takes; and of each worker what it is at.

    Where the standard error is no terminal there is a plain line instead, now and then. Not for several threads.

    Args:
        what: a video is called.
        clock: in seconds.
    """

    def __init__(self, what: str = "task", *, clock: Callable[[], float] = time.monotonic) -> None:
        self._what = what
        self._clock = clock
        self._drawn = sys.stderr.isatty()
        self._bar: tqdm[NoReturn] = tqdm(desc="listing", unit=what, disable=not self._drawn, position=0)
        self._workers: dict[int, tqdm[NoReturn]] = {}
        self._at: dict[int, str] = {}
        self._total = 0
        self._settled = 0
        self._left_out = 0
        self._parts: dict[str, float] = {}
        self._over: set[str] = set()
        self._began = self._said = clock()

    def __enter__(self) -> WorkerBars:
        return self

    def __exit__(self, *_: object) -> None:
        for bar in self._workers.values():
            bar.close()
        self._bar.close()

    def listed(self) -> None:
        """One video more."""
        self._bar.update()

    def begin(self, count: int) -> None:
        """So many videos are to be done."""
        self._total = count
        self._began = self._said = self._clock()
        self._bar.bar_format = _ALL
        self._bar.set_description_str(f"{self._what}s", refresh=False)
        # The mean over all of it: single videos differ much.
        self._bar.smoothing = 0
        self._bar.reset(total=count)

    def work(self, worker: int, name: str, done: int, steps: int) -> None:
        """A worker, by its number from 0, has done so many steps of ``name``: of a video, of a piece of one, or of
        joining the pieces. A video that failed is done, whatever goes on of its other pieces."""
        if self._over.isdisjoint((name, _PART.sub("", name))):
            self._parts[name] = done / max(steps, 1) * _share(name)
        bar = self._line(worker)
        if self._at.get(worker) != name:
            self._at[worker] = name
            bar.bar_format = _ONE
            bar.set_description_str(f"worker {worker + 1}: {_short(name)}", refresh=False)
            bar.reset(total=steps)
        bar.update(done - bar.n)
        self._count()
        self._tell()

    def rest(self, worker: int, why: str) -> None:
        """A worker does nothing, since it is ``starting``, or ``died``; "" says that there is nothing to do."""
        self._at.pop(worker, None)
        bar = self._line(worker)
        bar.bar_format = _IDLE
        bar.set_description_str(f"worker {worker + 1}: {why or 'idle'}")
        if why == "died":
            self._tell(f"worker {worker + 1} died", now=True)

    def say(self, line: str) -> None:
        """A line above the bars."""
        self._bar.write(line)

    def done(self, name: str, *, tracked: bool) -> None:
        """A video is done; one that is left does not count, or the rest would seem as quick."""
        self._parts = {part: share for part, share in self._parts.items() if not _is_of(part, name)}
        self._at = {worker: part for worker, part in self._at.items() if not _is_of(part, name)}
        self._over.add(name)
        if tracked:
            self._settled += 1
        else:
            self._left_out += 1
            self._bar.total = self._total - self._left_out
        self._count()
        self._bar.refresh()
        self._tell()

    def refresh(self) -> None:
        """Draw all as it is now."""
        for bar in (self._bar, *self._workers.values()):
            bar.refresh()

    def _count(self) -> None:
        self._bar.update(self._settled + sum(self._parts.values()) - self._bar.n)

    def _line(self, worker: int) -> tqdm[NoReturn]:
        if worker not in self._workers:
            self._workers[worker] = tqdm(
                desc=f"worker {worker + 1}",
                bar_format=_IDLE,
                unit="frame",
                disable=not self._drawn,
                position=worker + 1,
                leave=False,
            )
        return self._workers[worker]

    def _tell(self, also: str = "", *, now: bool = False) -> None:
        """A plain line, where nothing is drawn and it is time for one."""
        if self._drawn or (self._clock() - self._said < EVERY and not now):
            return
        self._said = self._clock()
        ended = self._settled + self._left_out
        parts = [f"{ended} of {self._total} {self._what}s", *filter(None, [self._left(), also])]
        parts += [f"worker {worker + 1} at {_short(name)}" for worker, name in sorted(self._at.items())]
        print(", ".join(parts), file=sys.stderr, flush=True)

    def _left(self) -> str:
        """How long the rest takes at the pace of what is done; "" before anything is."""
        ahead = self._settled + sum(self._parts.values())
        if ahead <= 0:
            return ""
        rest = (self._clock() - self._began) / ahead * max(self._total - self._left_out - ahead, 0.0)
        return f"about {tqdm.format_interval(rest)} left"


def _is_of(part: str, video: str) -> bool:
    """Whether what a worker does is a video or a piece of it."""
    return part == video or part.startswith(f"{video}, ")


def _share(job: str) -> float:
    """Which part of its video a job is; joining is none, since the pieces are all of it."""
    part = _PART.search(job)
    if part is None:
        return 1.0
    return 1 / int(part[1]) if part[1] else 0.0


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else f"…{name[1 - _LONGEST :]}"
