"""Who works on what in a load test."""

from __future__ import annotations

from backend.evaluation.load_annotator import make_job
from backend.evaluation.load_videos import make_videos
from backend.tracks import box_iou

VIDEOS = make_videos(5, 12, 320, 240)


def jobs(annotator, seed=0):
    return [make_job(seed, annotator, turn, VIDEOS) for turn in range(12)]


def test_the_same_seed_gives_the_same_work():
    assert jobs(3) == jobs(3)
    assert jobs(3) != jobs(3, seed=1)


def test_every_third_task_is_a_colleague_s_too_and_half_of_those_have_the_same_regions():
    ours, theirs, strangers = jobs(4), jobs(5), jobs(6)
    numbers = [{job.number for job in each} for each in (ours, theirs, strangers)]
    shared = [turn for turn in range(12) if ours[turn].number == theirs[turn].number]
    assert shared == [2, 5, 8, 11]
    assert len(numbers[0] & numbers[1]) == 4
    assert not (numbers[0] | numbers[1]) & numbers[2]
    ids = [[[held.id for held in job.held] for job in each] for each in (ours, theirs)]
    assert [turn for turn in shared if ids[0][turn] == ids[1][turn]] == [2, 8]
    assert ours[2].held == theirs[2].held
    assert ids[0][5] == [f"region{place}-0" for place in range(len(ids[0][5]))]


def test_a_box_is_drawn_around_its_object():
    for job in jobs(0):
        assert job.task["data"]["video"] == job.video.name
        for held in job.held:
            ((frame, _),) = held.drawn.items()
            x, y, width, height = (held.drawn[frame][side] for side in ("x", "y", "width", "height"))
            box = (3.2 * x, 2.4 * y, 3.2 * (x + width), 2.4 * (y + height))
            assert 0.85 < box_iou(box, held.target.box(frame - 1)) < 1
