"""A long video in pieces, each of which is tracked by itself, wherever there is somebody to do it.

The plan depends on the video alone, so that the result does not depend on how many share the work. Only what nobody
marked is tracked in pieces, given boxes and everything: a prompted object would have to be handed on from piece to
piece, and each piece would wait for the one before it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from backend.association.joining import MEMORY
from backend.errors import SettingsError
from backend.prelabel.finder import Finder
from backend.prelabel.given import Given, GivenDetections, GivenNothing
from backend.service.engine import Tracker
from backend.tracking.labels import Votes
from backend.tracking.learned import Learned
from backend.tracks import FloatArray, Track
from backend.video.frames import Frames
from backend.video.shots import Shots
from backend.video.span import FrameSpan

if TYPE_CHECKING:  # torch is seconds long
    from backend.association.identity import Calibration


@dataclass(frozen=True)
class PieceRules:
    """How a video is split.

    Attributes:
        seconds: how long a piece is, about; 0: no video is split.
        overlap: seconds that two pieces share, unless a cut lies between them.
        slack: the part of a piece by which a border may be away from where it was wanted, to lie at a cut.

    Raises:
        SettingsError: a piece would be longer than what its first objects look like is remembered, or too short for
            what it shares.
    """

    seconds: float = 30.0
    overlap: float = 1.0
    slack: float = 0.15

    def __post_init__(self) -> None:
        if not (self.seconds == 0 or 0 < self.seconds <= MEMORY):
            raise SettingsError(f"pieces of {self.seconds:g} seconds: give at most {MEMORY:g}, or 0 to split nothing")
        if not 0 <= self.overlap <= self.seconds / 4 and self.seconds:
            raise SettingsError(
                f"pieces of {self.seconds:g} seconds cannot share {self.overlap:g}: give from 0 to a quarter of that"
            )
        if not 0 <= self.slack < 0.25:
            raise SettingsError(f"a slack of {self.slack:g} pieces: give from 0 to less than 0.25")


DEFAULT_PIECES = PieceRules()


@dataclass(frozen=True)
class Piece:
    """Consecutive frames of a video.

    Attributes:
        number: from 0, in the order of time.
        frames: those that are tracked, some of them by the next piece as well.
        own: those of them on which this piece counts rather than another one; the pieces' are all of the video's.
        cut: whether it begins a shot, and shares no frame with the piece before it.
    """

    number: int
    frames: range
    own: range
    cut: bool = False


def plan_pieces(video: Frames, rules: PieceRules = DEFAULT_PIECES, given: Given | None = None) -> list[Piece]:
    """Split a video into pieces of about equal length, at cuts where there are any near.

    Reads the frames near the borders only. Of a video that is tracked by detections a piece begins on a frame on which
    a detector looked, so that it has the objects at once. Where there is no such frame near, as with keyframes that
    somebody drew here and there, nothing is split.

    Args:
        video: the frames; where they are less than one and a half pieces, they are one. So they are where they lie too
            far apart in time for two pieces to share any.
        rules: how it is split.
        given: what it is tracked by; by default something that is found wherever a piece begins.

    Raises:
        VideoError: a frame cannot be decoded.
    """
    count = len(video)
    wanted, overlap = rules.seconds * video.fps, round(rules.overlap * video.fps)
    is_one = not wanted or count < 1.5 * wanted or (rules.overlap and not overlap)
    pieces = 1 if is_one else min(round(count / wanted), count)
    looked = _looked(given)
    borders = [_Border(0)]
    if looked is None or looked:
        slack = int(rules.slack * count / pieces)
        for number in range(1, pieces):
            near = round(number * count / pieces)
            cut = _nearest_cut(video, near, slack)
            border = _Border(near, overlap // 2, overlap - overlap // 2) if cut is None else _Border(cut, cut=True)
            borders += [border] if looked is None else border.where(looked, overlap)
    borders.append(_Border(count))
    return [
        Piece(
            number, range(begin.frame - begin.before, end.frame + end.after), range(begin.frame, end.frame), begin.cut
        )
        for number, (begin, end) in enumerate(pairwise(borders))
    ]


@dataclass(frozen=True)
class _Border:
    """A frame on which a piece begins to count, and how many frames on either side both pieces have."""

    frame: int
    before: int = 0
    after: int = 0
    cut: bool = False

    def where(self, looked: Sequence[int], reach: int) -> list[_Border]:
        """The same with the piece beginning where a detector looked, so many frames earlier at most; at a cut nothing
        can begin earlier, and it must look so many frames later at most. None where it looks on no such frame."""
        if self.cut:
            following = bisect_left(looked, self.frame)
            return [self] if following < len(looked) and looked[following] - self.frame <= reach else []
        first = self.frame - self.before
        previous = bisect_right(looked, first) - 1
        if previous < 0 or first - looked[previous] > reach:
            return []
        return [replace(self, before=self.frame - looked[previous])]


def _looked(given: Given | None) -> Sequence[int] | None:
    """The frames on which something is found, ascending; None: on whichever a piece begins. Without any, nothing is
    split: an object that a human marked is found there alone, and is propagated from there on."""
    if given is None or isinstance(given, GivenNothing):
        return None
    if isinstance(given, GivenDetections) and given.rules.complete:
        return sorted(given.detections)
    return ()


def _nearest_cut(video: Frames, near: int, slack: int) -> int | None:
    """The first frame of the shot that begins nearest to a frame, of two the earlier one; None where none is near."""
    shots = Shots(video)
    cuts = [frame for frame in range(near - slack, near + slack + 1) if shots.starts(frame)]
    return min(cuts, key=lambda frame: abs(frame - near), default=None)


@dataclass(frozen=True, eq=False)
class PieceObject:
    """An object of a piece, which may be one of its neighbours' too.

    Attributes:
        track: on the frames of the whole video.
        votes: what its detections said that it is; those of frames that two pieces have count in both.
        seconds: (V,) times in the whole video from which it is known what it looks like, ascending; a few.
        views: (V, D) what it looked like then, each of length 1.
    """

    track: Track
    votes: Votes = field(default_factory=dict)
    seconds: Sequence[float] = ()
    views: FloatArray = field(default_factory=lambda: np.zeros((0, 0), np.float32))


@dataclass(frozen=True, eq=False)
class PieceResult:
    """What was tracked of a piece, and all that joining needs: it may be sent anywhere.

    Attributes:
        piece: the piece.
        fps: the video's frames per second.
        objects: in the order of the frames on which they begin.
        calibration: what similarities of views mean; None where nothing tells objects apart by their looks.
    """

    piece: Piece
    fps: float
    objects: tuple[PieceObject, ...]
    calibration: Calibration | None = None


class PieceTracking:
    """Tracks one piece of a video.

    Args:
        video: all of its frames.
        given: what the whole is tracked by.
        piece: the piece.

    Raises:
        FrameOutOfRange: the video does not have the piece's frames.
    """

    def __init__(self, video: Frames, given: Given, piece: Piece) -> None:
        self._piece = piece
        self._video = FrameSpan(video, piece.frames)
        self._learned = Learned()
        self._finder = Finder(given.within(piece.frames), learned=self._learned)

    def __len__(self) -> int:
        return len(self._video)

    def run(self, tracker: Tracker, cancelled: Callable[[], bool] = lambda: False) -> Iterator[int]:
        """Track; gives each frame of the piece once, as the whole video counts them, when it was dealt with.

        Args:
            tracker: the models.
            cancelled: asked between frames; True ends it, and then there is no result to join.

        Raises:
            FrameOutOfRange: a detection lies beyond the video.
            VideoError: a frame cannot be decoded.
        """
        for frame in self._finder.run(tracker, self._video, cancelled):
            yield self._piece.frames[frame]

    @property
    def result(self) -> PieceResult:
        """What was found; complete when the run is at its end."""
        objects = tuple(self._object(track) for track in self._finder.tracks)
        return PieceResult(self._piece, self._video.fps, objects, self._learned.calibration)

    def _object(self, track: Track) -> PieceObject:
        name, frames = track.object_id, self._piece.frames
        found = {frames[one.frame]: replace(one, frame=frames[one.frame]) for one in track.observations.values()}
        whole, votes = Track(name, found), self._finder.votes(name)
        gallery = self._learned.galleries.get(name)
        if gallery is None or not len(gallery):
            return PieceObject(whole, votes)
        seconds = [frames.start / self._video.fps + second for second in gallery.seconds]
        return PieceObject(whole, votes, seconds, gallery.views.cpu().numpy().astype(np.float32))


def track_piece(tracker: Tracker, video: Frames, given: Given, piece: Piece) -> PieceResult:
    """Track one piece to its end; the arguments and errors are those of :class:`PieceTracking`."""
    work = PieceTracking(video, given, piece)
    for _ in work.run(tracker):
        pass
    return work.result
