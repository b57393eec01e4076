"""The results of DAVIS's measures as a table, as JSON and as CSV; all in percent."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence

from backend.evaluation.davis import DavisSequence
from backend.evaluation.vos import Score, SequenceResult, overall

COLUMNS = ("sequence", "object", "frame", "image", "J", "F", "confidence", "counts")


def as_table(results: Sequence[SequenceResult]) -> str:
    """A line for each sequence and one for the mean over all objects; there is at least one result."""
    widest = max(len("sequence"), *(len(result.name) for result in results))
    row = f"{{:<{widest}}}  {{:>6}}  {{:>5}}  {{:>5}}  {{:>5}}  {{:>7}}".format
    lines = [row("sequence", "frames", "J", "F", "J&F", "seconds")]
    lines += [row(result.name, result.frames, *_shown(result.score), f"{result.seconds:.1f}") for result in results]
    frames, seconds = (sum(result.frames for result in results), sum(result.seconds for result in results))
    lines.append(row("mean", frames, *_shown(overall(results)), f"{seconds:.1f}"))
    return "\n".join(lines)


def as_json(results: Sequence[SequenceResult], settings: Mapping[str, object]) -> str:
    """``{"sequences": {NAME: {"J", "F", "J&F", "frames", "seconds"}}, "mean": {"J", "F", "J&F"}}``.

    ``settings``, what was measured and how, stand beside them. ``frames`` is the sequence's length.
    """
    sequences = {
        result.name: {**_percent(result.score), "frames": result.frames, "seconds": round(result.seconds, 2)}
        for result in results
    }
    said = {"sequences": sequences, "mean": _percent(overall(results)), **settings}
    return json.dumps(said, indent=2, ensure_ascii=False) + "\n"


def as_csv(pairs: Sequence[tuple[DavisSequence, SequenceResult]]) -> str:
    """A line for each object and frame, with :data:`COLUMNS`.

    ``frame`` counts from 0 and ``image`` is its file's name; ``counts`` is 1 where the frame is part of the means.
    ``confidence`` is the tracker's own, in the object's mask or in its absence.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    for sequence, result in pairs:
        for name, scores in result.scores.items():
            for frame, score in enumerate(scores):
                confidence = 100 * result.tracks[name].observations[frame].score
                counts = int(0 < frame < len(scores) - 1)
                shown = [f"{value:.2f}" for value in (100 * score.j, 100 * score.f, confidence)]
                table.writerow([result.name, name, frame, sequence.images[frame].name, *shown, counts])
    return text.getvalue()


def _percent(score: Score) -> dict[str, float]:
    return {"J": round(100 * score.j, 2), "F": round(100 * score.f, 2), "J&F": round(100 * score.jf, 2)}


def _shown(score: Score) -> list[str]:
    return [f"{value:.1f}" for value in _percent(score).values()]
