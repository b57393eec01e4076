"""A video in pieces beside the whole in one, as a table and as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from backend.evaluation.agreement import Agreement
from backend.evaluation.association import COLUMNS, Association
from backend.evaluation.mot import Run

WHOLE, PIECES = "whole", "pieces"
WAYS = (WHOLE, PIECES)


@dataclass(frozen=True, eq=False)
class PiecesResult:
    """What became of one video.

    Attributes:
        name: the video's.
        frames: how many it has.
        pieces: of each the first and the last frame that it was tracked on, and whether it begins at a cut.
        runs: by :data:`WAYS`.
        agreement: of the two.
        scores: by :data:`WAYS`, where the truth is known.
    """

    name: str
    frames: int
    pieces: Sequence[tuple[int, int, bool]]
    runs: Mapping[str, Run]
    agreement: Agreement
    scores: Mapping[str, Association]


Combined = Mapping[str, Association]


def as_table(results: Sequence[PiecesResult], combined: Combined) -> str:
    """Two lines for each video, two for all as one where the truth is known, and what differs."""
    widest = max(len("combined"), *(len(result.name) for result in results))
    row = f"{{:<{widest}}}  {{:<6}}  {{:>6}}  {{:>6}}  {{:>7}}{'  {:>5}' * len(COLUMNS)}".format
    lines = [row("video", "way", "frames", "tracks", "seconds", *COLUMNS)]
    for result in results:
        for way, run in result.runs.items():
            scores = _shown(result.scores.get(way))
            lines.append(row(result.name, way, result.frames, len(run.tracks), f"{run.seconds:.1f}", *scores))
    if combined:
        lines += [row("combined", way, "", "", "", *_shown(found)) for way, found in combined.items()]
    for result in results:
        agreement, count = result.agreement, len(result.pieces)
        lines.append(
            f"{result.name}: {count} piece{'s' * (count != 1)}; {100 * agreement.share:.1f} % of all boxes agree in "
            f"place and identity, with a mean IoU of {agreement.iou:.3f}"
        )
        lines += [f"  {sentence}" for sentence in agreement.differences]
    return "\n".join(lines)


def as_json(results: Sequence[PiecesResult], combined: Combined, settings: Mapping[str, object]) -> str:
    """``{"videos": {NAME: {"frames", "pieces", "whole", "agreement"}}, "combined": {WAY: {"HOTA", ...}}}``.

    ``pieces`` and ``whole`` have ``tracks``, ``seconds`` and, where the truth is known, the scores; ``split`` has the
    first and the last frame of each piece, and whether it begins at a cut. ``settings`` stand beside them.
    """
    videos = {
        result.name: {
            "frames": result.frames,
            "split": [{"first": first, "last": last, "cut": cut} for first, last, cut in result.pieces],
            **{
                way: {
                    "tracks": len(run.tracks),
                    "seconds": round(run.seconds, 2),
                    **(_percent(result.scores[way]) if way in result.scores else {}),
                }
                for way, run in result.runs.items()
            },
            "agreement": {
                "share": round(100 * result.agreement.share, 2),
                "iou": round(result.agreement.iou, 4),
                "pairs": dict(result.agreement.pairs),
                "differences": list(result.agreement.differences),
            },
        }
        for result in results
    }
    said = {"videos": videos, "combined": {way: _percent(found) for way, found in combined.items()}, **settings}
    return json.dumps(said, indent=2, ensure_ascii=False) + "\n"


def _percent(association: Association) -> dict[str, float | int]:
    return {name: round(value, 2) for name, value in association.percent().items()}


def _shown(association: Association | None) -> list[str]:
    if association is None:
        return [""] * len(COLUMNS)
    found = association.percent()
    return [f"{value:.1f}" if isinstance(value, float) else str(value) for value in (found[name] for name in COLUMNS)]
