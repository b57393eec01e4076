from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from backend.errors import DatasetError, UnavailableError
from backend.evaluation.association import COLUMNS, AssociationMetrics, Classes
from backend.evaluation.motchallenge import TrackedBox, TruthBox, write_tracks
from backend.tracks import Box

FRAMES = 10
HERE: Box = (10.0, 10.0, 30.0, 50.0)
THERE: Box = (60.0, 10.0, 80.0, 50.0)
THRESHOLDS = np.arange(0.05, 0.99, 0.05)  # of HOTA


@pytest.fixture(scope="module")
def metrics() -> AssociationMetrics:
    return AssociationMetrics()


def true(name: int, box: Box, frames: Iterable[int] = range(FRAMES), **more) -> list[TruthBox]:
    return [TruthBox(frame, name, box, **more) for frame in frames]


def tracked(name: int, box: Box, frames: Iterable[int] = range(FRAMES)) -> list[TrackedBox]:
    return [TrackedBox(frame, name, box, 0.9) for frame in frames]


def moved(box: Box, dx: float) -> Box:
    return (box[0] + dx, box[1], box[2] + dx, box[3])


def scores(
    metrics: AssociationMetrics,
    truth: list[TruthBox],
    found: list[TrackedBox],
    classes: Classes | None = None,
    frames: int = FRAMES,
) -> dict[str, float | int]:
    percent = metrics.evaluate(truth, found, frames, classes or Classes()).percent()
    assert tuple(percent) == COLUMNS
    return percent


BOTH = true(1, HERE) + true(2, THERE)


def test_perfect_tracks(metrics: AssociationMetrics) -> None:
    found = scores(metrics, BOTH, tracked(7, HERE) + tracked(3, THERE))
    assert found == pytest.approx(dict.fromkeys(COLUMNS, 100) | {"IDSW": 0})


def test_no_tracks(metrics: AssociationMetrics) -> None:
    found = scores(metrics, BOTH, [])
    assert found == pytest.approx(dict.fromkeys(COLUMNS, 0) | {"LocA": 100})  # of no boxes, as TrackEval has it


def test_identities_swapped_half_way(metrics: AssociationMetrics) -> None:
    """Every box is found, and every track is right about its object on half of the frames."""
    early, late = range(FRAMES // 2), range(FRAMES // 2, FRAMES)
    found = scores(
        metrics,
        BOTH,
        tracked(1, HERE, early) + tracked(1, THERE, late) + tracked(2, THERE, early) + tracked(2, HERE, late),
    )
    # IDF1: of 20 boxes 10 have the identity that fits best. AssA: each box shares its pair of identities with 5 of
    # the 10 + 10 - 5 boxes that have either. HOTA: their geometric mean with DetA, which is 1.
    assert found["IDF1"] == pytest.approx(50)
    assert found["AssA"] == pytest.approx(100 * 5 / 15)
    assert found["DetA"] == pytest.approx(100)
    assert found["LocA"] == pytest.approx(100)
    assert found["HOTA"] == pytest.approx(100 * (5 / 15) ** 0.5)
    assert found["IDSW"] == 2
    assert found["MOTA"] == pytest.approx(100 * (1 - 2 / 20))


@pytest.mark.parametrize(("missed", "extra", "switches"), [(3, 0, 0), (0, 4, 0), (0, 0, 1), (2, 5, 1), (9, 30, 0)])
def test_mota_by_its_formula(metrics: AssociationMetrics, missed: int, extra: int, switches: int) -> None:
    """One object; misses at the end, false positives far away, a second name from frame 1 on."""
    places = range(FRAMES - missed)
    found = tracked(1, HERE, places[:1] if switches else places)
    found += tracked(2, HERE, places[1:]) if switches else []
    found += [
        TrackedBox(place % FRAMES, 100 + place, (200.0, 10.0 * place, 209.0, 10.0 * place + 9), 0.5)
        for place in range(extra)
    ]
    result = scores(metrics, true(1, HERE), found)
    assert result["MOTA"] == pytest.approx(100 * (1 - (missed + extra + switches) / FRAMES))
    assert result["IDSW"] == switches


def at_threshold(truth: list[TruthBox], found: list[TrackedBox], matched: list[tuple[int, int]]) -> tuple[float, ...]:
    """HOTA, DetA and AssA at one threshold by their definitions, where these rows (by place) meet these boxes."""
    detection = len(matched) / (len(truth) + len(found) - len(matched))
    each = []
    for row, box in matched:
        same = sum(truth[a].id == truth[row].id and found[b].id == found[box].id for a, b in matched)
        either = sum(a.id == truth[row].id for a in truth) + sum(b.id == found[box].id for b in found) - same
        each.append(same / either)
    association = float(np.mean(each))
    return (detection * association) ** 0.5, detection, association


def test_hota_by_its_definition(metrics: AssociationMetrics) -> None:
    """Three frames of one object, the last of which has a second name and an overlap of 0.6; one false positive."""
    shifted = moved(HERE, 5)  # 15 of 25
    truth = true(1, HERE, range(3))
    found = [*tracked(1, HERE, range(2)), *tracked(2, shifted, [2]), *tracked(3, THERE, [0])]
    meetings = [(0, 0), (1, 1), (2, 2)]
    low = THRESHOLDS < 0.61
    values = [at_threshold(truth, found, meetings if lower else meetings[:2]) for lower in low]
    result = scores(metrics, truth, found, frames=3)
    assert [result["HOTA"], result["DetA"], result["AssA"]] == pytest.approx(100 * np.mean(values, axis=0))
    assert result["LocA"] == pytest.approx(100 * np.mean(np.where(low, (1 + 1 + 0.6) / 3, 1)))


@pytest.mark.parametrize(("shift", "idf1", "mota"), [(6.6, 100, 100), (6.7, 0, -100)])
def test_half_an_overlap_is_a_meeting(metrics: AssociationMetrics, shift: float, idf1: float, mota: float) -> None:
    """Boxes 20 wide that are shifted by 6.67 overlap by half."""
    result = scores(metrics, true(1, HERE), tracked(1, moved(HERE, shift)))
    assert (result["IDF1"], result["MOTA"]) == pytest.approx((idf1, mota))


def test_frames_beyond_the_last_are_not_looked_at(metrics: AssociationMetrics) -> None:
    result = scores(metrics, true(1, HERE), tracked(1, HERE, range(4)) + tracked(2, THERE, range(4, FRAMES)), frames=4)
    assert result["HOTA"] == pytest.approx(100)


# --- what counts --------------------------------------------------------------------------------

CAR: Box = (100.0, 10.0, 150.0, 40.0)


@pytest.mark.parametrize(
    ("sequence", "chosen", "kind", "counts", "distracts"),
    [
        ("MOT17-02-FRCNN", None, 1, True, False),
        ("MOT17-02-FRCNN", None, 3, False, False),
        ("MOT17-02-FRCNN", None, 8, False, True),
        ("MOT16-02", None, 12, False, True),
        ("MOT17-02-FRCNN", None, 6, False, False),
        ("MOT20-01", None, 6, False, True),
        ("MOT17-02-FRCNN", [3, 7], 1, False, False),
        ("MOT17-02-FRCNN", [3, 7], 7, True, False),
        ("MOT17-02-FRCNN", [3, 7], 8, False, True),
        ("ADL-Rundle-6", None, None, True, False),
        ("my-video", None, 3, True, False),
        ("my-video", [3], 3, True, False),
        ("my-video", [3], 4, False, True),
        ("my-video", [3], None, False, True),
    ],
)
def test_conventions(sequence: str, chosen: list[int] | None, kind: int | None, counts: bool, distracts: bool) -> None:
    classes = Classes.of(sequence, chosen)
    row = TruthBox(0, 1, HERE, True, kind)
    assert (classes.count(row), classes.distract(row)) == (counts, distracts)


def test_a_row_with_flag_0_does_not_count(metrics: AssociationMetrics) -> None:
    truth = true(1, HERE) + true(2, THERE, counts=False)
    assert scores(metrics, truth, tracked(1, HERE))["HOTA"] == pytest.approx(100)
    assert scores(metrics, truth, tracked(1, HERE) + tracked(2, THERE))["MOTA"] == pytest.approx(0)


def test_a_track_of_a_distractor_is_neither_right_nor_wrong(metrics: AssociationMetrics) -> None:
    truth = true(1, HERE, kind=1) + true(2, CAR, kind=8, counts=False) + true(3, THERE, kind=3, counts=False)
    found = tracked(1, HERE) + tracked(2, CAR)
    classes = Classes.of("MOT17-04")
    assert scores(metrics, truth, found, classes)["MOTA"] == pytest.approx(100)
    assert scores(metrics, truth, found + tracked(3, THERE), classes)["MOTA"] == pytest.approx(0)
    # Each distractor excuses one box.
    assert scores(metrics, truth, found + tracked(4, moved(CAR, 1)), classes)["MOTA"] == pytest.approx(0)


def test_nothing_that_counts_is_refused(metrics: AssociationMetrics) -> None:
    with pytest.raises(DatasetError, match="in the first 10 frames of the ground truth nothing of class 3, 5 counts"):
        metrics.evaluate(true(1, HERE, kind=1), [], FRAMES, Classes.of("mine", [5, 3]))
    with pytest.raises(DatasetError, match="nothing counts"):
        metrics.evaluate([], tracked(1, HERE), FRAMES, Classes())


# --- several sequences --------------------------------------------------------------------------


def test_sequences_combined(metrics: AssociationMetrics) -> None:
    """All boxes as if of one sequence: a short bad one weighs less than a long good one."""
    good = metrics.evaluate(BOTH, tracked(1, HERE) + tracked(2, THERE), FRAMES, Classes())
    bad = metrics.evaluate(true(1, HERE, range(4)), tracked(1, THERE, range(4)), 4, Classes())
    combined = metrics.combine({"good": good, "bad": bad}).percent()
    assert combined["MOTA"] == pytest.approx(100 * (1 - 8 / 24))
    assert combined["IDF1"] == pytest.approx(100 * 20 / 24)
    assert combined["DetA"] == pytest.approx(100 * 20 / 28)
    assert combined["AssA"] == pytest.approx(100)
    assert metrics.combine({"good": good}).percent() == pytest.approx(good.percent())


# --- beside TrackEval's own way -----------------------------------------------------------------


def crowd(seed: int) -> tuple[list[TruthBox], list[TrackedBox]]:
    """People and distractors who walk about, and tracks that miss, wander, invent and swap."""
    random = np.random.default_rng(seed)
    truth: list[TruthBox] = []
    found: list[TrackedBox] = []
    for name in range(1, 9):
        kind = [1, 1, 1, 1, 2, 6, 8, 12][name - 1]
        start, speed = random.uniform(0, 200, 2), random.uniform(-6, 6, 2)
        for frame in range(25):
            x, y = (start + frame * speed).round(1)
            truth.append(TruthBox(frame, name, (x, y, x + 30, y + 60), kind == 1, kind))
            if random.random() < 0.85:
                dx, dy = random.normal(0, 3, 2).round(1)
                alias = name if frame < 12 else name % 8 + 1
                found.append(TrackedBox(frame, 10 * alias, (x + dx, y + dy, x + dx + 30, y + dy + 58), 0.9))
    found += tracked(999, (300.0, 300.0, 340.0, 380.0), range(3, 20))
    return truth, found


@pytest.mark.parametrize("benchmark", ["MOT17", "MOT20"])
@pytest.mark.parametrize("seed", [0, 1])
def test_as_trackeval_scores_the_files(metrics: AssociationMetrics, tmp_path: Path, benchmark: str, seed: int) -> None:
    """The written result and a ``gt.txt``, evaluated with TrackEval's own reader and preparation."""
    from trackeval.datasets import MotChallenge2DBox
    from trackeval.metrics import CLEAR, HOTA, Identity

    truth, found = crowd(seed)
    name = f"{benchmark}-77"
    (tmp_path / "gt" / name / "gt").mkdir(parents=True)
    rows = [
        f"{row.frame + 1},{row.id},{row.box[0] + 1},{row.box[1] + 1},{row.box[2] - row.box[0]},"
        f"{row.box[3] - row.box[1]},{int(row.counts)},{row.kind},1"
        for row in truth
    ]
    (tmp_path / "gt" / name / "gt" / "gt.txt").write_text("\n".join(rows) + "\n")
    (tmp_path / "results" / "ours" / "data").mkdir(parents=True)
    write_tracks(tmp_path / "results" / "ours" / "data" / f"{name}.txt", found)
    with contextlib.redirect_stdout(io.StringIO()):
        dataset = MotChallenge2DBox(
            {
                "GT_FOLDER": str(tmp_path / "gt"),
                "TRACKERS_FOLDER": str(tmp_path / "results"),
                "BENCHMARK": benchmark,
                "SKIP_SPLIT_FOL": True,
                "SEQ_INFO": {name: 25},
                "PRINT_CONFIG": False,
            }
        )
        data = dataset.get_preprocessed_seq_data(dataset.get_raw_seq_data("ours", name), "pedestrian")
        hota, clear, identity = (metric().eval_sequence(data) for metric in (HOTA, CLEAR, Identity))
    expected = {name: 100 * hota[name].mean() for name in ("HOTA", "DetA", "AssA", "LocA")}
    expected |= {"IDF1": 100 * identity["IDF1"], "MOTA": 100 * clear["MOTA"], "IDSW": clear["IDSW"]}
    result = scores(metrics, truth, found, Classes.of(name), 25)
    assert result == pytest.approx(expected)
    assert 10 < result["HOTA"] < 90


def test_trackeval_is_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    metrics = AssociationMetrics()
    one = metrics.evaluate(BOTH, tracked(1, HERE), FRAMES, Classes())
    metrics.combine({"a": one, "b": one})
    assert capsys.readouterr() == ("", "")


def test_without_trackeval_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trackeval.metrics", None)
    with pytest.raises(UnavailableError) as error:
        AssociationMetrics()
    assert "pip install -r requirements-eval.txt" in str(error.value)
    assert "pip install --no-deps -r requirements-trackeval.txt" in str(error.value)
