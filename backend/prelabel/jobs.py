"""What is to be done of a video, and what came of it: values that may be sent to another machine."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from backend.errors import KeytrackError, LabelStudioUnreachable
from backend.labelstudio.config import VideoConfig
from backend.prelabel.one_video import TrackedBy
from backend.prelabel.passing import is_passing
from backend.prelabel.pieces import DEFAULT_PIECES, Piece, PieceResult, PieceRules
from backend.prelabel.plan import Left
from backend.prelabel.prediction import Prediction
from backend.prelabel.summary import Summary
from backend.video.frames import Frames


@dataclass(frozen=True)
class Manner:
    """How videos are tracked, all of them alike.

    Attributes:
        model_version: of the models.
        keyframe_iou: how well the interpolated boxes meet the tracked ones.
        pieces: how long ones are split.
        thumbnails: whether there are to be contact sheets.
    """

    model_version: str
    keyframe_iou: float
    pieces: PieceRules = DEFAULT_PIECES
    thumbnails: bool = False


@dataclass(frozen=True, eq=False)
class VideoJob:
    """A video that is to be tracked, with all that there is to know of it.

    Attributes:
        name: by which the run knows it, and nothing else.
        video: a file, or its address as Label Studio has it.
        by: what it is tracked by.
        regions: what the ids of its regions begin with.
        config: the project's.
        frame_rate: the one that Label Studio takes; None is its default, ``own`` the video's own.
        manner: how it is tracked.
    """

    name: str
    video: str | Path
    by: TrackedBy
    regions: str
    config: VideoConfig
    frame_rate: float | Literal["own"] | None
    manner: Manner

    def rate(self, video: Frames) -> float | None:
        """The frame rate that Label Studio takes; None is its default."""
        return video.fps if self.frame_rate == "own" else self.frame_rate

    @property
    def whole(self) -> VideoJob:
        """The video that it is about."""
        return self

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, eq=False)
class PieceJob:
    """One piece of a long video, of so many."""

    whole: VideoJob
    piece: Piece
    of: int

    def __str__(self) -> str:
        return f"{self.whole}, piece {self.piece.number + 1} of {self.of}"


@dataclass(frozen=True, eq=False)
class JoinJob:
    """The pieces of a long video, all of them and in their order, and what they took together."""

    whole: VideoJob
    pieces: tuple[PieceResult, ...]
    seconds: float
    fetching: float

    def __str__(self) -> str:
        return f"{self.whole}, joining"


Job = VideoJob | PieceJob | JoinJob


@dataclass(frozen=True, eq=False)
class Tracked:
    """A video was tracked."""

    prediction: Prediction
    summary: Summary


@dataclass(frozen=True)
class Split:
    """A video turned out to be a long one: these are its pieces."""

    pieces: tuple[Piece, ...]


@dataclass(frozen=True, eq=False)
class PieceTracked:
    """A piece was tracked. ``seconds`` were spent on it, and ``fetching`` on the video before."""

    result: PieceResult
    seconds: float
    fetching: float


@dataclass(frozen=True)
class Failed:
    """Something could not be done.

    Attributes:
        reason: why, in words.
        away: Label Studio could not be reached.
        again: another try may go well.
        fault: where in the program, if that is nobody's mistake but ours.
    """

    reason: str
    away: bool = False
    again: bool = False
    fault: str = ""

    @classmethod
    def of(cls, error: Exception, *, again: bool = False) -> Failed:
        """What an error says. ``again``: nobody has tried again, so that it is worth it if the error may pass."""
        passing = is_passing(error)
        known = isinstance(error, KeytrackError)
        reason = str(error) or type(error).__name__
        return cls(
            reason if known or passing else "an internal error; the log has the details",
            isinstance(error, LabelStudioUnreachable),
            again and passing,
            "" if known else "".join(traceback.format_exception(error)).rstrip(),
        )


@dataclass(frozen=True)
class Lost:
    """Whoever did it is gone: a process was killed, or a machine; ``reason`` says what is known of that."""

    reason: str


Outcome = Tracked | Split | PieceTracked | Left | Failed | Lost
