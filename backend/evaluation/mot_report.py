"""The results of multi-object tracking as a table and as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from backend.evaluation.association import COLUMNS, Association
from backend.evaluation.mot import Run


@dataclass(frozen=True, eq=False)
class SequenceResult:
    """What became of a sequence of so many frames, and how good that is."""

    name: str
    frames: int
    run: Run
    association: Association


def as_table(results: Sequence[SequenceResult], combined: Association) -> str:
    """A line for each sequence and one for all as one; there is at least one result."""
    widest = max(len("sequence"), *(len(result.name) for result in results))
    scores = "  {:>5}" * len(COLUMNS)
    row = f"{{:<{widest}}}  {{:>6}}  {{:>6}}  {{:>6}}{scores}  {{:>7}}".format
    lines = [row("sequence", "frames", "given", "tracks", *COLUMNS, "seconds")]
    for result in results:
        counts = (result.frames, result.run.given, len(result.run.tracks))
        lines.append(row(result.name, *counts, *_shown(result.association), f"{result.run.seconds:.1f}"))
    counts = (
        sum(result.frames for result in results),
        sum(result.run.given for result in results),
        sum(len(result.run.tracks) for result in results),
    )
    seconds = sum(result.run.seconds for result in results)
    lines.append(row("combined", *counts, *_shown(combined), f"{seconds:.1f}"))
    return "\n".join(lines)


def as_json(results: Sequence[SequenceResult], combined: Association, settings: Mapping[str, object]) -> str:
    """``{"sequences": {NAME: {"HOTA", ..., "frames", "boxes", "tracks", "seconds"}}, "combined": {"HOTA", ...}}``.

    The scores are those of :data:`~backend.evaluation.association.COLUMNS`; ``boxes`` is how many were given.
    ``settings``, what was measured and how, stand beside them.
    """
    sequences = {
        result.name: {
            **_percent(result.association),
            "frames": result.frames,
            "boxes": result.run.given,
            "tracks": len(result.run.tracks),
            "seconds": round(result.run.seconds, 2),
        }
        for result in results
    }
    said = {"sequences": sequences, "combined": _percent(combined), **settings}
    return json.dumps(said, indent=2, ensure_ascii=False) + "\n"


def _percent(association: Association) -> dict[str, float | int]:
    return {name: round(value, 2) for name, value in association.percent().items()}


def _shown(association: Association) -> list[str]:
    found = association.percent()
    return [f"{value:.1f}" if isinstance(value, float) else str(value) for value in (found[name] for name in COLUMNS)]
