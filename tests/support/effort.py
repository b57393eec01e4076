"""Runs of the simulated annotator, made up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from backend.evaluation.effort import Run, Step
from backend.evaluation.effort_results import Effort
from backend.evaluation.effort_sequences import Kind, Rules, SequenceEffort
from backend.evaluation.ways import Mark

Curve = Sequence[tuple[int, float, float]]
"""Interactions, mean IoU, share of the frames."""


def make_run(frames: int, curve: Curve, *, most: int | None = None, propagated: Sequence[int] = ()) -> Run:
    """A step for each point of the curve; those that propagate take half a second a frame."""
    work = list(propagated) or [0] * len(curve)
    steps = tuple(Step(*point, many, many / 2) for point, many in zip(curve, work, strict=True))
    return Run(steps, (Mark(0, (0.0, 0.0, 8.0, 8.0)),), frames, frames if most is None else most)


def quick(frames: int, mean: int, share: int, *, most: int | None = None, full: int = 0) -> Run:
    """Meets the goals after ``mean`` and ``share`` interactions; more than ``most`` is not gone to."""
    last = max(mean, share) if most is None else min(max(mean, share), most)
    curve = [(k, 0.95 if k >= mean else 0.5, 1.0 if k >= share else 0.3) for k in range(1, last + 1)]
    return make_run(frames, curve, most=most, propagated=[full] * last)


def make_sequence(
    name: str, frames: int, *objects: Mapping[str, Run], first_press: float | None = 2.5
) -> SequenceEffort:
    """Its objects are called 1, 2 and so on."""
    return SequenceEffort(name, frames, first_press, {str(number): runs for number, runs in enumerate(objects, 1)})


def make_effort(*sequences: SequenceEffort, by: Kind = "box", missing: Mapping[str, str] | None = None) -> Effort:
    """On the CPU."""
    return Effort(sequences, Rules(by), None, "lite", "mobile_sam", "sam_tokens", "cpu", "sam", "1.2.3", missing or {})


def runs(frames: int, keytrack: int, linear: int, reprompt: int, *, most: int | None = None) -> dict[str, Run]:
    """Each way meets both goals after so many interactions."""
    return {
        "keytrack": quick(frames, keytrack, keytrack, most=most, full=frames - 1),
        "linear": quick(frames, linear, linear, most=most),
        "reprompt": quick(frames, reprompt, reprompt, most=most, full=frames - 1),
    }
