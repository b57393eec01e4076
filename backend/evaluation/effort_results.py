"""Effort in numbers: keyframes per object per 100 frames, the compute, and curves."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import fmean, median

import numpy as np

from backend.evaluation.effort import GOALS, TARGET_IOU, TARGET_SHARE, Goal, Run
from backend.evaluation.effort_sequences import KEYTRACK, LINEAR, WAYS, Rules, SequenceEffort

Runs = Mapping[str, Run]
"""One object's, by way."""


@dataclass(frozen=True, eq=False)
class Effort:
    """What was measured, and how.

    Attributes:
        sequences: those that are complete, at least one.
        rules: of the robot.
        limit: of the frames of a sequence, if there was one.
        profile, segmenter, propagator, device, embedder, version: of the tracker.
        missing: sequences that were to be measured and were not, with the reason.
    """

    sequences: Sequence[SequenceEffort]
    rules: Rules
    limit: int | None
    profile: str
    segmenter: str
    propagator: str
    device: str
    embedder: str
    version: str
    missing: Mapping[str, str] = field(default_factory=dict)

    @property
    def objects(self) -> list[Runs]:
        """Those of all sequences."""
        return [runs for sequence in self.sequences for runs in sequence.objects.values()]


@dataclass(frozen=True)
class Figures:
    """Keyframes per object per 100 frames until a goal is met, by way: the mean over objects.

    An object that did not meet it counts with the cap; ``reached`` says whether all met it.
    """

    keyframes: Mapping[str, float]
    reached: Mapping[str, bool]

    @property
    def ratio_to_linear(self) -> float:
        """How many times as many keyframes linear interpolation takes: linear / keytrack."""
        return self.keyframes[LINEAR] / self.keyframes[KEYTRACK]


def figures(objects: Iterable[Runs], goal: Goal) -> Figures:
    """The figures of some objects, at least one."""
    given = list(objects)
    return Figures(
        {way: fmean(100 * runs[way].interactions(goal) / runs[way].frames for runs in given) for way in WAYS},
        {way: all(runs[way].reached(goal) is not None for runs in given) for way in WAYS},
    )


@dataclass(frozen=True)
class Correction:
    """What a correction costs, as a share of a full pass of the same object: the median over corrections.

    A full pass is what the first mark alone costs, with all frames encoded before. ``frames`` compares the frames that
    the tracker went through, ``seconds`` the time. None where there was no correction, or the first press was refused.
    """

    frames: float | None
    seconds: float | None


def correction(runs: Iterable[Run]) -> Correction:
    """What the corrections of some runs cost."""
    frames, seconds = [], []
    for run in runs:
        full, *corrections = run.steps
        if full.propagated:
            frames += [step.propagated / full.propagated for step in corrections]
            seconds += [step.seconds / full.seconds for step in corrections]
    return Correction(median(frames), median(seconds)) if frames else Correction(None, None)


@dataclass(frozen=True, eq=False)
class Curve:
    """IoU against interactions.

    Attributes:
        x: interactions, or keyframes per 100 frames.
        y: mean IoU.
        reached: ``x`` at which the mean IoU meets the target; None where it does not.
    """

    x: tuple[float, ...]
    y: tuple[float, ...]
    reached: float | None


def sequence_curve(objects: Iterable[Run]) -> Curve:
    """The mean over the objects of a sequence, by interactions per object."""
    return _mean_curve(list(objects), per_frames=False)


def mean_curve(objects: Iterable[Run]) -> Curve:
    """The mean over objects, by keyframes per 100 frames. ``reached`` is the objects' mean, the figure of merit."""
    return _mean_curve(list(objects), per_frames=True)


def _mean_curve(runs: Sequence[Run], *, per_frames: bool) -> Curve:
    """Straight lines between the steps of each run; one that has ended stays as good as it was then."""
    scales = [100 / run.frames if per_frames else 1.0 for run in runs]
    xs = [[scale * step.interactions for step in run.steps] for run, scale in zip(runs, scales, strict=True)]
    start = max(own[0] for own in xs)
    grid = np.unique([start, *(x for own in xs for x in own if x >= start)])
    ys = [np.interp(grid, own, [step.iou for step in run.steps]) for run, own in zip(runs, xs, strict=True)]
    reached = [
        None if (found := run.reached("mean")) is None else scale * found
        for run, scale in zip(runs, scales, strict=True)
    ]
    met = [x for x in reached if x is not None]
    return Curve(
        tuple(grid.tolist()),
        tuple(np.mean(ys, axis=0).tolist()),
        fmean(met) if len(met) == len(reached) else None,
    )


def to_json(effort: Effort) -> dict[str, object]:
    """What ``results.json`` holds.

    ``mean`` and each of ``sequences`` have the keyframes per object per 100 frames until the mean IoU is at least 0.9,
    by way, and ``ratio_to_linear``, which is linear / keytrack; under ``frames_above`` the same for 90 % of the frames
    above 0.9; under ``reached`` whether every object got there, since one that did not counts with its cap; and under
    ``correction`` what a correction costs as a share of a full pass. A sequence's ``objects`` have every run: ``curve``
    is a list of ``[interactions, mean IoU, share of frames above]``, with the frames ``propagated`` and the ``seconds``
    of each of its steps, and ``marked`` are the frames that were marked in the end.
    """
    return {
        "mean": _figures_json(effort.objects),
        "sequences": {
            sequence.name: {
                **_figures_json(list(sequence.objects.values())),
                "frames": sequence.frames,
                "first_press_seconds": None if sequence.first_press is None else round(sequence.first_press, 3),
                "objects": {
                    name: {way: _run_json(run) for way, run in runs.items()} for name, runs in sequence.objects.items()
                },
            }
            for sequence in effort.sequences
        },
        **asdict(effort.rules),
        "limit": effort.limit,
        "target_iou": TARGET_IOU,
        "target_share": TARGET_SHARE,
        "profile": effort.profile,
        "segmenter": effort.segmenter,
        "propagator": effort.propagator,
        "device": effort.device,
        "embedder": effort.embedder,
        "version": effort.version,
        "missing": dict(effort.missing),
    }


def as_json(effort: Effort) -> str:
    """``results.json`` as text; see :func:`to_json`."""
    return json.dumps(to_json(effort), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _figures_json(objects: Sequence[Runs]) -> dict[str, object]:
    mean, share = (_goal_json(objects, goal) for goal in GOALS)
    costs = {way: correction(runs[way] for runs in objects) for way in WAYS if way != LINEAR}
    return {
        **mean,
        "frames_above": share,
        "correction": {
            way: {name: None if part is None else round(part, 4) for name, part in asdict(cost).items()}
            for way, cost in costs.items()
        },
    }


def _goal_json(objects: Sequence[Runs], goal: Goal) -> dict[str, object]:
    found = figures(objects, goal)
    rounded = {way: round(number, 4) for way, number in found.keyframes.items()}
    return {**rounded, "ratio_to_linear": round(found.ratio_to_linear, 4), "reached": dict(found.reached)}


def _run_json(run: Run) -> dict[str, object]:
    return {
        "frames": run.frames,
        "keyframes": {goal: run.interactions(goal) for goal in GOALS},
        "reached": {goal: run.reached(goal) is not None for goal in GOALS},
        "most": run.most,
        "refused": run.refused,
        "marked": [mark.frame for mark in run.marks],
        "curve": [[step.interactions, round(step.iou, 4), round(step.share, 4)] for step in run.steps],
        "propagated": [step.propagated for step in run.steps],
        "seconds": [round(step.seconds, 3) for step in run.steps],
    }
