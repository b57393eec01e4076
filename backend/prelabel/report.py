"""The report of a run: a directory with a page that a curator skims, its pictures, and the records it is made of."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from filelock import FileLock, Timeout

from backend.errors import OutputError
from backend.export.results import replace_text
from backend.labelstudio.media_folder import media_parts
from backend.prelabel.report_page import Standing, page
from backend.prelabel.report_records import About, Picture, Record, RecordFile, State, plain
from backend.prelabel.summary import Summary

logger = logging.getLogger(__name__)

PAGE, RECORDS, PICTURES, LOCK = "index.html", "records.jsonl", "pictures", ".lock"
# Seconds from one page to the next, and which part of the time writing it may take, since it grows with the run.
EVERY = 15.0
SHARE = 0.02


class Report:
    """Tells of a run while it goes on, and when the same run is started again, of all of it.

    Nothing of a video stays in memory. A report that can no longer be written does not end the run: that is logged, and
    tried again with the next video. Not for several threads at once.

    Args:
        directory: where to; made with its parents.
        about: what the run is of.
        clock: in seconds.
        now: the time of day.

    Raises:
        OutputError: the directory has something else or another run's report, is in use, or cannot be written.
    """

    def __init__(
        self,
        directory: Path,
        about: About,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._directory = directory
        self._about = about
        self._clock = clock
        self._now = now
        self._run = now().strftime("%Y-%m-%dT%H:%M:%SZ")
        self._began = clock()
        self._due = 0.0
        self._waiting = 0
        self._troubled = False
        with ExitStack() as stack:
            self._take(stack)
            self._records = stack.enter_context(RecordFile(directory / RECORDS, about))
            self._write(ended=False)
            self._stack = stack.pop_all()

    def __enter__(self) -> Report:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def expect(self, count: int) -> None:
        """So many videos are to be done in this run."""
        self._waiting = count

    def tracked(self, name: str, video: str, summary: Summary, link: str = "") -> None:
        """A video was tracked.

        Args:
            name: by which the run knows it.
            video: its file, or its address, of which nothing but the file's name is kept: it may hold a key.
            summary: what came of it; its thumbnails are written at once.
            link: to the task in Label Studio.
        """
        pictures = tuple(self._pictures(name, summary))
        self._add(name, video, "tracked", link, summary=summary, pictures=pictures)

    def left(self, name: str, video: str, reason: str, link: str = "") -> None:
        """A video was left as it is; what an earlier run tracked of it still holds. See :meth:`tracked`."""
        self._add(name, video, "left", link, reason=reason)

    def failed(self, name: str, video: str, reason: str, link: str = "") -> None:
        """A video could not be done. See :meth:`tracked`."""
        self._add(name, video, "failed", link, reason=reason)

    def close(self) -> None:
        """Write the page a last time. To be called once; nothing can be told after it."""
        with self._stack, self._trouble():
            self._records.flush()
            self._write(ended=True)
            self._tidy()

    @property
    def page(self) -> Path:
        """The file to open."""
        return self._directory / PAGE

    def _take(self, stack: ExitStack) -> None:
        """Make the directory, and have it for ourselves."""
        directory = self._directory
        try:
            (directory / PICTURES).mkdir(parents=True, exist_ok=True)
            stack.enter_context(FileLock(directory / LOCK, timeout=0))
        except Timeout:
            raise OutputError(f"{directory} has the report of a run that goes on; give another directory") from None
        except OSError as error:
            raise OutputError(f"{directory} cannot be written ({error.strerror}); give another directory") from error
        if self.page.exists() and not (directory / RECORDS).exists():
            raise OutputError(f"{directory} has a page that is no report ({PAGE}); give another directory")

    def _add(self, name: str, video: str, state: State, link: str, **further: Any) -> None:
        self._waiting = max(self._waiting - 1, 0)
        elapsed = round(self._clock() - self._began, 1)
        if not link.startswith(("http://", "https://")):
            link = ""
        with self._trouble():
            self._records.add(Record(name, _file_name(video), state, self._run, elapsed, link=link, **further))
            if self._clock() >= self._due:
                self._write(ended=False)

    def _pictures(self, name: str, summary: Summary) -> Iterator[Picture]:
        # Videos of a folder may have any name, and two may have the same but for what a file cannot be called.
        known = hashlib.sha256(plain(name).encode()).hexdigest()[:16]
        for one in summary.thumbnails:
            file = f"{PICTURES}/{known}-{one.frame}.jpg"
            with self._trouble():
                (self._directory / file).write_bytes(one.jpeg)
                yield Picture(one.frame, one.doubt, file)

    def _write(self, *, ended: bool) -> None:
        began = self._clock()
        standing = Standing(self._now().strftime("%Y-%m-%d %H:%M"), ended, self._waiting)
        replace_text(self.page, plain(page(self._about, self._records.read().values(), standing)))
        took = self._clock() - began
        self._due = self._clock() + max(EVERY, took / SHARE)

    def _tidy(self) -> None:
        """Remove the pictures of what was tracked anew since."""
        used = {picture.file for record in self._records.read().values() for picture in record.pictures}
        for path in (self._directory / PICTURES).glob("*.jpg"):
            if f"{PICTURES}/{path.name}" not in used:
                path.unlink(missing_ok=True)

    @contextmanager
    def _trouble(self) -> Iterator[None]:
        """Log that something cannot be written, once."""
        try:
            yield
        except (OutputError, OSError) as error:
            if not self._troubled:
                logger.warning("the report is not complete: %s", error)
            self._troubled = True


def _file_name(video: str) -> str:
    return next(reversed(media_parts(video)), "")
