"""Track on pictures: masks on the others, of each object its own, and a human's stay as they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from backend.labelstudio.brush import encode_mask
from backend.tracks import Mask
from support.fake_tracker import FakeTracker
from support.service import Service, notes_of
from support.slides import CONFIG, COUNT, Annotator, Start, filled, mask_of, write_slides

BOX = (40, 30, 80, 60)


@pytest.fixture
def annotator(service: Service) -> Annotator:
    assert service.settings.media_root is not None
    write_slides(service.settings.media_root)
    return Annotator(service)


def clicked(annotator: Annotator, frame: int = 0, label: str = "Car") -> str:
    """An object that was clicked and accepted."""
    (item,) = annotator.box(frame, BOX, label).values()
    annotator.accept()
    return str(item["meta"]["track_id"])


def test_an_accepted_mask_is_carried_to_the_pictures_that_follow(annotator: Annotator) -> None:
    name = clicked(annotator, 2)
    annotator.track(2)
    items = annotator.of(name)
    assert sorted(items) == list(range(2, COUNT))
    assert [items[frame]["id"] for frame in sorted(items)] == [f"{name}-{frame}" for frame in sorted(items)]
    assert {tuple(item["value"]["brushlabels"]) for item in items.values()} == {("Car",)}
    for frame, item in items.items():
        moved = frame - 2
        assert np.array_equal(mask_of(item), filled((40 + moved, 30, 80 + moved, 60)))
    assert items[2]["value"] == annotator.regions[f"{name}-2"]["value"]
    assert notes_of(items[5]) == ["tracked 3-12"]
    (prompt,) = annotator.service.tracker.calls[0].prompts
    assert prompt.mask is not None and np.array_equal(prompt.mask, filled(BOX))


@pytest.mark.parametrize(
    ("label", "frames"), [("Track", range(5, COUNT)), ("Track backward", range(6)), ("Track both", range(COUNT))]
)
def test_which_way(annotator: Annotator, monkeypatch: pytest.MonkeyPatch, label: str, frames: range) -> None:
    added = f'<Label value="{label}" /></KeyPointLabels>'
    monkeypatch.setattr("support.slides.CONFIG", CONFIG.replace("</KeyPointLabels>", added))
    name = clicked(annotator, 5)
    annotator.track(5, label)
    assert sorted(annotator.of(name)) == list(frames)


def test_objects_are_tracked_together_and_kept_apart(annotator: Annotator) -> None:
    car = clicked(annotator)
    (item,) = annotator.box(3, (100, 80, 120, 110), "Person").values()
    person = item["meta"]["track_id"]
    annotator.accept()
    annotator.track()
    assert sorted(annotator.of(car)) == list(range(COUNT))
    assert sorted(annotator.of(person)) == list(range(3, COUNT))
    assert annotator.of(person)[9]["value"]["brushlabels"] == ["Person"]
    (call,) = annotator.service.tracker.calls
    assert {prompt.object_id for prompt in call.prompts} == {car, person}


def test_a_painted_mask_is_tracked_and_comes_back_as_it_is(annotator: Annotator) -> None:
    painted = annotator.paint(4, BOX, name="mine")
    annotator.track(4)
    items = annotator.of("mine")
    assert sorted(items) == list(range(4, COUNT))
    assert (items[4]["id"], items[5]["id"]) == ("mine", "mine-5")
    assert items[4]["value"] == painted["value"]


def test_a_suggestion_that_was_not_accepted_yet_is_tracked_too(annotator: Annotator) -> None:
    annotator.click(2, 50, 40)
    annotator.track(2)
    assert sorted(annotator.of("mark01")) == list(range(2, COUNT))
    assert np.array_equal(mask_of(annotator.of("mark01")[2]), filled((46, 36, 54, 44)))


def test_a_second_press_brings_the_same_and_tracks_nothing(annotator: Annotator) -> None:
    name = clicked(annotator)
    annotator.track()
    first = annotator.of(name)
    annotator.track()
    assert annotator.of(name) == first
    annotator.accept()
    annotator.track(3)
    assert {frame: item["value"] for frame, item in annotator.of(name).items()} == {
        frame: item["value"] for frame, item in first.items()
    }
    assert set(annotator.regions) == {item["id"] for item in first.values()}
    assert len(annotator.service.tracker.calls) == 1


def test_a_corrected_mask_is_a_prompt_and_only_what_follows_it_is_tracked_again(annotator: Annotator) -> None:
    name = clicked(annotator)
    annotator.track()
    annotator.accept()
    before = {frame: annotator.regions[f"{name}-{frame}"]["value"] for frame in range(COUNT)}
    annotator.paint(6, (10, 70, 30, 90), name=f"{name}-6")
    annotator.regions[f"{name}-6"]["meta"] = {"track_id": name, "text": ["I did this", "Keytrack: tracked 1-12"]}
    annotator.track(6)
    items = annotator.of(name)
    assert items[0]["value"] == before[0]
    assert np.array_equal(mask_of(items[6]), filled((10, 70, 30, 90)))
    assert items[6]["meta"]["text"][0] == "I did this"
    assert notes_of(items[6]) == ["tracked 1-12"]
    assert np.array_equal(mask_of(items[9]), filled((13, 70, 33, 90)))
    call = annotator.service.tracker.calls[-1]
    assert [prompt.frame for prompt in call.prompts] == [0, 6]
    assert call.before[name].changed == frozenset({6})


def test_a_click_on_a_tracked_mask_is_a_correction(annotator: Annotator) -> None:
    name = clicked(annotator)
    annotator.track()
    annotator.accept()
    annotator.click(5, 60, 45)
    (item,) = annotator.click(5, 100, 70).values()
    assert (item["id"], item["meta"]["track_id"]) == (f"{name}-5", name)
    annotator.accept()
    annotator.track(5)
    assert [prompt.frame for prompt in annotator.service.tracker.calls[-1].prompts] == [0, 5]


def test_masks_that_a_newer_reply_has_overtaken_are_not_taken_for_a_humans(annotator: Annotator) -> None:
    name = clicked(annotator)
    annotator.track()
    annotator.accept()
    annotator.paint(6, (10, 70, 30, 90), name=f"{name}-6")
    annotator.track(6)
    annotator.reject()  # what is saved are the masks of the first reply, and the human's
    annotator.track(6)
    assert [[prompt.frame for prompt in call.prompts] for call in annotator.service.tracker.calls] == [[0], [0, 6]]


def test_a_mask_that_the_browser_drew_anew_is_the_same(annotator: Annotator) -> None:
    name = clicked(annotator)
    annotator.track()
    annotator.accept()
    for region in annotator.regions.values():
        region["value"] = {**region["value"], "rle": [*region["value"]["rle"], 0, 0]}
    annotator.track()
    assert len(annotator.service.tracker.calls) == 1
    assert len(annotator.of(name)) == COUNT


def test_an_object_that_vanished_leaves_no_mask_of_an_older_reply(annotator: Annotator) -> None:
    name = clicked(annotator)
    annotator.track()
    annotator.accept()
    annotator.service.tracker.absent = frozenset({9, 10})
    annotator.paint(6, (10, 70, 30, 90), name=f"{name}-6")
    annotator.track(6)
    items = annotator.of(name)
    assert not mask_of(items[9]).any() and mask_of(items[8]).any()
    assert notes_of(items[6]) == ["tracked 1-12, absent 10-11"]


def test_a_deleted_object_is_left_alone(annotator: Annotator) -> None:
    car = clicked(annotator)
    annotator.track()
    annotator.accept()
    annotator.regions = {}
    annotator.service.tracker.calls.clear()
    annotator.paint(0, (100, 80, 120, 110), "Person", name="p")
    annotator.track()
    assert set(annotator.suggested) == {"p", *(f"p-{frame}" for frame in range(1, COUNT))}
    assert not annotator.of(car)


def test_the_time_is_kept_and_the_next_press_brings_the_rest(start: Start) -> None:
    service = start(FakeTracker(paced=True), budget=0.3)
    assert service.settings.media_root is not None
    write_slides(service.settings.media_root)
    annotator = Annotator(service)
    annotator.paint(0, BOX, name="mine")
    service.tracker.allow(4)
    annotator.track()
    assert len(annotator.of("mine")) < COUNT
    assert notes_of(annotator.suggested["mine"])[0].startswith("tracking")
    service.tracker.release()
    service.budget(30.0)
    annotator.track()
    assert sorted(annotator.of("mine")) == list(range(COUNT))
    assert len(service.tracker.calls) == 1


def test_after_a_restart_nothing_is_lost(start: Start) -> None:
    first = start()
    assert first.settings.media_root is not None
    write_slides(first.settings.media_root)
    annotator = Annotator(first)
    name = clicked(annotator)
    annotator.track()
    annotator.accept()
    first.close()
    annotator.service = start()
    annotator.track()
    assert len(annotator.of(name)) == COUNT
    assert annotator.service.tracker.calls == []


def test_a_picture_that_cannot_be_had_is_told_at_the_objects_masks(annotator: Annotator) -> None:
    annotator.paint(0, BOX, name="mine")
    annotator.data = {"frames": [*annotator.data["frames"][:5], "slides/gone.png"]}
    annotator.track()
    (item,) = annotator.suggested.values()
    assert item["id"] == "mine"
    (note,) = notes_of(item)
    assert note.startswith("not tracked: ") and "gone.png" in note


def test_without_a_humans_mask_there_is_nothing_to_track_from(annotator: Annotator) -> None:
    name = clicked(annotator)
    annotator.track()
    annotator.accept()
    del annotator.regions[f"{name}-0"]
    annotator.track()
    assert len(annotator.service.tracker.calls) == 1
    items = annotator.of(name)
    assert sorted(items) == list(range(1, COUNT))
    assert notes_of(items[4])[0].startswith("not tracked: no mask of it was clicked or painted by a human")


def test_nothing_drawn_nothing_tracked(annotator: Annotator) -> None:
    assert annotator.track() == {}


def test_a_broken_mask_is_refused_with_its_place(annotator: Annotator) -> None:
    region: dict[str, Any] = annotator.paint(0, BOX, name="mine")
    region["value"]["rle"] = encode_mask(Mask.from_array(filled(BOX)).array())[:-9]
    mark = annotator._mark("keypointlabels", "click", 0, {"x": 1.0, "y": 1.0, "keypointlabels": ["Track"]})
    annotator.marks["t"] = mark
    status, body = annotator.service.predict(annotator.body("Track"))
    assert status >= 400
    assert "tasks[0].drafts[0].result[0].value.rle" in str(body)
