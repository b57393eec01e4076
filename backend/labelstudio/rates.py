"""By which frame rate Label Studio counted when a video was labelled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from backend.labelstudio.results import VideoRegion
from backend.labelstudio.tags import parse_number
from backend.video.clock import DEFAULT_FRAME_RATE

RATE_KEYS = ("fps", "frame_rate", "framerate")
"""Under which tasks usually keep a frame rate, in lower case."""

USUAL_RATES = (25.0, 30.0, 30000 / 1001, 24000 / 1001, 50.0, 60.0, 60000 / 1001, 10.0, 12.0, 12.5, 15.0, 20.0)

# Durations are written with fewer digits than they have.
_ROUNDING = 1e-3
# 23.976 is called 24, and 29.97 is called 30.
_NEAR = 2e-3


@dataclass(frozen=True)
class RateEvidence:
    """What regions say of the frame rate: ``frame_count`` is the rounded product of rate and ``duration``.

    So every rate between ``lowest`` and ``highest`` may be the one: the longer the video, the fewer.
    """

    frame_count: float
    duration: float

    @classmethod
    def of(cls, regions: Iterable[VideoRegion]) -> RateEvidence | None:
        """What most of the regions say; None where none says anything."""
        found = Counter(
            (region.frame_count, region.duration)
            for region in regions
            if region.frame_count and region.duration and region.frame_count >= 1 and region.duration > 0
        )
        if not found:
            return None
        ((frame_count, duration), _), *_ = found.most_common(1)
        return cls(frame_count or 0.0, duration or 0.0)

    @property
    def rate(self) -> float:
        """The middle of the range."""
        return self.frame_count / self.duration

    @property
    def lowest(self) -> float:
        """The lower end of the range."""
        return (self.frame_count - 0.5) / (self.duration + _ROUNDING)

    @property
    def highest(self) -> float:
        """The upper end of the range."""
        return (self.frame_count + 0.5) / max(self.duration - _ROUNDING, _ROUNDING)

    def allows(self, rate: float) -> bool:
        """Whether a rate may be the one."""
        return self.lowest <= rate <= self.highest


@dataclass(frozen=True)
class ChosenRate:
    """A frame rate, and a sentence for the user where it may be the wrong one."""

    rate: float
    warning: str | None = None


def check_declared(rate: float, evidence: RateEvidence | None) -> ChosenRate:
    """The rate that somebody declared, which is by which Label Studio draws now, whatever it was before."""
    if evidence is None or evidence.allows(rate):
        return ChosenRate(rate)
    return ChosenRate(
        rate,
        f"the frame rate is said to be {rate:g}, but the regions were drawn at {evidence.rate:.6g} "
        f"({evidence.frame_count:g} frames in {evidence.duration:g} s); boxes are placed as Label Studio shows them at "
        f"{rate:g}. If they were right at the other rate, give --frame-rate",
    )


def guess_rate(evidence: RateEvidence | None, data: Mapping[str, Any], own: float) -> ChosenRate:
    """The rate where no labeling configuration says it.

    Regions say it nearly. Of the rates that agree with them the first counts of: the one in the task's data, the
    video's own, Label Studio's default, and those that are usual. Without a region that says anything it is the one in
    the task's data, else Label Studio's default.

    Args:
        evidence: what the regions say.
        data: the task's.
        own: the video's average frame rate.
    """
    written = [parse_number(value) for key, value in data.items() if key.lower() in RATE_KEYS]
    told = [rate for rate in written if rate is not None and rate > 0]
    if evidence is not None:
        rates = (*told, own, DEFAULT_FRAME_RATE, *USUAL_RATES)
        agreeing = next((rate for rate in rates if evidence.allows(rate)), None)
        return ChosenRate(evidence.rate if agreeing is None else agreeing)
    rate, source = (told[0], "the task's") if told else (DEFAULT_FRAME_RATE, "Label Studio's default")
    if abs(own / rate - 1) < _NEAR:
        return ChosenRate(rate)
    return ChosenRate(
        rate,
        f"nothing says by which frame rate it was labelled: {rate:g}, {source}, is taken, while the video has "
        f"{own:.6g}. Give --label-config or --frame-rate",
    )
