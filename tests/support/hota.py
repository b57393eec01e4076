"""TrackEval's verdict on an export, as its own result."""

from __future__ import annotations

import shutil
from pathlib import Path

import trackeval


def hota_of_itself(dataset_class: type, truth: Path, work: Path, **config: object) -> dict[str, float]:
    """Each sequence's least HOTA over the thresholds, in [0, 1], where the ground truth is given as a result.

    Args:
        dataset_class: TrackEval's reader.
        truth: the directory with the sequences and ``seqmap.txt``.
        work: an empty directory.
        config: more of the reader's settings.
    """
    sequences = (truth / "seqmap.txt").read_text().split()[1:]
    results = work / "itself" / "data"
    results.mkdir(parents=True)
    for name in sequences:
        shutil.copy(truth / name / "gt" / "gt.txt", results / f"{name}.txt")
    dataset = dataset_class(
        {
            "GT_FOLDER": str(truth),
            "TRACKERS_FOLDER": str(work),
            "SEQMAP_FILE": str(truth / "seqmap.txt"),
            "SKIP_SPLIT_FOL": True,
            "PRINT_CONFIG": False,
            **config,
        }
    )
    metric = trackeval.metrics.HOTA({"PRINT_CONFIG": False})
    scores = {}
    for name in dataset.seq_list:
        data = dataset.get_preprocessed_seq_data(dataset.get_raw_seq_data("itself", name), "pedestrian")
        assert data["num_gt_dets"] > 0
        scores[name] = float(metric.eval_sequence(data)["HOTA"].min())
    return scores
