"""Decoding ahead of whoever consumes the frames."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from queue import Full, Queue
from threading import Event, Thread

from backend.tracks import ImageArray
from backend.video.frames import FrameSource

Ahead = Callable[[FrameSource, Iterable[int]], Generator[tuple[int, ImageArray], None, None]]
"""Yields ``(index, image)`` of the indices in their order, however they are made ready; see :func:`read_ahead`."""

# How long a thread waits on a full queue before it looks whether it should end.
_POLL_SECONDS = 0.05


def read_ahead(
    reader: FrameSource, indices: Iterable[int], depth: int = 4
) -> Generator[tuple[int, ImageArray], None, None]:
    """Yield ``(index, image)`` of ``indices`` in their order, while a background thread decodes the next ones.

    The thread starts with the first frame asked for and ends with the iterator: when it is exhausted, closed, or
    collected. What the reader raises is raised here, in its place in the order.

    Args:
        depth: decoded images that may wait, 1 or more.
    """
    if depth < 1:
        raise ValueError(f"depth must be 1 or more, not {depth}")
    return _read_ahead(reader, indices, depth)


def _read_ahead(
    reader: FrameSource, indices: Iterable[int], depth: int
) -> Generator[tuple[int, ImageArray], None, None]:
    # The consumer holds one image and the thread another, beside those in the queue.
    queue: Queue[tuple[int, ImageArray] | _End] = Queue(depth)
    stopped = Event()

    def put(item: tuple[int, ImageArray] | _End) -> bool:
        while not stopped.is_set():
            try:
                queue.put(item, timeout=_POLL_SECONDS)
            except Full:
                continue
            return True
        return False

    def decode() -> None:
        try:
            for index in indices:
                if not put((index, reader.frame(index))):
                    return
        except Exception as error:  # noqa: BLE001 - raised again where the frames are consumed
            put(_End(error))
        else:
            put(_End(None))

    thread = Thread(target=decode, name="read-ahead", daemon=True)
    thread.start()
    try:
        while not isinstance(item := queue.get(), _End):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        stopped.set()
        thread.join()


class _End:
    """The last item: what stopped the thread, or None where the frames are through."""

    def __init__(self, error: Exception | None) -> None:
        self.error = error
