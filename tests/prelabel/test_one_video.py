"""The seam: no Label Studio, no service."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend.errors import FrameOutOfRange
from backend.labelstudio.config import VideoConfig
from backend.prelabel.keeping import keep
from backend.prelabel.one_video import OneVideo
from backend.prelabel.plan import Plan, plan_task
from backend.service.records import TrackKey
from backend.service.store import Store
from backend.video.reader import VideoReader
from support.fake_tracker import FakeTracker
from support.service import FRAMES, box_at, keyframe, region, shown

CONFIG = VideoConfig(region_name="box", video_name="video", video_key="video", labels=("Car",))
CAR = region("car", keyframe(3, 40, 30, 32, 24))
MAN = region("man", keyframe(3, 100, 60, 20, 40), label="Person")


@pytest.fixture
def video(media: Path):
    with VideoReader(media / "clip.mp4") as reader:
        yield reader


def plan(*regions) -> Plan:
    found = plan_task({"predictions": [{"id": 1, "result": list(regions)}]}, CONFIG, "v1")
    assert isinstance(found, Plan)
    return found


def make(video: VideoReader, by: Plan) -> OneVideo:
    return OneVideo(video, by, config=CONFIG, frame_rate=10, model_version="v1", keyframe_iou=0.95)


def test_a_prediction_in_steps(video):
    work = make(video, plan(CAR, MAN))
    tracker = FakeTracker()
    tracker.doubtful = frozenset({20})
    assert len(list(work.steps(tracker))) == FRAMES + 2
    found = work.prediction
    body = found.body(7)
    assert (body["task"], body["model_version"], body["score"]) == (7, "v1", found.score)
    assert found.score == min(one.answer.score for one in found.regions) < 0.75
    for item, drawn in zip(body["result"], (CAR, MAN), strict=True):
        assert item["value"]["labels"] == drawn["value"]["labels"]
        assert (item["from_name"], item["to_name"], item["type"]) == ("box", "video", "videorectangle")
        assert shown(item) == list(range(3, FRAMES + 1))
    assert box_at(body["result"][0], 3) == pytest.approx((40, 30, 32, 24), abs=1)


def test_ids_are_new_each_time(video):
    ids = []
    for _ in range(2):
        work = make(video, plan(CAR, MAN))
        list(work.steps(FakeTracker()))
        ids += [one.id for one in work.prediction.regions]
    assert len(set(ids)) == 4


def test_cancelled_there_is_no_prediction(video):
    asked = iter([False] * 5 + [True] * 100)
    work = make(video, plan(CAR))
    assert len(list(work.steps(FakeTracker(), lambda: next(asked)))) <= 5
    assert work.prediction.regions == []


def test_an_object_that_never_shows_is_no_region(video):
    tracker = FakeTracker()
    tracker.absent = frozenset(range(FRAMES))
    tracker.velocity = (0, 0)
    work = make(video, plan(region("a", keyframe(3, 200, 30, 32, 24))))
    list(work.steps(tracker))
    assert work.prediction.regions == [] and work.prediction.score == 0.0


def test_boxes_beyond_the_video_are_found_out_before_anything_is_tracked(video):
    with pytest.raises(FrameOutOfRange, match="region 'car', Label Studio frame 99: there is no frame 99"):
        make(video, plan(region("car", keyframe(99, 40, 30, 32, 24))))


def test_what_was_found_is_stored_at_once(video, tmp_path):
    work = make(video, plan(CAR, MAN))
    list(work.steps(FakeTracker()))
    store = Store(tmp_path / "tracks.db")
    assert keep(store, "1", "2", "source", work.prediction.regions, since=store.next_press())
    tracks = store.tracks("1", "2")
    assert [track.key for track in tracks] == [TrackKey("1", "2", one.id) for one in work.prediction.regions]
    assert all(track.complete and len(store.frames(track)) == FRAMES - 2 for track in tracks)
    assert [track.demand.label for track in tracks] == ["Car", "Person"]
    store.close()
