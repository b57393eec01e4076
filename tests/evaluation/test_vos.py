from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backend.errors import DatasetError, VideoError
from backend.evaluation import vos
from backend.evaluation.clicks import deepest_point, next_click
from backend.evaluation.davis import DavisSequence, find_sequences
from backend.evaluation.vos import Score, SequenceResult, evaluate, overall
from backend.evaluation.vos_report import COLUMNS, as_csv, as_json, as_table
from backend.tracks import BoolArray, FrameResult, Point
from support.davis import HEIGHT, WIDTH, Numbers, ScriptedTracker, numbers, write_sequence

SQUARE = (1, 5, 5, 15, 15)
HALF = numbers((1, 5, 5, 10, 15)) == 1
PERFECT = Score(1, 1)


def make(root: Path, truths: Sequence[Numbers], name: str = "bear") -> DavisSequence:
    write_sequence(root, name, truths)
    (sequence,) = find_sequences(root, names=[name])
    return sequence


def perfect(sequence: DavisSequence, **options) -> ScriptedTracker:
    return ScriptedTracker(lambda _, name, frame: (sequence.truth(frame)[name], 0.8), **options)


def evaluated(sequence: DavisSequence, tracker: ScriptedTracker, kind: vos.Kind = "mask", **options) -> SequenceResult:
    result = evaluate(sequence, tracker, kind, **options)
    assert result is not None
    return result


def test_the_first_and_the_last_frame_do_not_count(tmp_path: Path) -> None:
    sequence = make(tmp_path, [numbers(SQUARE)] * 5)
    truth = sequence.truth(0)["1"]
    tracker = ScriptedTracker(lambda _, name, frame: (truth if frame in (1, 3) else HALF if frame == 2 else None, 0.8))
    result = evaluated(sequence, tracker)
    assert [score.j for score in result.scores["1"]] == [0, 1, 0.5, 1, 0]
    assert [score.f for score in result.scores["1"]][:2] == [0, 1]
    assert result.score.j == pytest.approx((1 + 0.5 + 1) / 3)
    assert result.score.f == pytest.approx((1 + result.scores["1"][2].f + 1) / 3)
    assert result.score.jf == pytest.approx((result.score.j + result.score.f) / 2)
    assert result.frames == 5


def test_absence(tmp_path: Path) -> None:
    sequence = make(tmp_path, [numbers(SQUARE), numbers(), numbers(SQUARE), numbers(), numbers()])
    truth = sequence.truth(0)["1"]
    tracker = ScriptedTracker(lambda _, name, frame: (truth if frame == 3 else None, 0.8))
    assert evaluated(sequence, tracker).scores["1"][1:] == (PERFECT, Score(0, 0), Score(0, 0), PERFECT)


def test_results_may_come_in_any_order(tmp_path: Path) -> None:
    sequence = make(tmp_path, [numbers((1, x, 5, x + 10, 15)) for x in range(6)])
    result = evaluated(sequence, perfect(sequence, order=(0, 3, 2, 1, 5, 4)))
    assert result.scores["1"] == (PERFECT,) * 6
    assert sorted(result.tracks["1"].observations) == list(range(6))


def test_an_object_keeps_its_score_where_another_one_is_told_again(tmp_path: Path) -> None:
    """As the guard does where two have swapped."""
    sequence = make(tmp_path, [numbers(SQUARE, (2, 20, 5, 30, 15))] * 4)

    class Retelling(ScriptedTracker):
        def track(self, video: Any, prompts: Any, **options: Any) -> Iterator[FrameResult]:
            for result in super().track(video, prompts, **options):
                first, second = result.observations
                yield FrameResult(result.frame, (replace(first, mask=None), second))
                yield FrameResult(result.frame, (first,))

    tracker = Retelling(lambda _, name, frame: (sequence.truth(frame)[name], 0.8))
    assert evaluated(sequence, tracker).scores == {"1": (PERFECT,) * 4, "2": (PERFECT,) * 4}


def test_objects_that_come_later_are_no_part_of_it(tmp_path: Path) -> None:
    sequence = make(tmp_path, [numbers(SQUARE), *[numbers(SQUARE, (2, 20, 5, 30, 15))] * 3])
    tracker = perfect(sequence)
    result = evaluated(sequence, tracker)
    assert [prompt.object_id for prompt in tracker.asked[0]] == ["1"]
    assert list(result.scores) == ["1"]
    assert result.score == PERFECT


def test_void_is_background(tmp_path: Path) -> None:
    """As in the official evaluation of the semi-supervised task."""
    sequence = make(tmp_path, [numbers((1, 5, 5, 10, 15), (255, 10, 5, 15, 15))] * 3)
    tracker = ScriptedTracker(lambda _, name, frame: (numbers(SQUARE) == 1, 0.8))
    result = evaluated(sequence, tracker, "box")
    assert tracker.asked[0][0].box == (5, 5, 10, 15)
    assert result.score.j == 0.5


def test_of_two_masks_the_surer_one_has_the_pixel(tmp_path: Path) -> None:
    sequence = make(tmp_path, [numbers((1, 5, 5, 15, 15), (2, 15, 5, 25, 15))] * 3)
    both = numbers((1, 5, 5, 25, 15)) == 1
    tracker = ScriptedTracker(lambda _, name, frame: (both, 0.9 if name == "2" else 0.5))
    result = evaluated(sequence, tracker)
    assert result.objects["1"].j == 0
    assert result.objects["2"].j == 0.5


def test_means(tmp_path: Path) -> None:
    """Over objects in a sequence, over all objects in all: three objects weigh three times as much as one."""
    bear = make(tmp_path, [numbers(SQUARE)] * 3)
    dogs = make(tmp_path, [numbers((1, 2, 2, 8, 8), (2, 12, 2, 18, 8), (7, 22, 2, 28, 8))] * 3, "dogs")
    one = evaluated(bear, ScriptedTracker(lambda _, name, frame: (None, 0.8)))
    three = evaluated(
        dogs, ScriptedTracker(lambda _, name, frame: (None if name == "7" else dogs.truth(frame)[name], 0.8))
    )
    assert one.score == Score(0, 0)
    assert three.objects == {"1": PERFECT, "2": PERFECT, "7": Score(0, 0)}
    assert three.score.j == three.score.f == pytest.approx(2 / 3)
    assert overall([one, three]) == Score(0.5, 0.5)
    assert overall([one]) == Score(0, 0)


def test_a_mask_is_given_as_it_is_and_a_box_is_tight(tmp_path: Path) -> None:
    sequence = make(tmp_path, [numbers((1, 3, 4, 13, 10), (1, 30, 28, 40, 30), (2, 20, 5, 21, 6))] * 3)
    tracker = perfect(sequence)
    evaluated(sequence, tracker, "mask")
    evaluated(sequence, tracker, "box")
    masks, boxes = tracker.asked
    assert [prompt.object_id for prompt in masks] == ["1", "2"]
    for prompt in masks:
        assert np.array_equal(prompt.mask, sequence.truth(0)[prompt.object_id])
        assert (prompt.box, prompt.points) == (None, ())
    assert [prompt.box for prompt in boxes] == [(3, 4, 40, 30), (20, 5, 21, 6)]
    assert all(prompt.mask is None and prompt.points == () and prompt.frame == 0 for prompt in boxes)
    assert not tracker.looked


def test_one_click_goes_to_the_deepest_point(tmp_path: Path) -> None:
    # The larger part of the object is a thin one.
    sequence = make(tmp_path, [numbers((1, 0, 0, 40, 3), (1, 5, 10, 14, 19), (2, 20, 20, 21, 21))] * 3)
    tracker = perfect(sequence)
    result = evaluated(sequence, tracker, "click")
    assert {name: prompt.points for name, prompt in result.prompts.items()} == {
        "1": (Point(9.5, 14.5),),
        "2": (Point(20.5, 20.5),),
    }
    assert not tracker.looked  # nobody looks after the last click


def test_further_clicks_go_to_the_largest_error(tmp_path: Path) -> None:
    sequence = make(tmp_path, [numbers(SQUARE)] * 3)
    truth = sequence.truth(0)["1"]
    beside = numbers((1, 5, 5, 10, 15), (1, 20, 5, 30, 20)) == 1
    deepest = deepest_point(truth)
    assert deepest is not None
    first = Point(deepest[0] + 0.5, deepest[1] + 0.5)
    expected = (first, next_click(truth, beside), next_click(truth, HALF), next_click(truth, np.zeros_like(truth)))
    assert [click.positive for click in expected if click] == [True, False, True, True]
    for count in (2, 3, 4):
        tracker = perfect(sequence, looks=[beside, HALF, None])
        result = evaluated(sequence, tracker, "click", clicks=count)
        assert result.prompts["1"].points == expected[:count]
        assert tracker.asked[0][0].points == expected[:count]
        assert [prompt.points for prompt in tracker.looked] == [expected[:seen] for seen in range(1, count)]


def test_clicks_end_where_there_is_no_error(tmp_path: Path) -> None:
    sequence = make(tmp_path, [numbers(SQUARE)] * 3)
    result = evaluated(sequence, perfect(sequence, looks=[HALF, sequence.truth(0)["1"]]), "click", clicks=9)
    assert len(result.prompts["1"].points) == 2


def test_progress_and_cancelling(tmp_path: Path) -> None:
    sequence = make(tmp_path, [numbers(SQUARE)] * 6)
    seen: list[int] = []
    evaluated(sequence, perfect(sequence), advance=lambda: seen.append(1))
    assert len(seen) == 6
    tracker = perfect(sequence)
    assert evaluate(sequence, tracker, "mask", cancelled=lambda: len(seen) > 8, advance=lambda: seen.append(1)) is None
    assert len(seen) == 9
    del seen[:]
    assert evaluate(sequence, tracker, "mask", cancelled=lambda: len(seen) > 5, advance=lambda: seen.append(1))


def test_seconds_are_those_of_prompting_and_tracking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0

    def takes(seconds: float) -> None:
        nonlocal now
        now += seconds

    monkeypatch.setattr(vos.time, "perf_counter", lambda: now)
    monkeypatch.setattr(vos, "region_similarity", lambda truth, found: takes(100) or 1.0)
    sequence = make(tmp_path, [numbers(SQUARE)] * 4)
    truth = sequence.truth(0)["1"]

    def found(directory: str, name: str, frame: int) -> tuple[BoolArray, float]:
        takes(1.5)
        return truth, 0.8

    class Slow(ScriptedTracker):
        def _look(self, prompts):
            takes(0.25)
            return super()._look(prompts)

    result = evaluated(sequence, Slow(found, looks=[HALF, HALF]), "click", clicks=3)
    assert result.seconds == 4 * 1.5 + 2 * 0.25


def refused(sequence: DavisSequence) -> str:
    tracker = ScriptedTracker(lambda _, name, frame: (None, 0.8))
    with pytest.raises(DatasetError) as caught:
        evaluate(sequence, tracker, "mask")
    return str(caught.value)


def test_too_few_frames(tmp_path: Path) -> None:
    assert "2 frames are too few" in refused(make(tmp_path, [numbers(SQUARE)] * 2))


def test_no_object_on_the_first_frame(tmp_path: Path) -> None:
    sequence = make(tmp_path, [numbers((255, 1, 1, 4, 4)), *[numbers(SQUARE)] * 2])
    assert "00000.png shows no object" in refused(sequence)


@pytest.mark.parametrize("frame", [0, 2])
def test_an_annotation_of_another_size(tmp_path: Path, frame: int) -> None:
    truths = [numbers(SQUARE)] * 4
    images = [np.zeros((HEIGHT, WIDTH, 3), np.uint8)] * 4
    truths[frame] = truths[frame][:20, :30]
    write_sequence(tmp_path, "bear", truths, images=images)
    (sequence,) = find_sequences(tmp_path)
    message = refused(sequence)
    assert f"{frame:05d}.png is 30 x 20 pixels, the images 40 x 30" in message


def test_a_frame_that_cannot_be_read(tmp_path: Path) -> None:
    sequence = make(tmp_path, [numbers(SQUARE)] * 4)
    sequence.images[2].write_bytes(b"no image")
    with pytest.raises(VideoError, match=r"00002\.jpg"):
        evaluate(sequence, perfect(sequence), "mask")


@pytest.fixture
def two(tmp_path: Path) -> list[tuple[DavisSequence, SequenceResult]]:
    """bear, found half, and dogs, found but for one object."""
    bear = make(tmp_path, [numbers(SQUARE)] * 4)
    dogs = make(tmp_path, [numbers((1, 2, 2, 8, 8), (2, 12, 2, 18, 8))] * 3, "dogs")
    tracker = ScriptedTracker(lambda _, name, frame: (HALF, 0.5))
    finder = ScriptedTracker(lambda _, name, frame: (dogs.truth(frame)["1"] if name == "1" else None, 0.8))
    return [(bear, evaluated(bear, tracker)), (dogs, evaluated(dogs, finder))]


def test_json(two: list[tuple[DavisSequence, SequenceResult]]) -> None:
    results = [result for _, result in two]
    half = results[0].score.f
    assert 0.5 < half < 1
    read = json.loads(as_json(results, {"prompt": "mask", "missing": {}}))
    seconds = {name: entry.pop("seconds") for name, entry in read["sequences"].items()}
    assert seconds == {result.name: pytest.approx(result.seconds, abs=0.01) for result in results}
    assert read == {
        "sequences": {
            "bear": {
                "J": 50,
                "F": pytest.approx(100 * half, abs=0.01),
                "J&F": pytest.approx((50 + 100 * half) / 2, abs=0.01),
                "frames": 4,
            },
            "dogs": {"J": 50, "F": 50, "J&F": 50, "frames": 3},
        },
        "mean": {
            "J": 50,
            "F": pytest.approx((100 * half + 100) / 3, abs=0.01),
            "J&F": pytest.approx((50 + (100 * half + 100) / 3) / 2, abs=0.01),
        },
        "prompt": "mask",
        "missing": {},
    }


def test_table(two: list[tuple[DavisSequence, SequenceResult]]) -> None:
    head, bear, dogs, mean = (line.split() for line in as_table([result for _, result in two]).splitlines())
    assert head == ["sequence", "frames", "J", "F", "J&F", "seconds"]
    assert bear[:3] == ["bear", "4", "50.0"]
    assert dogs[:5] == ["dogs", "3", "50.0", "50.0", "50.0"]
    assert mean[:3] == ["mean", "7", "50.0"]
    assert bear[3] not in ("50.0", mean[3])


def test_csv(two: list[tuple[DavisSequence, SequenceResult]]) -> None:
    lines = list(csv.DictReader(as_csv(two).splitlines()))
    assert tuple(lines[0]) == COLUMNS
    assert [(line["sequence"], line["object"], line["frame"], line["counts"]) for line in lines] == [
        *[("bear", "1", str(frame), "01"[frame in (1, 2)]) for frame in range(4)],
        *[("dogs", name, str(frame), "01"[frame == 1]) for name in "12" for frame in range(3)],
    ]
    assert (lines[1]["image"], lines[1]["J"], lines[1]["confidence"]) == ("00001.jpg", "50.00", "50.00")
    assert [(line["J"], line["F"], line["confidence"]) for line in lines[4:]] == (
        [("100.00", "100.00", "80.00")] * 3 + [("0.00", "0.00", "80.00")] * 3
    )
