"""A video that is at the service and has to be at a worker: by its path where that is enough, else by its bytes."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import threading
from collections import Counter, OrderedDict
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from backend.errors import VideoError
from backend.service.albums import Album
from backend.service.readers import Readers
from backend.video.frames import FileState, Frames, file_state
from backend.video.images import ImageSequence
from backend.video.reader import VideoReader

PIECE_BYTES = 8 << 20
KEPT_ALBUMS = 8
_PREFIX = "keytrack-worker-"


@dataclass(frozen=True)
class Footage:
    """What a video's frames lie in, as the service has it.

    Attributes:
        identity: the video's, at the service.
        files: the video's file, or those pictures that were fetched so far, by position: place, time of change, size.
        pictures: how many there are; None of a video.
        fps: of the pictures.
    """

    identity: Hashable
    files: Mapping[int, FileState]
    pictures: int | None = None
    fps: float = 0.0


def footage_of(video: Frames) -> Footage:
    """Where a video lies.

    Raises:
        VideoError: a file is gone.
    """
    identity = video.identity()
    if isinstance(video, Album):
        paths = video.located()
        return Footage(identity, {index: _state(path) for index, path in paths.items()}, len(video), video.fps)
    if isinstance(video, ImageSequence):
        return Footage(identity, dict(enumerate(map(_state, video.images))), len(video), video.fps)
    return Footage(identity, {0: _state(video.path)})


def _state(path: Path) -> FileState:
    try:
        return file_state(path)
    except OSError as error:
        raise VideoError(f"{path} is gone: {error.strerror}; put it back and track again") from error


def pieces(state: FileState) -> Iterator[tuple[int, bytes]]:
    """A file's bytes, and where in it they are.

    Raises:
        VideoError: it cannot be read, or is not as long as it was.
    """
    at = 0
    try:
        with open(state[0], "rb") as file:
            while at < state[2] and (piece := file.read(min(PIECE_BYTES, state[2] - at))):
                yield at, piece
                at += len(piece)
    except OSError as error:
        raise VideoError(f"{state[0]} cannot be read: {error.strerror}") from error
    if at < state[2]:
        raise VideoError(f"{state[0]} has changed while it was sent to a worker; track again")


class MediaFolder:
    """Files that were sent, up to a number of bytes; those that are not in use make room. It is a worker's own, and is
    removed with it: by the next worker on the machine where this one is killed.

    Args:
        limit: in bytes. A file that is larger is taken all the same, as the only one that is not in use, and so are the
            pictures of a task that are larger together.
        root: where it is made; by default where the system keeps temporary files.
    """

    def __init__(self, limit: int, root: Path | None = None) -> None:
        parent = root or Path(tempfile.gettempdir())
        _sweep(parent)
        self._path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
        self._held = FileLock(self._path.with_suffix(".lock"), timeout=0)
        self._held.acquire()
        self._limit = limit
        self._sizes: OrderedDict[Path, int] = OrderedDict()  # the longest unused first
        self._uses: Counter[Path] = Counter()
        self._expected: frozenset[Path] = frozenset()
        self._lock = threading.Lock()

    def find(self, state: FileState) -> Path | None:
        """Where a file is here: at its own place, if that has the very same, or where it was put; None: nowhere. It is
        about to be used: others make room before it does."""
        with suppress(OSError):
            here = Path(state[0]).stat()
            if (here.st_mtime_ns, here.st_size) == state[1:]:
                with open(state[0], "rb"):
                    return Path(state[0])
        path = self._place(state)
        with self._lock:
            if path not in self._sizes:
                return None
            self._sizes.move_to_end(path)
            return path

    def expect(self, states: Collection[FileState]) -> None:
        """Files that are about to be used together, once those of them that are not here were put: they make no room
        for one another, until others are expected."""
        with self._lock:
            self._expected = frozenset(map(self._place, states))

    def put(self, state: FileState, piece: bytes, at: int) -> list[Path]:
        """Take in a piece of a file, which is there with the last one; those files that made room for it.

        Args:
            state: the file.
            piece: of it.
            at: where it begins; the pieces come in their order.

        Raises:
            VideoError: it cannot be kept: the disk is full, for one.
        """
        gone = [] if at else self._make_room(state[2])
        path = self._place(state)
        part = path.with_suffix(path.suffix + ".part")
        try:
            with open(part, "ab" if at else "wb") as file:
                file.write(piece)
                size = file.tell()
            if size == state[2]:
                part.replace(path)
                with self._lock:
                    self._sizes[path] = size
        except OSError as error:
            part.unlink(missing_ok=True)
            raise VideoError(f"a worker cannot keep {state[0]}: {error.strerror}; make room on its disk") from error
        return gone

    @contextmanager
    def use(self, paths: Sequence[Path]) -> Iterator[None]:
        """Keep files meanwhile."""
        with self._lock:
            self._uses.update(paths)
            for path in self._sizes.keys() & set(paths):
                self._sizes.move_to_end(path)
        try:
            yield
        finally:
            with self._lock:
                self._uses.subtract(paths)
                self._uses = +self._uses

    def close(self) -> None:
        """Remove it."""
        shutil.rmtree(self._path, ignore_errors=True)
        self._held.release()
        Path(self._held.lock_file).unlink(missing_ok=True)

    def _place(self, state: FileState) -> Path:
        name = hashlib.sha256(repr(state).encode("utf-8", "surrogatepass")).hexdigest()[:32]
        return self._path / (name + Path(state[0]).suffix)

    def _make_room(self, size: int) -> list[Path]:
        gone = []
        with self._lock:
            for path in [path for path in self._sizes if path not in self._uses and path not in self._expected]:
                if sum(self._sizes.values()) + size <= self._limit:
                    break
                del self._sizes[path]
                path.unlink(missing_ok=True)
                gone.append(path)
        return gone


def _sweep(parent: Path) -> None:
    """Remove the folders of workers that are gone: nobody holds their locks."""
    for path in parent.glob(f"{_PREFIX}*.lock"):
        with suppress(OSError, Timeout), FileLock(path, timeout=0):
            shutil.rmtree(path.with_suffix(""), ignore_errors=True)
            path.unlink(missing_ok=True)


class Videos:
    """The videos that a worker has.

    Args:
        folder: keeps what is sent.
    """

    def __init__(self, folder: MediaFolder) -> None:
        self._folder = folder
        self._readers = Readers()
        self._albums: OrderedDict[Hashable, tuple[Album, dict[int, Path]]] = OrderedDict()
        self._identities: OrderedDict[Hashable, Hashable] = OrderedDict()
        self._lock = threading.Lock()

    def expect(self, footage: Footage) -> list[int]:
        """The same as ``wanting``, of a video that is opened next."""
        self._folder.expect(footage.files.values())
        return self.wanting(footage)

    def wanting(self, footage: Footage) -> list[int]:
        """The positions of files that have to be sent."""
        return [position for position, state in footage.files.items() if self._folder.find(state) is None]

    def put(self, state: FileState, piece: bytes, at: int) -> None:
        """See :meth:`MediaFolder.put`."""
        for path in self._folder.put(state, piece, at):
            self._readers.drop(path)

    def identity(self, footage: Footage) -> Hashable | None:
        """What tells a video from others here; None of one that was never opened here."""
        with self._lock:
            return self._identities.get(footage.identity)

    @contextmanager
    def open(self, footage: Footage) -> Iterator[Frames]:
        """A video's frames, for the caller alone.

        Raises:
            VideoError: they cannot be read, or a file was not sent.
        """
        paths = {position: self._path(state) for position, state in footage.files.items()}
        with self._folder.use(list(paths.values())):
            if footage.pictures is not None:
                yield self._noted(footage, self._album(footage, paths))
            else:
                with self._readers.lease(paths[0]) as video:
                    yield self._noted(footage, video)

    def forget(self, identity: Hashable) -> Hashable | None:
        """Close a video, by its identity at the service; gives the one that it has here."""
        with self._lock:
            self._albums.pop(identity, None)
            return self._identities.pop(identity, None)

    def _noted(self, footage: Footage, video: VideoReader | Album) -> Frames:
        with self._lock:
            self._identities[footage.identity] = video.identity()
            self._identities.move_to_end(footage.identity)
            while len(self._identities) > 1000:
                self._identities.popitem(last=False)
        return video

    def _path(self, state: FileState) -> Path:
        path = self._folder.find(state)
        if path is None:
            raise VideoError(f"{state[0]} was not sent to the worker, or has changed meanwhile; track again")
        return path

    def _album(self, footage: Footage, paths: Mapping[int, Path]) -> Album:
        with self._lock:
            known = self._albums.get(footage.identity)
            if known is None or any(known[1].get(index, path) != path for index, path in paths.items()):
                known = _album(footage, dict(paths))
            known[1].update(paths)
            self._albums[footage.identity] = known
            self._albums.move_to_end(footage.identity)
            while len(self._albums) > KEPT_ALBUMS:
                self._albums.popitem(last=False)
            return known[0]


def _album(footage: Footage, paths: dict[int, Path]) -> tuple[Album, dict[int, Path]]:
    def find(address: str) -> Path:
        if int(address) not in paths:
            raise VideoError(f"picture {int(address) + 1} was not sent to the worker; track again")
        return paths[int(address)]

    return Album([str(index) for index in range(footage.pictures or 0)], find, min(paths), footage.fps), paths
