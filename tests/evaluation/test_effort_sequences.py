"""Sequences in DAVIS's layout, annotated in every way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from backend.errors import DatasetError, PromptError
from backend.evaluation.davis import DavisSequence, find_sequences
from backend.evaluation.effort import Run
from backend.evaluation.effort_sequences import WAYS, Rules, SequenceEffort, find_targets, make_ways, measure
from backend.evaluation.ways import Keytrack, Linear, Press, Reprompt
from backend.tracks import BoolArray, FrameResult, Mask, Observation, Prompt
from support.davis import HEIGHT, WIDTH, numbers, write_sequence
from support.fake_tracker import FakeTracker

EXACT = Rules(keyframe_iou=1.0)


def stored(root: Path, *truths: np.ndarray) -> DavisSequence:
    write_sequence(root, "toys", truths)
    (sequence,) = find_sequences(root)
    return sequence


def two_objects(root: Path) -> DavisSequence:
    """Number 1 stays; number 2 moves by a pixel a frame."""
    return stored(root, *(numbers((1, 0, 0, 15, 15), (2, 15 + frame, 10, 27 + frame, 22)) for frame in range(10)))


def timeless(found: SequenceEffort | None) -> dict[str, dict[str, Run]]:
    assert found is not None
    return {
        name: {
            way: replace(run, steps=tuple(replace(step, seconds=0.0) for step in run.steps))
            for way, run in by_way.items()
        }
        for name, by_way in found.objects.items()
    }


def test_the_truth_of_the_objects(tmp_path):
    sequence = stored(tmp_path, numbers((1, 2, 3, 8, 9)), numbers((2, 0, 0, 4, 4)), numbers((1, 5, 5, 6, 6)))
    (target,) = find_targets(sequence, sequence.video())
    assert (target.name, target.boxes) == ("1", ((2, 3, 8, 9), None, (5, 5, 6, 6)))
    assert target.mask(2).sum() == 1


def test_every_object_in_every_way(tmp_path):
    sequence = two_objects(tmp_path)
    tracker = FakeTracker((0, 0))
    told: list[tuple[str, str, int]] = []
    found = measure(sequence, tracker, EXACT, finished=lambda *what: told.append((*what[:2], what[2].frames)))
    assert found is not None
    assert (found.name, found.frames) == ("toys", 10)
    assert found.first_press is not None and found.first_press > 0
    assert told == [(name, way, 10) for name in ("1", "2") for way in WAYS]
    # One stays, the other needs its end for linear interpolation, and more where the tracker leaves the box behind.
    needed = {name: {way: run.reached("mean") for way, run in by_way.items()} for name, by_way in found.objects.items()}
    assert needed["1"] == dict.fromkeys(WAYS, 1)
    assert needed["2"]["linear"] == 2
    assert needed["2"]["keytrack"] > 2


def test_each_object_is_tracked_alone_after_a_first_press_for_all(tmp_path):
    tracker = FakeTracker((0, 0))
    found = measure(two_objects(tmp_path), tracker, EXACT)
    asked = [{prompt.object_id for prompt in call.prompts} for call in tracker.calls]
    assert asked[0] == {"1", "2"}
    assert all(len(names) == 1 for names in asked[1:])
    assert timeless(found) == timeless(measure(find_sequences(tmp_path)[0], FakeTracker((0, 0)), EXACT))


def test_progress_counts_the_frames_that_are_tracked(tmp_path):
    frames: list[int] = []
    found = measure(
        stored(tmp_path, *[numbers((1, 0, 0, 20, 20))] * 4),
        FakeTracker((0, 0)),
        EXACT,
        advance=lambda: frames.append(1),
    )
    assert found is not None
    assert len(frames) == 3 * 4  # the first press, Keytrack's, and the one without memory


def test_the_cap(tmp_path):
    rules = replace(EXACT, most=1)
    runs = timeless(measure(two_objects(tmp_path), FakeTracker((0, 0)), rules))["2"]
    assert {way: (run.most, run.reached("mean")) for way, run in runs.items()} == dict.fromkeys(WAYS, (1, None))
    assert {run.most for run in timeless(measure(find_sequences(tmp_path)[0], FakeTracker(), EXACT))["2"].values()} == {
        10
    }


@pytest.mark.parametrize("after", [0, 5, 25])
def test_cancelling(tmp_path, after):
    frames: list[int] = []
    found = measure(
        two_objects(tmp_path),
        FakeTracker((1, 1)),
        EXACT,
        cancelled=lambda: len(frames) > after,
        advance=lambda: frames.append(1),
    )
    assert found is None


def test_a_first_press_that_is_refused(tmp_path):
    tracker = FakeTracker((0, 0))
    tracker.fails_at[0] = PromptError("nothing there")
    found = measure(stored(tmp_path, *[numbers((1, 0, 0, 20, 20))] * 3), tracker, EXACT)
    assert found is not None
    assert found.first_press is None
    assert found.objects["1"]["keytrack"].refused == 1


class Reticent:
    """Finds an object on prompted frames only: what is in the box, or ``mask`` for clicks."""

    def __init__(self, mask: BoolArray) -> None:
        self.mask = mask

    def track(
        self, video: object, prompts: Sequence[Prompt], *, span: tuple[int, int] = (0, 2), **options: object
    ) -> Iterator[FrameResult]:
        given = {prompt.frame: prompt for prompt in prompts}
        for frame in range(span[0], span[1] + 1):
            mask = Mask.from_array(self.mask) if frame in given else None
            yield FrameResult(frame, (Observation("1", frame, mask, 1.0, frame in given),))


def test_corrections_by_clicks(tmp_path):
    truth = numbers((1, 4, 4, 20, 20))
    runs = timeless(measure(stored(tmp_path, *[truth] * 3), Reticent(truth > 0), replace(EXACT, by="click")))["1"]
    # A drawn box that nothing follows still shows on the frame after it.
    for way in ("keytrack", "reprompt"):
        assert [(mark.frame, len(mark.points)) for mark in runs[way].marks] == [(0, 0), (2, 1)]
        assert [step.interactions for step in runs[way].steps] == [1, 2]
    assert runs["linear"].interactions("mean") == 1


def test_linear_interpolation_is_given_boxes_where_others_are_given_clicks(tmp_path):
    truths = [numbers((1, 2 * frame, 0, 2 * frame + 12, 12)) for frame in range(3)]
    runs = timeless(measure(stored(tmp_path, *truths), Reticent(truths[0] > 0), replace(EXACT, by="click", most=2)))[
        "1"
    ]
    assert [mark.box is not None for mark in runs["linear"].marks] == [True, True]


def test_the_ways():
    press = Press(FakeTracker(), None, "1")  # type: ignore[arg-type]
    ways = make_ways(press, range(3))
    assert tuple(ways) == WAYS
    assert [type(way) for way in ways.values()] == [Keytrack, Linear, Reprompt]


def test_no_object_on_the_first_frame(tmp_path):
    with pytest.raises(DatasetError, match=r"00000.png shows no object"):
        measure(stored(tmp_path, numbers(), numbers((1, 0, 0, 4, 4))), FakeTracker(), EXACT)


def test_a_truth_of_another_size(tmp_path):
    with pytest.raises(
        DatasetError, match=rf"00001.png is {WIDTH} x {HEIGHT - 1} pixels, the images {WIDTH} x {HEIGHT}"
    ):
        truths = [numbers((1, 0, 0, 4, 4)), numbers((1, 0, 0, 4, 4))[1:]]
        write_sequence(tmp_path, "toys", truths, images=[np.zeros((HEIGHT, WIDTH, 3), np.uint8)] * 2)
        measure(find_sequences(tmp_path)[0], FakeTracker(), EXACT)
