"""When a track of the interactive video protocol ends by itself."""

from __future__ import annotations

from backend.service.video_sessions import Limits
from backend.tracks import Mask, Observation


class Course:
    """One object's track in one direction: it ends where the object is lost, or where its mask takes in the frame.

    Between two frames that a human has marked an object is followed in any case.
    """

    def __init__(self, last_marked: int, step: int, limits: Limits) -> None:
        """
        Args:
            last_marked: the last frame, in the direction, on which the object was marked.
            step: 1 forwards, -1 backwards.
            limits: which say when it is lost.
        """
        self._step = step
        self._limits = limits
        self._open = last_marked + step
        self._next = self._open
        self._lost: dict[int, bool] = {}
        self._row = 0
        self._end: int | None = None

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self._end is not None

    def see(self, one: Observation) -> tuple[bool, Mask | None]:
        """Whether an observation is to be told, and its mask: None where the object is not there."""
        limits = self._limits
        mask = one.mask if one.mask is not None and one.mask.area and one.score >= limits.least_score else None
        if one.human or not self._ahead(one.frame, self._open):
            return True, mask
        if mask is not None and mask.area > limits.foreground * mask.size[0] * mask.size[1]:
            mask = None
            self._finish(one.frame)
        elif self._ahead(one.frame, self._next):
            self._lost[one.frame] = mask is None
            self._advance()
        return self._end is None or not self._ahead(one.frame, self._end), mask

    def _advance(self) -> None:
        """Results may come late; what counts is a row of frames without a gap."""
        while self._next in self._lost:
            self._row = self._row + 1 if self._lost.pop(self._next) else 0
            if self._row >= self._limits.lost_frames:
                self._finish(self._next)
            self._next += self._step

    def _finish(self, frame: int) -> None:
        if self._end is None or self._ahead(self._end, frame):
            self._end = frame

    def _ahead(self, frame: int, of: int) -> bool:
        """Whether a frame is not before another, in the direction."""
        return (frame - of) * self._step >= 0
