"""The check finds what it is meant to find: a track that is off, and a reply that breaks a promise."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from backend.demo.check import judge, shown_boxes, write_contact_sheet
from backend.demo.project import Clip
from backend.demo.trial import Press, Trial, has_failed, is_complete
from backend.labelstudio.regions import NOTE
from backend.service import notes
from backend.service.records import StoredFrame
from backend.service.timeline import Timeline
from backend.video.clock import FrameClock
from backend.video.writer import VideoWriter

FRAMES = 9
TRUTH = {index: (10.0 + 4 * index, 20.0, 50.0 + 4 * index, 50.0) for index in range(FRAMES)}
TRIAL = Trial("small", "Car", 0, TRUTH, "both", 0.7, 0.85)


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Clip:
    path = tmp_path_factory.mktemp("check") / "small.mp4"
    with VideoWriter(path, 160, 90, 10) as writer:
        for _ in range(FRAMES):
            writer.write(np.full((90, 160, 3), 90, np.uint8))
    return Clip.of("small", path)


def keyframe(index: int, *, enabled: bool = True, shift: float = 0.0) -> dict:
    x0, y0, x1, y1 = TRUTH[index]
    return {
        "frame": index + 1,
        "enabled": enabled,
        "rotation": 0,
        "x": (x0 + shift) / 1.6,
        "y": y0 / 0.9,
        "width": (x1 - x0) / 1.6,
        "height": (y1 - y0) / 0.9,
        "time": (index + 1) / 10,
    }


def region(*sequence: dict, **changes) -> dict:
    value = {"labels": ["Car"], "sequence": list(sequence), "framesCount": FRAMES, "duration": 0.9}
    return {"id": "a", "type": "videorectangle", "score": 0.9, "value": value} | changes


def press(*replies: dict) -> Press:
    return Press(region(keyframe(0)), list(replies), 1, 1.0)


GOOD = (keyframe(0), keyframe(FRAMES - 1))


def test_a_track_on_the_object_passes(clip):
    verdict = judge(TRIAL, clip, press(region(*GOOD)))
    assert verdict.passed, verdict.problems
    assert min(verdict.ious.values()) == pytest.approx(1)
    assert verdict.line().startswith("small: car       ok")


@pytest.mark.parametrize(
    ("replies", "problem"),
    [
        ([region(keyframe(0))], "IoU below 0.7 on frames"),
        ([region(keyframe(0), keyframe(4, shift=6), keyframe(8, shift=6))], "mean IoU below"),
        ([region(keyframe(0), keyframe(3, enabled=False))], "IoU below 0.7 on frames [4, 5, 6, 7, 8]"),
        ([region(*GOOD), region(*GOOD, id="b")], "regions that were not sent"),
        ([region(*reversed(GOOD))], "not in order"),
        ([region(keyframe(0), *GOOD)], "twice on one frame"),
        ([region(keyframe(0, shift=0.5), GOOD[1])], "keyframe that was drawn"),
        ([region(*GOOD, score=None)], "no score"),
        ([region(*GOOD, score=1.5)], "no score"),
        ([region(*GOOD, value=region(*GOOD)["value"] | {"labels": ["Person"]})], "class changed"),
    ],
)
def test_what_is_wrong_is_named(clip, replies, problem):
    problems = judge(TRIAL, clip, press(*replies)).problems
    assert any(problem in found for found in problems), problems


def test_a_reply_without_the_region_is_an_error():
    with pytest.raises(Exception, match="no track under the id"):
        _ = press(region(*GOOD, id="b")).region


def test_boxes_are_shown_as_label_studio_shows_them(clip):
    sequence = (keyframe(1), keyframe(3, enabled=False), keyframe(6), keyframe(8, enabled=False))
    shown = shown_boxes(region(*sequence), clip)
    assert sorted(shown) == [2, 3, 4, 7, 8, 9]
    assert shown[3] == pytest.approx(TRUTH[2])
    assert sorted(shown_boxes(region(keyframe(4)), clip)) == [5, 6, 7, 8, 9]


@pytest.mark.parametrize(
    ("texts", "complete", "failed"),
    [
        (["Keytrack: tracked 1-75"], True, False),
        (["a remark\nKeytrack: tracked 1-40, absent 41-75, 2 doubtful frames"], True, False),
        (["Keytrack: tracking: frames 1-12 of 75 done, press t again for more"], False, False),
        (["tracked 1-75, says the annotator"], False, False),
        ([], False, False),
    ],
)
def test_when_a_track_is_complete(texts, complete, failed):
    region = {"meta": {"text": texts}}
    assert (is_complete(region), has_failed(region)) == (complete, failed)


@pytest.mark.parametrize("done", [{}, {4: StoredFrame(1, 0.9, False, None)}])
def test_a_problem_is_recognised_however_far_the_track_has_come(done):
    timeline = Timeline(FrameClock(np.arange(FRAMES) / 10, 0.9, 10), (160, 90), tuple(range(FRAMES)), ())
    note = notes.problem("the video is damaged", done, 1, timeline)
    region = {"meta": {"text": [f"{NOTE}{note}"]}}
    assert (is_complete(region), has_failed(region)) == (False, True)


def test_the_contact_sheet_shows_both_boxes(clip, tmp_path: Path):
    verdict = judge(TRIAL, clip, press(region(*GOOD)))
    write_contact_sheet(tmp_path / "out" / "sheet.png", [verdict, verdict], {"small": clip})
    sheet = cv2.imread(str(tmp_path / "out" / "sheet.png"))
    assert sheet.shape == (4 * 270, 3 * 480, 3)
    magenta = (np.abs(sheet.astype(int) - (200, 60, 255)).max(axis=2) < 60).mean()
    assert 0.001 < magenta < 0.1


def test_the_clip_knows_its_clock(clip):
    assert isinstance(clip.clock, FrameClock)
    assert clip.clock.frame_count == FRAMES
