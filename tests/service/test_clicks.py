"""Clicks on pictures: masks at once, refined, of the right object."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from backend.service import picture_task
from backend.tracks import Prompt
from support.fake_tracker import PATIENCE, FakeTracker
from support.service import HEIGHT, WIDTH, Background, Service
from support.slides import ADDRESSES, Annotator, Start, filled, mask_of, only, write_slides
from support.video_client import eventually


def spots(prompt: Prompt) -> list[tuple[int, int, bool]]:
    return [(round(point.x), round(point.y), point.positive) for point in prompt.points]


@pytest.fixture
def annotator(service: Service) -> Annotator:
    assert service.settings.media_root is not None
    write_slides(service.settings.media_root)
    return Annotator(service)


def test_a_click_is_answered_with_the_mask_on_its_picture(annotator: Annotator) -> None:
    item = only(annotator.click(3, 50, 40))
    assert (item["type"], item["from_name"], item["to_name"]) == ("brushlabels", "brush", "img")
    assert (item["item_index"], item["original_width"], item["original_height"]) == (3, WIDTH, HEIGHT)
    assert item["value"]["brushlabels"] == ["Car"]
    assert (item["id"], item["meta"]) == ("mark01-3", {"track_id": "mark01"})
    assert item["score"] == 0.8
    assert np.array_equal(mask_of(item), filled((46, 36, 54, 44)))


def test_a_further_click_refines_the_mask_from_its_logits(annotator: Annotator) -> None:
    first = only(annotator.click(3, 50, 40))
    second = only(annotator.click(3, 70, 40))
    third = only(annotator.click(3, 60, 80, positive=False))
    assert first["id"] == second["id"] == third["id"]
    tracker = annotator.service.tracker
    assert [logits for _, logits in tracker.clicks] == [None, 1, 2]
    assert spots(tracker.clicks[-1][0]) == [(50, 40, True), (70, 40, True), (60, 80, False)]


def test_a_click_that_is_taken_back_takes_its_logits_along(annotator: Annotator) -> None:
    annotator.click(3, 50, 40)
    annotator.click(3, 70, 40)
    item = only(annotator.delete("mark01"))
    assert item["id"] == "mark01-3"
    prompt, logits = annotator.service.tracker.clicks[-1]
    assert (spots(prompt), logits) == ([(70, 40, True)], None)


def test_accepted_clicks_are_done_and_the_next_one_begins_another_object(annotator: Annotator) -> None:
    annotator.click(3, 50, 40)
    annotator.accept()
    item = only(annotator.click(3, 120, 90))
    assert item["meta"]["track_id"] == "mark02"


def test_clicks_of_another_label_are_of_another_object_and_suggestions_are_not_lost(annotator: Annotator) -> None:
    annotator.click(3, 50, 40)
    items = annotator.click(3, 120, 90, "Person")
    assert {item["id"]: item["value"]["brushlabels"] for item in items.values()} == {
        "mark01-3": ["Car"],
        "mark02-3": ["Person"],
    }


def test_what_was_accepted_or_rejected_is_not_suggested_again(
    annotator: Annotator, monkeypatch: pytest.MonkeyPatch
) -> None:
    annotator.click(3, 50, 40)
    annotator.accept()
    annotator.click(3, 90, 90)
    annotator.reject()
    monkeypatch.setattr(picture_task, "DRAFT_LAG", -1.0)
    assert only(annotator.click(3, 120, 90, "Person"))["id"] == "mark03-3"


def test_what_was_clicked_just_now_is_suggested_before_a_draft_has_it(annotator: Annotator) -> None:
    annotator.click(3, 50, 40)
    annotator.marks = {}  # the draft was saved before the click
    assert set(annotator.click(3, 120, 90, "Person")) == {"mark01-3", "mark02-3"}


def test_clicks_on_several_pictures_are_one_object(annotator: Annotator) -> None:
    annotator.click(3, 50, 40)
    items = annotator.click(7, 60, 40)
    assert {item["item_index"]: item["meta"]["track_id"] for item in items.values()} == {3: "mark01", 7: "mark01"}
    assert len(annotator.service.tracker.clicks) == 2  # the first picture's mask is known


@pytest.mark.parametrize("saves", [True, False])
def test_a_click_on_a_mask_mends_it(annotator: Annotator, saves: bool) -> None:
    annotator.box(3, (40, 30, 80, 60))
    annotator.accept()
    annotator.saves = saves
    item = only(annotator.click(3, 70, 50, positive=False))
    assert item["id"] == "mark01-3"
    prompt, logits = annotator.service.tracker.clicks[-1]
    assert (prompt.object_id, prompt.box, logits) == ("mark01", (40, 30, 80, 60), None)
    assert prompt.mask is not None and np.array_equal(prompt.mask, filled((40, 30, 80, 60)))


def test_a_click_that_takes_away_all_is_refused(annotator: Annotator, monkeypatch: pytest.MonkeyPatch) -> None:
    annotator.paint(3, (40, 30, 80, 60))
    mark = annotator._mark("keypointlabels", "click", 3, {"x": 40.0, "y": 40.0, "keypointlabels": ["Car"]})
    annotator.marks["a"] = mark | {"is_positive": False}
    empty = np.zeros((HEIGHT, WIDTH), bool)
    found = annotator.service.tracker.click
    monkeypatch.setattr(annotator.service.tracker, "click", lambda *of: replace(found(*of), mask=empty))
    status, body = annotator.service.predict(annotator.body("Car"))
    assert status == 400
    assert "picture 4: nothing is left of the mask" in str(body)


def test_what_is_mended_may_grow_beyond_its_box(annotator: Annotator) -> None:
    annotator.paint(3, (40, 30, 80, 60), name="painted")
    annotator.click(3, 50, 50)
    item = only(annotator.click(3, 100, 70))
    assert (item["id"], item["meta"]["track_id"]) == ("painted", "painted")
    prompt, logits = annotator.service.tracker.clicks[-1]
    assert prompt.box == pytest.approx((40, 30, 100, 70))
    assert logits == 1


def test_a_click_on_a_mask_of_another_class_is_about_another_object(annotator: Annotator) -> None:
    annotator.paint(3, (40, 30, 80, 60), "Person", name="painted")
    assert only(annotator.click(3, 50, 50))["meta"]["track_id"] == "mark02"


def test_each_box_is_an_object(annotator: Annotator) -> None:
    annotator.box(3, (40, 30, 80, 60))
    items = annotator.box(3, (100, 30, 140, 60))
    assert {item["id"] for item in items.values()} == {"mark01-3", "mark02-3"}
    assert np.array_equal(mask_of(items["mark02-3"]), filled((100, 30, 140, 60)))


def test_a_box_round_a_mask_makes_it_anew(annotator: Annotator) -> None:
    annotator.paint(3, (40, 30, 80, 60), name="painted")
    item = only(annotator.box(3, (41, 31, 82, 62)))
    assert (item["id"], item["meta"]["track_id"]) == ("painted", "painted")
    assert np.array_equal(mask_of(item), filled((41, 31, 82, 62)))


def test_the_neighbouring_pictures_are_encoded_ahead(annotator: Annotator) -> None:
    annotator.click(3, 50, 40)
    tracker = annotator.service.tracker
    eventually(lambda: len(tracker.encoded) == 6)
    assert [frame for _, frame in tracker.encoded] == [3, 4, 2, 5, 6, 7]


def test_a_click_does_not_wait_for_a_track(start: Start) -> None:
    service = start(FakeTracker(paced=True), budget=30.0)
    assert service.settings.media_root is not None
    write_slides(service.settings.media_root)
    annotator = Annotator(service)
    annotator.box(0, (40, 30, 80, 60))
    annotator.accept()
    service.budget(0.2)
    annotator.track()
    service.tracker.until(lambda: len(service.tracker.calls) == 1)  # it is held on its first picture
    annotator.reject()
    service.budget(PATIENCE)
    click = Background(lambda: annotator.click(5, 120, 90, "Person"))
    # The click's turn comes with the end of the step under way.
    eventually(lambda: any(job.waiters and job.status == "ready" for job in service.keytrack._jobs.live()))
    service.tracker.allow(1)
    assert only(click.result())["item_index"] == 5
    assert not service.tracker.calls[0].ended


def test_no_marks_no_masks(annotator: Annotator) -> None:
    assert annotator.send("Car") == {}


def test_what_a_smart_brush_painted_comes_back_for_label_studio_to_keep(annotator: Annotator) -> None:
    painted = annotator.paint(3, (40, 30, 80, 60))
    status, body = annotator.service.predict(annotator.body("Car") | {"params": {"context": {"result": [painted]}}})
    assert status == 200
    (item,) = body["results"][0]["result"]
    assert item == {**painted, "meta": {"track_id": painted["id"]}}


@pytest.mark.parametrize(
    ("change", "status", "message"),
    [
        ({"frames": []}, 400, "tasks[0].data.frames: expected a list"),
        ({"frames": [*ADDRESSES[:2]]}, 400, "there is no picture 3"),
        ({"frames": [*ADDRESSES[:3], "slides/gone.png"]}, 502, "slides/gone.png"),
    ],
)
def test_what_is_wrong_with_the_pictures_is_told(
    annotator: Annotator, change: dict[str, object], status: int, message: str
) -> None:
    annotator.data = annotator.data | change
    annotator.marks["a"] = annotator._mark(
        "keypointlabels", "click", 3, {"x": 9.0, "y": 9.0, "keypointlabels": ["Car"]}
    )
    answered, body = annotator.service.predict(annotator.body("Car"))
    assert message in str(body)
    assert answered >= 400


def test_a_picture_that_is_not_as_large_as_it_was_shown_is_refused(annotator: Annotator) -> None:
    assert annotator.service.settings.media_root is not None
    write_slides(annotator.service.settings.media_root, (HEIGHT, HEIGHT))
    annotator.marks["a"] = annotator._mark(
        "keypointlabels", "click", 3, {"x": 9.0, "y": 9.0, "keypointlabels": ["Car"]}
    )
    status, body = annotator.service.predict(annotator.body("Car"))
    assert status >= 400
    assert "picture 4 is 160 x 120 pixels in the browser" in str(body)


def test_nothing_is_predicted_without_a_click(annotator: Annotator) -> None:
    body = annotator.body("Car") | {"params": {"context": None}}
    status, reply = annotator.service.predict(body)
    assert (status, reply["results"]) == (200, [[]])
