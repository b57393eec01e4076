"""The curves of the page on effort, as SVG that the page's style sheet colours."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from backend.evaluation.effort import TARGET_IOU
from backend.evaluation.effort_report import (
    LOOKS,
    furthest,
    keyframes,
    label_levels,
    lowest,
    mean_curves,
    sequence_curves,
    unit,
)
from backend.evaluation.effort_results import Curve, Effort, figures
from backend.evaluation.effort_sequences import WAYS


class _Axes:
    """Where things lie in a drawing of ``width`` x ``height`` with margins for the ticks."""

    def __init__(self, width: int, height: int, right: float, low: float, size: int) -> None:
        self.width, self.height, self.size = width, height, size
        self.right, self.low = max(right, 2.0) * 1.03, low
        self._left, self._top, self._bottom = 2.6 * size, 0.8 * size, height - 2.0 * size

    def x(self, value: float) -> float:
        return round(self._left + value / self.right * (self.width - self._left - 4), 2)

    def y(self, value: float) -> float:
        return round(self._bottom - (value - self.low) / (1 - self.low) * (self._bottom - self._top), 2)

    def frame(self) -> str:
        """The grid, the ticks and the target."""
        step = 0.1 if self.low >= 0.5 else 0.2
        parts = []
        for value in np.arange(1.0, self.low - 1e-9, -step).tolist():
            y = self.y(value)
            parts.append(f'<line class="grid" x1="{self.x(0)}" x2="{self.width - 4}" y1="{y}" y2="{y}"/>')
            parts.append(self.text(self.x(0) - 6, y + 0.35 * self.size, f"{value:.1f}", "end"))
        for tick in _ticks(self.right):
            x = self.x(tick)
            parts.append(f'<line class="grid" x1="{x}" x2="{x}" y1="{self._top}" y2="{self._bottom}"/>')
            parts.append(self.text(x, self._bottom + 1.3 * self.size, str(tick), "middle"))
        y = self.y(TARGET_IOU)
        parts.append(f'<line class="target" x1="{self.x(0)}" x2="{self.width - 4}" y1="{y}" y2="{y}"/>')
        return "".join(parts)

    def text(self, x: float, y: float, text: str, anchor: str) -> str:
        return (
            f'<text class="tick" x="{x:.1f}" y="{y:.1f}" font-size="{self.size}" text-anchor="{anchor}">{text}</text>'
        )

    def curve(self, way: str, curve: Curve, thickness: float) -> str:
        points = " ".join(f"{self.x(x)},{self.y(y)}" for x, y in zip(curve.x, curve.y, strict=True) if x <= self.right)
        return f'<polyline class="curve {way}" stroke-width="{thickness}" points="{points}"/>'

    def diamond(self, way: str, x: float, y: float, radius: float) -> str:
        x, y = self.x(x), self.y(y)
        corners = f"{x},{y - radius} {x + radius},{y} {x},{y + radius} {x - radius},{y}"
        return f'<polygon class="diamond {way}" points="{corners}"/>'

    def svg(self, parts: Sequence[str], title: str) -> str:
        return (
            f'<svg viewBox="0 0 {self.width} {self.height}" role="img" aria-label="{escape(title)}">'
            f"<title>{escape(title)}</title>{self.frame()}{''.join(parts)}</svg>"
        )


def mean_chart(effort: Effort) -> str:
    """The mean over all objects, with the figure of each way."""
    curves, found, levels = mean_curves(effort), figures(effort.objects, "mean"), label_levels(effort)
    right, low = furthest(effort), lowest(effort)
    axes = _Axes(1040, 430, right, low, 14)
    lines, labels = [], []
    for way in reversed(WAYS):  # ours on top
        curve, figure = curves[way], found.keyframes[way]
        lines.append(axes.curve(way, curve, 3))
        top = TARGET_IOU if found.reached[way] else float(np.interp(figure, curve.x, curve.y))
        x, foot = axes.x(figure), axes.y(low + levels[way] * (1 - low))
        labels.append(f'<line class="stem {way}" x1="{x}" x2="{x}" y1="{axes.y(top)}" y2="{foot}"/>')
        if found.reached[way]:
            labels.append(axes.diamond(way, figure, TARGET_IOU, 8))
        # To the left of the line where there is no room to the right of it.
        anchor, x = ("end", x - 9) if figure > 0.7 * right else ("start", x + 9)
        labels.append(
            f'<text class="label {way}" x="{x:.1f}" y="{foot - 19}" font-size="17" font-weight="700" '
            f'text-anchor="{anchor}">{LOOKS[way].name}</text>'
            f'<text class="label {way}" x="{x:.1f}" y="{foot - 1}" font-size="14" text-anchor="{anchor}">'
            f"{keyframes(found, way)} {unit(effort)}</text>"
        )
    labels.append(axes.text(axes.width - 6, axes.y(TARGET_IOU) + 16, f"target {TARGET_IOU}", "end"))
    chart = axes.svg([*lines, *labels], f"Mean box IoU against {unit(effort)} per object per 100 frames")
    note = f"{unit(effort)} per object per 100 frames; ◆ where objects meet the target, on average"
    return f'<figure><div class="scroll wide">{chart}</div><figcaption class="note">{note}</figcaption></figure>'


def small_charts(effort: Effort) -> str:
    """A small chart of each sequence."""
    low, charts = lowest(effort), []
    for sequence in effort.sequences:
        curves = sequence_curves(sequence)
        axes = _Axes(320, 170, max(curve.x[-1] for curve in curves.values()), low, 11)
        parts = [axes.curve(way, curves[way], 2) for way in reversed(WAYS)]
        for way in reversed(WAYS):
            reached = curves[way].reached
            if reached is not None:
                parts.append(axes.diamond(way, reached, float(np.interp(reached, curves[way].x, curves[way].y)), 5))
        chart = axes.svg(parts, f"{sequence.name}: mean box IoU against {unit(effort)} per object")
        caption = f"<figcaption>{escape(sequence.name)} <span>{sequence.frames} frames</span></figcaption>"
        charts.append(f"<figure>{caption}{chart}</figure>")
    return "\n".join(charts)


def _ticks(right: float) -> range:
    """Whole numbers from 0, some five of them."""
    power = 10 ** max(0, int(np.floor(np.log10(right / 5))))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= right / 6)
    return range(0, int(right) + 1, step)
