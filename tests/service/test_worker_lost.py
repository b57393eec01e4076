"""What becomes of what annotators asked for where a worker dies of it: a tracker that says so stands for one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from backend.errors import WorkerLostError
from backend.service.job import MOST_LOSSES
from support.fake_tracker import FakeTracker
from support.service import DRAWN, Service, notes_of, region, without_notes
from support.slides import Annotator, write_slides
from support.video_client import Client, point

Start = Callable[..., Service]


class Mortal(FakeTracker):
    """Its worker dies on a frame, so often."""

    def __init__(self, frame: int = 14, deaths: int = 1) -> None:
        super().__init__()
        self.frame = frame
        self.deaths = deaths

    def track(self, *args: Any, **further: Any) -> Iterator[Any]:
        """As the fake one does it."""
        for result in super().track(*args, **further):
            self._die(result.frame)
            yield result

    def click(self, video: Any, prompt: Any, logits: Any = None) -> Any:
        """As the fake one does it."""
        self._die(prompt.frame)
        return super().click(video, prompt, logits)

    def _die(self, frame: int) -> None:
        if self.deaths and frame == self.frame:
            self.deaths -= 1
            raise WorkerLostError("the worker has died")


def test_a_press_goes_on(start: Start) -> None:
    service = start(Mortal())
    track = service.press_one(region("a", DRAWN))
    assert notes_of(track) == ["tracked 1-30"]
    assert service.built == 2  # the worker was started again
    undisturbed = start(FakeTracker()).press_one(region("b", DRAWN))
    assert without_notes({**track, "id": "b"}) == without_notes(undisturbed)


def test_after_several_deaths_the_region_says_so_and_keeps_what_was_found(start: Start) -> None:
    service = start(Mortal(deaths=MOST_LOSSES))
    track = service.press_one(region("a", DRAWN))
    (note,) = notes_of(track)
    assert note == "stopped after frames 5-14 of 30: the worker has died"
    assert notes_of(service.press_one(track)) == ["tracked 1-30"]


def test_a_click_on_a_picture_is_answered(start: Start) -> None:
    service = start(Mortal(frame=3))
    write_slides(service.settings.media_root)
    found = Annotator(service).click(3, 40, 30)
    assert len(found) == 1
    assert service.built == 2


def test_tracks_over_pictures_go_on(start: Start) -> None:
    service = start(Mortal(frame=5))
    write_slides(service.settings.media_root)
    annotator = Annotator(service)
    annotator.click(3, 40, 30)
    annotator.accept()
    tracked = annotator.track()
    assert sorted(item["item_index"] for item in tracked.values()) == list(range(3, 12))
    assert service.built == 2


def test_a_track_of_the_video_protocol_goes_on(start: Start) -> None:
    service = start(Mortal(frame=14))
    found = Client.of(service).tracked(point(40, 40), frame=10)
    assert service.built == 2
    undisturbed = Client.of(start(FakeTracker()), project=2).tracked(point(40, 40), frame=10)
    assert {one["frame"] for one in found} == {one["frame"] for one in undisturbed} > {14, 29}


def test_a_track_of_the_video_protocol_that_workers_die_of_ends_with_the_reason(start: Start) -> None:
    client = Client.of(start(Mortal(frame=14, deaths=MOST_LOSSES)))
    _, last = client.drain(client.track(point(40, 40), frame=10)["session_id"])
    assert "the worker has died" in last["error"]
