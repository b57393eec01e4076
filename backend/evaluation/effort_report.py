"""What the plot and the page of a report on effort have in common: names, colours, sentences, curves."""

from __future__ import annotations

import math
from dataclasses import dataclass

from backend.evaluation.effort import GOALS, TARGET_IOU, TARGET_SHARE, Goal
from backend.evaluation.effort_results import Curve, Effort, Figures, figures, mean_curve, sequence_curve
from backend.evaluation.effort_sequences import KEYTRACK, LINEAR, REPROMPT, WAYS, SequenceEffort


@dataclass(frozen=True)
class Look:
    """How a way of annotating is shown; colours after Okabe and Ito, which colour-blind people tell apart.

    ``dark`` is the colour on a dark ground.
    """

    name: str
    short: str
    light: str
    dark: str


LOOKS = {
    KEYTRACK: Look("Keytrack", "Keytrack", "#0072B2", "#5CB8F0"),
    LINEAR: Look("Linear interpolation", "Linear", "#D55E00", "#F28E4B"),
    REPROMPT: Look("Re-prompting without memory", "Re-prompt", "#009E73", "#3CC9A0"),
}

# What the ratio is where Keytrack, linear interpolation have met the goal: one that has not counts with the cap.
_BOUNDS = {(True, True): "", (True, False): "at least ", (False, True): "at most ", (False, False): "about "}
_OPPOSITES = {"at least ": "at most ", "at most ": "at least "}
_SIGNS = {"": "", "at least ": "≥ ", "at most ": "≤ ", "about ": "≈ "}


def unit(effort: Effort) -> str:
    """What is counted."""
    return "keyframes" if effort.rules.by == "box" else "interactions"


def headline(effort: Effort) -> str:
    """The ratio to linear interpolation in a sentence."""
    found = figures(effort.objects, "mean")
    fewer, bound = found.ratio_to_linear, _BOUNDS[found.reached[KEYTRACK], found.reached[LINEAR]]
    if 0.95 <= fewer < 1.05:
        return f"As many {unit(effort)} as linear interpolation"
    if fewer > 1:
        return _capital(f"{bound}{fewer:.1f}× fewer {unit(effort)} than linear interpolation")
    return _capital(f"{_OPPOSITES.get(bound, bound)}{1 / fewer:.1f}× as many {unit(effort)} as linear interpolation")


def summary(effort: Effort) -> str:
    """The figure of merit of Keytrack and of linear interpolation in a sentence."""
    found = figures(effort.objects, "mean")
    ours, linear = (keyframes(found, way).replace("≥", "at least") for way in (KEYTRACK, LINEAR))
    return (
        f"Until the mean box IoU is {TARGET_IOU}, an annotator who corrects Keytrack's tracks needs {ours} "
        f"{unit(effort)} per object per 100 frames; with Label Studio's linear interpolation it is {linear}."
    )


def scope(effort: Effort) -> str:
    """What was annotated, in a few words."""
    parts = [
        _count(len(effort.sequences), "sequence"),
        _count(len(effort.objects), "object"),
        _count(sum(sequence.frames for sequence in effort.sequences), "frame"),
        f"corrections by {effort.rules.by}",
        f"profile {effort.profile} on {effort.device} ({effort.segmenter} + {effort.propagator})",
    ]
    return ", ".join(parts)


def keyframes(found: Figures, way: str) -> str:
    """A figure of merit; one that a cap went into is marked as too small."""
    return f"{'' if found.reached[way] else '≥ '}{found.keyframes[way]:.1f}"


def ratio(found: Figures) -> str:
    """The ratio to linear interpolation, marked where caps went into it."""
    sign = _SIGNS[_BOUNDS[found.reached[KEYTRACK], found.reached[LINEAR]]]
    return f"{sign}{found.ratio_to_linear:.1f}×"


def table(effort: Effort) -> str:
    """A line for each sequence and one for all objects, for the screen."""
    rows = [(sequence.name, sequence.frames, list(sequence.objects.values())) for sequence in effort.sequences]
    rows.append(("all objects", sum(sequence.frames for sequence in effort.sequences), effort.objects))
    widest = max(len(name) for name, *_ in rows)
    row = f"{{:<{widest}}}  {{:>6}}   {'{:>9}  ' * 4}  {'{:>9}  ' * 4}".format
    heads = [*(LOOKS[way].short for way in WAYS), "ratio"]
    above = [f"mean IoU {TARGET_IOU}", "", "", "", f"{TARGET_SHARE:.0%} above", "", "", ""]
    lines = [row("", "", *above), row("sequence", "frames", *heads, *heads)]
    for name, frames, objects in rows:
        found = [figures(objects, goal) for goal in GOALS]
        cells = [cell for one in found for cell in (*(keyframes(one, way) for way in WAYS), ratio(one))]
        lines.append(row(name, frames, *cells))
    return "\n".join(line.rstrip() for line in lines)


def mean_curves(effort: Effort) -> dict[str, Curve]:
    """The curves over all objects, by way."""
    return {way: mean_curve(runs[way] for runs in effort.objects) for way in WAYS}


def label_levels(effort: Effort) -> dict[str, float]:
    """Heights for the labels of the ways in the panel of the mean, from 0 to 1.

    Each label hangs from its way's figure. The further left that is the lower the label, so that none crosses the line
    from which another hangs.
    """
    found = figures(effort.objects, "mean").keyframes
    return {way: 0.05 + 0.17 * rank for rank, way in enumerate(sorted(WAYS, key=found.__getitem__))}


def sequence_curves(sequence: SequenceEffort) -> dict[str, Curve]:
    """The curves of a sequence, by way."""
    return {way: sequence_curve(runs[way] for runs in sequence.objects.values()) for way in WAYS}


def lowest(effort: Effort) -> float:
    """Where the axis of the IoU begins in all panels: at a tenth."""
    curves = [mean_curves(effort), *(sequence_curves(sequence) for sequence in effort.sequences)]
    least = min(min(curve.y) for by_way in curves for curve in by_way.values())
    return min(math.floor(least * 10) / 10, 0.8)


def furthest(effort: Effort, goal: Goal = "share") -> float:
    """Where the axis of the mean's keyframes ends: where the last way has met the goal."""
    return max(figures(effort.objects, goal).keyframes.values())


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _capital(sentence: str) -> str:
    return sentence[0].upper() + sentence[1:]
