"""How well tracked boxes keep to objects and to their identities: HOTA, IDF1 and MOTA, computed by TrackEval.

Source: Luiten et al., IJCV 2021 (HOTA); Ristani et al., ECCVW 2016 (IDF1); Bernardin and Stiefelhagen, EURASIP JIVP
2008 (MOTA).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from backend.errors import DatasetError, UnavailableError
from backend.evaluation.motchallenge import TrackedBox, TruthBox
from backend.tracking.matching import box_ious

COLUMNS = ("HOTA", "DetA", "AssA", "LocA", "IDF1", "MOTA", "IDSW")
"""The scores in percent, but for IDSW, which counts."""

# Classes of the benchmark: what a detector of pedestrians may well find but need not.
_PEDESTRIAN = 1
_DISTRACTORS = frozenset({2, 7, 8, 12})  # a person on a vehicle, a static one, a distractor, a reflection
_VEHICLE_WITHOUT_MOTOR = 6
_BENCHMARKS = {
    "MOT16": _DISTRACTORS,
    "MOT17": _DISTRACTORS,
    "MOT20": _DISTRACTORS | {_VEHICLE_WITHOUT_MOTOR},
}
# A tracked box that overlaps a distractor this much is taken for it.
_IS_DISTRACTOR = 0.5


@dataclass(frozen=True)
class Classes:
    """Which rows of a ground truth are to be found.

    Attributes:
        counted: classes that are; None for all of them.
        distractors: classes that are neither right nor wrong; None for all that are not counted.
    """

    counted: frozenset[int] | None = None
    distractors: frozenset[int] | None = frozenset()

    @classmethod
    def of(cls, sequence: str, chosen: Iterable[int] | None = None) -> Classes:
        """The convention for a sequence.

        In the sequences of MOT16, MOT17 and MOT20, which are known by their names, pedestrians count, and a few
        classes are distractors; in others everything counts. With ``chosen`` classes, these count instead, and the
        others are distractors.
        """
        distractors = _BENCHMARKS.get(sequence.partition("-")[0])
        if chosen is not None:
            counted = frozenset(chosen)
            return cls(counted, None if distractors is None else distractors - counted)
        return cls() if distractors is None else cls(frozenset({_PEDESTRIAN}), distractors)

    def count(self, box: TruthBox) -> bool:
        """Whether a row is to be found."""
        return box.counts and (self.counted is None or box.kind in self.counted)

    def distract(self, box: TruthBox) -> bool:
        """Whether whoever finds a row's box is neither right nor wrong; rows that do not count may be such."""
        if self.counted is None or box.kind in self.counted:
            return False
        return self.distractors is None or box.kind in self.distractors


@dataclass(frozen=True, eq=False)
class Association:
    """The scores of a sequence or of several, with what TrackEval needs to combine them: its results by metric."""

    results: Mapping[str, Mapping[str, Any]]

    def percent(self) -> dict[str, float | int]:
        """By the names in :data:`COLUMNS`; what HOTA gives for each threshold is averaged, as it is defined."""
        hota, identity, clear = self.results["HOTA"], self.results["Identity"], self.results["CLEAR"]
        found: dict[str, float | int] = {
            name: 100 * float(np.mean(hota[name])) for name in ("HOTA", "DetA", "AssA", "LocA")
        }
        return found | {
            "IDF1": 100 * float(identity["IDF1"]),
            "MOTA": 100 * float(clear["MOTA"]),
            "IDSW": int(clear["IDSW"]),
        }


class AssociationMetrics:
    """TrackEval's metrics.

    Raises:
        UnavailableError: TrackEval is not installed.
    """

    def __init__(self) -> None:
        try:
            from trackeval.metrics import CLEAR, HOTA, Identity
        except ImportError as error:
            raise UnavailableError(
                f"association is measured by TrackEval, which cannot be imported ({error}); run: pip install -r "
                "requirements-eval.txt && pip install --no-deps -r requirements-trackeval.txt"
            ) from error
        quiet = {"PRINT_CONFIG": False}
        self._metrics = {"HOTA": HOTA(), "CLEAR": CLEAR(dict(quiet)), "Identity": Identity(dict(quiet))}

    def evaluate(
        self, truth: Iterable[TruthBox], tracked: Iterable[TrackedBox], frames: int, classes: Classes
    ) -> Association:
        """Compare a sequence's tracks with its ground truth.

        Args:
            truth: no object twice on a frame.
            tracked: no track twice on a frame.
            frames: how many there are; what lies beyond them is not looked at.
            classes: which rows of the truth are to be found.

        Raises:
            DatasetError: nothing is to be found.
        """
        data = _prepare(truth, tracked, frames, classes)
        if not data["num_gt_dets"]:
            chosen = "" if classes.counted is None else f" of class {', '.join(map(str, sorted(classes.counted)))}"
            raise DatasetError(f"in the first {frames} frames of the ground truth nothing{chosen} counts")
        return Association({name: metric.eval_sequence(data) for name, metric in self._metrics.items()})

    def combine(self, sequences: Mapping[str, Association]) -> Association:
        """All sequences as one, in which identities of different sequences have nothing to do with each other."""
        return Association(
            {
                metric_name: metric.combine_sequences(
                    {name: dict(sequence.results[metric_name]) for name, sequence in sequences.items()}
                )
                for metric_name, metric in self._metrics.items()
            }
        )


def _prepare(truth: Iterable[TruthBox], tracked: Iterable[TrackedBox], frames: int, classes: Classes) -> dict[str, Any]:
    """What TrackEval's metrics take, after the benchmark's own preparation."""
    true_rows: list[list[TruthBox]] = [[] for _ in range(frames)]
    found_rows: list[list[TrackedBox]] = [[] for _ in range(frames)]
    for row in truth:
        if row.frame < frames:
            true_rows[row.frame].append(row)
    for box in tracked:
        if box.frame < frames:
            found_rows[box.frame].append(box)
    true_ids, found_ids, similarities = [], [], []
    for true, found in zip(true_rows, found_rows, strict=True):
        ious = box_ious([row.box for row in true], [box.box for box in found])
        counted = np.array([classes.count(row) for row in true], bool)
        kept = ~_on_distractors(ious, np.array([classes.distract(row) for row in true], bool))
        true_ids.append([row.id for row, counts in zip(true, counted, strict=True) if counts])
        found_ids.append([box.id for box, keep in zip(found, kept, strict=True) if keep])
        similarities.append(ious[np.ix_(counted, kept)])
    true_count, true_places = _number(true_ids)
    found_count, found_places = _number(found_ids)
    return {
        "num_timesteps": frames,
        "num_gt_ids": true_count,
        "num_tracker_ids": found_count,
        "num_gt_dets": sum(map(len, true_ids)),
        "num_tracker_dets": sum(map(len, found_ids)),
        "gt_ids": true_places,
        "tracker_ids": found_places,
        "similarity_scores": similarities,
    }


def _on_distractors(ious: npt.NDArray[np.float64], distracts: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """``bool (M,)``: the tracked boxes that are assigned to distractors; each of the frame's rows may have one."""
    from scipy.optimize import linear_sum_assignment  # slow to import

    taken = np.zeros(ious.shape[1], bool)
    if distracts.any():
        alike = np.where(ious < _IS_DISTRACTOR - np.finfo(float).eps, 0, ious)
        rows, columns = linear_sum_assignment(alike, maximize=True)
        matched = (alike[rows, columns] > 0) & distracts[rows]
        taken[columns[matched]] = True
    return taken


def _number(ids: Sequence[Sequence[int]]) -> tuple[int, list[npt.NDArray[np.int_]]]:
    """How many ids there are, and each frame's ids as numbers from 0 without gaps."""
    places = {name: place for place, name in enumerate(sorted({name for frame in ids for name in frame}))}
    return len(places), [np.array([places[name] for name in frame], int) for frame in ids]
