"""The tracker whose models are in an actor, against the same tracker in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from backend.cluster.calls import PORTION_RESULTS
from backend.errors import PromptError, VideoError, WorkerLostError
from backend.service.albums import Album
from backend.service.engine import Tracker
from backend.tracking.labels import Labels
from backend.tracking.learned import Learned
from backend.tracking.lives import Rules
from backend.tracking.stretches import Before
from backend.tracks import Detection, Mask, Observation, Point, Prompt
from backend.video.frames import Frames
from backend.video.images import ImageSequence
from backend.video.reader import VideoReader
from support.fake_tracker import FakeTracker
from support.remote_tracker import Factory, Workers, frames_of, until, values
from support.service import FRAMES, HEIGHT, WIDTH, clip

BOX = Prompt("a", 10, (40.0, 30.0, 72.0, 54.0))
OTHER = Prompt("b", 20, (10.0, 60.0, 30.0, 80.0))


Start = Callable[..., Any]


@pytest.fixture(scope="module")
def signs_of(one_machine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[bool], Any]]:
    """Workers that tests share, one that sees the files and one that does not: their trackers and directories."""
    with ExitStack() as started:

        @cache
        def worker(apart: bool) -> tuple[Tracker, Path]:
            directory = tmp_path_factory.mktemp("signs")
            workers = Workers(directory, apart=apart)
            started.callback(workers.fleet.close)
            return workers.first(), directory

        yield worker


@pytest.fixture
def signs(signs_of: Callable[[bool], Any]) -> Path:
    """The directory by which the shared worker is reached, with nothing in it."""
    directory: Path = signs_of(False)[1]
    for path in directory.iterdir():
        path.unlink()
    return directory


@pytest.fixture
def tracker(signs: Path, signs_of: Callable[[bool], Any]) -> Tracker:
    """The shared worker's."""
    found: Tracker = signs_of(False)[0]
    return found


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clip(tmp_path_factory.mktemp("media"))


@pytest.fixture
def video(media: Path) -> Iterator[VideoReader]:
    with VideoReader(media) as reader:
        yield reader


class Beside:
    """A neighbour that stands on every other frame, until it is gone."""

    def __init__(self) -> None:
        self.gone = False
        self.asked: list[int] = []

    def at(self, frame: int) -> dict[str, Observation]:
        self.asked.append(frame)
        mask = Mask.from_array(np.eye(HEIGHT, WIDTH, dtype=bool))
        return {} if self.gone or frame % 2 else {"n": Observation("n", frame, mask, 0.5)}


def test_calls_give_what_they_give_in_this_process(tracker: Tracker, video: VideoReader) -> None:
    remote, own = tracker, FakeTracker()
    masked = replace(BOX, box=None, mask=np.zeros((HEIGHT, WIDTH), bool))
    assert masked.mask is not None
    masked.mask[30:54, 40:72] = True
    tracked = {frame: one for r in own.track(video, [BOX]) for one in r.observations for frame in [one.frame]}
    before = {"a": Before(tracked, frozenset({25}))}
    calls: list[Callable[[Tracker], Any]] = [
        lambda tracker: tracker.track(video, [BOX]),
        lambda tracker: tracker.track(video, [BOX, OTHER], direction={"a": "forward", "b": "backward"}),
        lambda tracker: tracker.track(video, [masked], span=(5, 15)),
        lambda tracker: tracker.track(video, [BOX, replace(BOX, frame=25)], before=before),
        lambda tracker: tracker.track_everything(video),
    ]
    for call in calls:
        found = values(call(remote))
        assert found == values(call(own))  # type: ignore[arg-type]
        assert found


def test_what_detections_say_comes_along(tracker: Tracker, video: VideoReader) -> None:
    detections = {0: [Detection((1.0, 2.0, 30.0, 40.0), 0.9, "Car"), Detection((50.0, 2.0, 80.0, 40.0), 0.8)]}
    here, there = Labels(), Labels()
    own = values(FakeTracker().track_detections(video, detections, rules=Rules(), labels=here))  # type: ignore[arg-type]
    found = values(tracker.track_detections(video, detections, rules=Rules(), labels=there))
    assert found == own
    assert [there.of(name) for name in "12"] == [here.of(name) for name in "12"] == ["Car", None]
    with pytest.raises(ValueError, match="stays with the worker"):
        tracker.track_detections(video, detections, learned=Learned())


def test_clicks_go_on_from_the_answer_before_and_find_what_was_prepared(start: Start, video: VideoReader) -> None:
    tracker = start().first()
    click = Prompt("a", 3, points=(Point(30, 40),))
    first = tracker.click(video, click)
    assert Mask.from_array(first.mask).box == (26, 36, 34, 44)
    assert tracker.click(video, click, first.logits).score == first.score
    assert [tracker.prepared(video, frame) for frame in (3, 4)] == [True, False]
    tracker.prepare(video, 4)
    assert tracker.prepared(video, 4)
    tracker.forget(video.identity())
    until(lambda: not tracker.prepared(video, 4))


def test_errors_are_the_trackers_own(tracker: Tracker, video: VideoReader, signs: Path) -> None:
    (signs / "broken-29").touch()
    with pytest.raises(PromptError, match="nothing is marked"):
        tracker.track(video, [Prompt("a", 3)])
    with pytest.raises(VideoError, match="frame 29 is broken"):
        list(tracker.track(video, [BOX]))
    assert values(tracker.track(video, [BOX], span=(0, 12)))


def test_a_cancelled_call_ends_where_it_is(tracker: Tracker, video: VideoReader, signs: Path) -> None:
    (signs / "hold-14").touch()
    found = values(tracker.track(video, [BOX], cancelled=(signs / "waits-14").exists))
    until((signs / "cancelled").exists)  # which may be told while results that had come before are given
    assert len(found) < FRAMES


def test_a_call_that_is_left_is_closed_and_the_worker_is_little_ahead(
    tracker: Tracker, video: VideoReader, signs: Path
) -> None:
    results = tracker.track(video, [BOX])
    next(results)
    tracker.prepare(video, 3)  # in turns with the call
    assert tracker.prepared(video, 3)
    assert len(frames_of(signs)) <= 2 * PORTION_RESULTS < FRAMES
    results.close()  # type: ignore[attr-defined]
    until((signs / "closed").exists)


def test_neighbours_stand_until_they_are_gone(
    tracker: Any, video: VideoReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker's own tracker does not heed them, so that what it is told is looked at on the way."""
    beside = Beside()
    told: list[Any] = []
    actor = tracker._actor

    class Listening:
        def __getattr__(self, name: str) -> Any:
            method = getattr(actor, name)
            if name not in ("tell", "pull"):
                return method

            class Method:
                def remote(self, *args: Any) -> Any:
                    told.append((name, *args[1:]))
                    return method.remote(*args)

            return Method()

    monkeypatch.setattr(tracker, "_actor", Listening())
    results = tracker.track(video, [BOX], standing=beside)
    for number, _ in enumerate(results):
        beside.gone = beside.gone or number == 8
    stood = {frame for name, *args in told if name == "tell" for frame in args[0]}
    assert stood == set(range(0, FRAMES, 2))
    assert any(args == [["n"]] for name, *args in told if name == "pull")


@pytest.fixture(params=["video", "album", "pictures"])
def frames(request: pytest.FixtureRequest, tmp_path: Path, video: VideoReader) -> Frames:
    if request.param == "video":
        return video
    paths = []
    for number in range(4):
        paths.append(tmp_path / f"{number}.png")
        Image.fromarray(video.frame(number)).save(paths[-1])
    if request.param == "pictures":
        return ImageSequence(paths)
    album = Album([path.name for path in paths], lambda name: tmp_path / name, 2, 5.0)
    for number in range(4):
        album.locate(number)
    return album


def test_a_worker_that_does_not_see_the_file_is_sent_it(signs_of: Callable[[bool], Any], frames: Frames) -> None:
    tracker = signs_of(True)[0]
    prompt = replace(BOX, frame=2)
    assert values(tracker.track(frames, [prompt])) == values(FakeTracker().track(frames, [prompt]))  # type: ignore[arg-type]
    assert tracker.prepared(frames, 2) is False
    tracker.prepare(frames, 2)
    assert tracker.prepared(frames, 2) is True


def test_a_worker_that_dies_is_told_as_such(start: Start, video: VideoReader, tmp_path: Path) -> None:
    (tmp_path / "kill-14").touch()
    workers = start()
    tracker = workers.first()
    with pytest.raises(WorkerLostError, match="try again"):
        list(tracker.track(video, [BOX]))
    with pytest.raises(WorkerLostError):
        tracker.prepare(video, 3)
    assert not tracker.prepared(video, 3)
    (tmp_path / "kill-14").unlink()
    assert len(values(workers.first().track(video, [BOX]))) == FRAMES


def test_a_worker_that_nobody_has_room_for(one_machine: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from backend.cluster import fleet as fleets
    from backend.cluster.pool import Share

    monkeypatch.setattr(fleets, "START_SECONDS", 0.5)
    fleet = fleets.Fleet(Factory(tmp_path), 1, Share(1.0, gpus=1.0), media_bytes=1)
    with pytest.raises(WorkerLostError, match="1 CPU and 1 GPU of one machine"):
        fleet.factories[0]()
    fleet.close()
    with pytest.raises(WorkerLostError, match="stopping"):
        fleet.factories[0]()
