"""The report on effort as a picture."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backend.errors import OutputError, UnavailableError
from backend.evaluation.effort import TARGET_IOU
from backend.evaluation.effort_report import (
    LOOKS,
    furthest,
    headline,
    keyframes,
    label_levels,
    lowest,
    mean_curves,
    scope,
    sequence_curves,
    unit,
)
from backend.evaluation.effort_results import Curve, Effort, figures
from backend.evaluation.effort_sequences import WAYS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 1600
"""Pixels."""

_DPI = 160
# Inches from the top: the title, the large panel, what is between it and the small ones, a row of those, the end.
_TITLE, _MEAN, _BETWEEN, _ROW, _BOTTOM = 1.2, 3.5, 0.35, 1.7, 0.0
_LEFT, _RIGHT = 0.06, 0.975  # of the width
_INK, _SOFT, _GRID = "#1d2433", "#667085", "#e6e9ef"


def height(sequences: int) -> int:
    """Pixels of the picture of so many sequences."""
    return round(_DPI * (_TITLE + _MEAN + _BETWEEN + _ROW * _rows(sequences) + _BOTTOM))


def check_matplotlib() -> None:
    """Refuse early what :func:`write_plot` would refuse late.

    Raises:
        UnavailableError: matplotlib is not installed.
    """
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise UnavailableError(
            "the plot needs matplotlib, which is not installed; run: pip install -r requirements-eval.txt"
        ) from error


def write_plot(path: Path, effort: Effort) -> None:
    """Write a PNG of :data:`WIDTH` pixels: the mean over all objects in a large panel, each sequence in a small one.

    Raises:
        OutputError: it cannot be written.
        UnavailableError: matplotlib is not installed.
    """
    check_matplotlib()
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    tall = height(len(effort.sequences)) / _DPI
    style: dict[Any, Any] = {
        "font.family": "sans-serif",
        "font.size": 8.5,
        "text.color": _INK,
        "axes.labelcolor": _SOFT,
        "axes.edgecolor": _GRID,
        "axes.linewidth": 0.8,
        "xtick.color": _SOFT,
        "ytick.color": _SOFT,
        "text.parse_math": False,  # a dollar sign in a sequence's name is one
    }
    with rc_context(style):
        figure = Figure(figsize=(WIDTH / _DPI, tall), dpi=_DPI, facecolor="white")
        FigureCanvasAgg(figure)
        _write(figure, tall, 0.48, headline(effort), fontsize=19, fontweight="bold")
        _write(figure, tall, 0.74, scope(effort), fontsize=9, color=_SOFT)
        _write(figure, tall, _TITLE - 0.1, "Mean box IoU over all objects", fontsize=10.5, fontweight="bold")
        bottom = tall - _TITLE - _MEAN
        _draw_mean(figure.add_axes((_LEFT, (bottom + 0.5) / tall, _RIGHT - _LEFT, (_MEAN - 0.5) / tall)), effort)
        text = f"Each sequence, by {unit(effort)} per object"
        _write(figure, tall, _TITLE + _MEAN + 0.3, text, fontsize=10.5, fontweight="bold")
        _draw_sequences(figure, effort, tall)
        try:
            figure.savefig(path, format="png", metadata={"Software": None})
        except OSError as error:
            raise OutputError(f"cannot write {path.name}: {error}") from error


def _write(figure: Figure, tall: float, down: float, text: str, **style: Any) -> None:
    """Text whose baseline is ``down`` inches from the top."""
    figure.text(_LEFT, 1 - down / tall, text, va="baseline", **style)


def _draw_mean(axes: Axes, effort: Effort) -> None:
    from matplotlib.patheffects import withStroke

    curves, found, levels = mean_curves(effort), figures(effort.objects, "mean"), label_levels(effort)
    right, low = furthest(effort), lowest(effort)
    _prepare(axes, right, low)
    halo = [withStroke(linewidth=4, foreground="white")]
    for way in reversed(WAYS):  # ours on top
        curve, look, figure = curves[way], LOOKS[way], found.keyframes[way]
        axes.plot(curve.x, curve.y, color=look.light, linewidth=2.4, solid_joinstyle="round")
        top = TARGET_IOU if found.reached[way] else _at(curve, figure)
        level = low + levels[way] * (1 - low)
        axes.plot([figure, figure], [level, top], color=look.light, linewidth=1, dashes=(2, 2), zorder=3)
        if found.reached[way]:
            axes.plot(figure, TARGET_IOU, **_marker(look.light, 8))
        # To the left of the line where there is no room to the right of it.
        side, offset = ("right", -6) if figure > 0.7 * right else ("left", 6)
        place: dict[str, Any] = {"xy": (figure, level), "textcoords": "offset points", "color": look.light, "ha": side}
        name: dict[str, Any] = {"fontsize": 10.5, "fontweight": "bold", "path_effects": halo, "zorder": 6}
        axes.annotate(look.name, xytext=(offset, 12), **place, **name)
        text = f"{keyframes(found, way)} {unit(effort)}"
        axes.annotate(text, xytext=(offset, 0), **place, fontsize=9, path_effects=halo, zorder=6)
    axes.annotate(
        f"target {TARGET_IOU}",
        (1, TARGET_IOU),
        xycoords=axes.get_yaxis_transform(),
        xytext=(0, -4),
        textcoords="offset points",
        ha="right",
        va="top",
        fontsize=8,
        color=_SOFT,
    )
    axes.set_xlabel(
        f"{unit(effort)} per object per 100 frames; ◆ where objects meet the target, on average", loc="left"
    )


def _draw_sequences(figure: Figure, effort: Effort, tall: float) -> None:
    columns, low = _columns(len(effort.sequences)), lowest(effort)
    gap = 0.045
    width = (_RIGHT - _LEFT - gap * (columns - 1)) / columns
    for index, sequence in enumerate(effort.sequences):
        row, column = divmod(index, columns)
        bottom = tall - _TITLE - _MEAN - _BETWEEN - _ROW * (row + 1) + 0.4
        axes = figure.add_axes((_LEFT + column * (width + gap), bottom / tall, width, (_ROW - 0.75) / tall))
        curves = sequence_curves(sequence)
        _prepare(axes, max(curve.x[-1] for curve in curves.values()), low)
        for way in reversed(WAYS):
            curve, colour = curves[way], LOOKS[way].light
            axes.plot(curve.x, curve.y, color=colour, linewidth=1.6, solid_joinstyle="round")
            if curve.reached is not None:
                axes.plot(curve.reached, _at(curve, curve.reached), **_marker(colour, 5))
        axes.set_title(sequence.name, loc="left", fontsize=9, fontweight="bold", pad=5)
        axes.set_title(f"{sequence.frames} frames", loc="right", fontsize=7.5, color=_SOFT, pad=5)


def _prepare(axes: Axes, right: float, low: float) -> None:
    from matplotlib.ticker import MaxNLocator, MultipleLocator

    axes.set_xlim(0, max(right, 2) * 1.03)
    axes.set_ylim(low, 1.0)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.yaxis.set_major_locator(MultipleLocator(0.1 if low >= 0.5 else 0.2))
    axes.grid(color=_GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, labelsize=8)
    axes.axhline(TARGET_IOU, color=_SOFT, linewidth=1, dashes=(4, 3), zorder=1.5)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)


def _marker(colour: str, size: float) -> dict[str, Any]:
    return {
        "marker": "D",
        "markersize": size,
        "color": colour,
        "markeredgecolor": "white",
        "markeredgewidth": 1.2,
        "clip_on": False,
        "zorder": 5,
    }


def _at(curve: Curve, x: float) -> float:
    import numpy as np

    return float(np.interp(x, curve.x, curve.y))


def _columns(sequences: int) -> int:
    return 3 if sequences <= 6 else 4 if sequences <= 12 else 5


def _rows(sequences: int) -> int:
    return math.ceil(sequences / _columns(sequences))
