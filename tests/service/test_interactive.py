from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from backend.errors import MediaError, VideoError, WeightsError
from support.clips import coded_frames, make_clip
from support.fake_tracker import PATIENCE, FakeTracker
from support.service import (
    ALL,
    DRAWN,
    FPS,
    FRAMES,
    WIDTH,
    Background,
    Item,
    Service,
    advance,
    box_at,
    choice,
    finish,
    keyframe,
    moved,
    notes_of,
    press,
    region,
    sequence_of,
    shown,
    without_notes,
)

Start = Callable[..., Service]


# --- a first press -------------------------------------------------------------------------------


def test_a_box_becomes_a_track(service: Service) -> None:
    entry = service.entry(region("a", DRAWN))
    (item,) = entry["result"]
    assert (item["id"], item["value"]["labels"], item["type"]) == ("a", ["Car"], "videorectangle")
    assert (item["from_name"], item["to_name"]) == ("box", "video")
    (human,) = (one for one in sequence_of(item) if one["frame"] == 10)
    assert list(human.items()) == list(DRAWN.items())
    frames = [one["frame"] for one in sequence_of(item)]
    assert frames == sorted(set(frames)) and len(frames) < FRAMES / 2
    assert shown(item) == ALL
    for frame in ALL:
        assert box_at(item, frame) == pytest.approx((40 + frame - 10, 30, 32, 24), abs=1.0)
    assert notes_of(item) == ["tracked 1-30"]
    assert item["score"] == entry["score"] == pytest.approx(0.75)
    assert entry["model_version"] == service.keytrack.model_version
    (call,) = service.tracker.calls
    assert call.direction == {"a": "both"}
    assert call.boxes_of("a") == {9: pytest.approx((40, 30, 72, 54))}


@pytest.mark.parametrize(
    ("direction", "visible"), [("forward", range(10, 31)), ("backward", range(1, 11)), ("both", range(1, 31))]
)
def test_the_direction_is_the_regions_own(service: Service, direction: str, visible: range) -> None:
    drawn = region("a", DRAWN)
    item, companion = service.press(drawn, choice(drawn, direction))
    # A keyframe of a human cannot close a span: its box stays for one frame more.
    assert shown(item) == [*visible, *([11] if direction == "backward" else [])]
    assert companion == choice(drawn, direction)


def test_absent_and_doubtful_frames_are_told(start: Start) -> None:
    tracker = FakeTracker()
    tracker.absent = frozenset({19, 20, 21, 24})
    tracker.doubtful = frozenset({2, 3})
    item = start(tracker).press_one(region("a", DRAWN))
    assert notes_of(item) == ["tracked 1-30, doubtful at 3-4, absent 20-22, 25", "look at frame 3 next: 3-4 doubtful"]
    assert [frame for frame in ALL if frame not in shown(item)] == [20, 21, 22, 25]
    assert 0.6 < item["score"] < 0.75  # about the worst place


def test_the_annotators_own_notes_and_keys_stay(service: Service) -> None:
    drawn = region("a", DRAWN, meta={"text": ["look closer"], "track_id": 7}, locked=True)
    item = service.press_one(drawn)
    assert item["meta"]["text"] == ["look closer\nKeytrack: tracked 1-30"]
    assert (item["meta"]["track_id"], item["locked"]) == (7, True)
    assert service.press_one(item)["meta"]["text"] == ["look closer\nKeytrack: tracked 1-30"]


def test_a_frame_rate_that_is_not_the_files_is_told(service: Service) -> None:
    drawn = region("a", keyframe(1, 40, 30, 32, 24))
    item = service.press_one(drawn, data={"video": "clip.mp4", "fps": 30})
    assert notes_of(item)[0] == "tracked 1-90"
    assert "30 frames per second, but the video has 10" in notes_of(item)[1]


def test_a_frame_rate_that_cannot_be_is_told(service: Service) -> None:
    item = service.press_one(region("a", DRAWN), data={"video": "clip.mp4", "fps": -3})
    assert "frame rate is -3" in notes_of(item)[0]


def test_an_empty_press_is_answered(service: Service) -> None:
    assert service.press() == []
    assert service.tracker.calls == []


# --- several regions -----------------------------------------------------------------------------


def test_all_regions_of_the_class_are_tracked_in_one_pass(service: Service) -> None:
    cars = [region("a", DRAWN), region("b", keyframe(20, 90, 60, 20, 20))]
    first, second = service.press(*cars)
    assert (first["id"], second["id"]) == ("a", "b")
    assert [frozenset(p.object_id for p in call.prompts) for call in service.tracker.calls] == [{"a", "b"}]
    assert box_at(first, 20) == pytest.approx((50, 30, 32, 24), abs=1)
    assert box_at(second, 10) == pytest.approx((80, 60, 20, 20), abs=1)


def test_each_press_changes_only_its_class(service: Service) -> None:
    cars = service.press(region("a", DRAWN), region("b", keyframe(20, 90, 60, 20, 20)))
    persons = service.press(region("p", keyframe(5, 10, 80, 12, 30), label="Person"))
    assert [item["id"] for item in persons] == ["p"]
    assert persons[0]["value"]["labels"] == ["Person"]
    assert service.press(*cars) == cars
    assert len(service.tracker.calls) == 2


def test_other_results_in_the_context_are_left_out(service: Service) -> None:
    others = [
        {"id": "x", "type": "timelinelabels", "from_name": "tl", "to_name": "video", "value": {"ranges": []}},
        {"type": "relation", "from_id": "a", "to_id": "b"},
        {**region("other", DRAWN), "from_name": "anotherbox"},
    ]
    assert [item["id"] for item in service.press(*others, region("a", DRAWN))] == ["a"]


# --- pressing again ------------------------------------------------------------------------------


def test_pressing_again_changes_nothing_and_tracks_nothing(service: Service) -> None:
    first = service.press_one(region("a", DRAWN))
    browsers = {**first, "value": {**first["value"], "sequence": [{**k, "time": 99.5} for k in sequence_of(first)]}}
    again = service.press_one(browsers)
    assert notes_of(again) == ["tracked 1-30"]
    assert [{**k, "time": 0} for k in sequence_of(again)] == [{**k, "time": 0} for k in sequence_of(first)]
    human = next(one for one in sequence_of(again) if one["frame"] == 10)
    assert human["time"] == 99.5  # the human's keyframes come back as they came
    assert len(service.tracker.calls) == 1


def test_a_finished_track_is_returned_without_its_video(service: Service, tmp_path: Path) -> None:
    first = service.press_one(region("a", DRAWN))
    (tmp_path / "media" / "clip.mp4").unlink()
    assert service.press_one(first) == first


def test_another_class_needs_no_new_track(service: Service) -> None:
    first = service.press_one(region("a", DRAWN))
    renamed = {**first, "value": {**first["value"], "labels": ["Person"]}}
    assert service.press_one(renamed)["value"]["labels"] == ["Person"]
    assert len(service.tracker.calls) == 1


def test_a_correction_is_a_further_prompt_and_comes_back_to_the_last_decimal(service: Service) -> None:
    first = service.press_one(region("a", DRAWN))
    corrected = moved(first, 20, x=12.345678901234567, y=33.3, width=20.0, height=20.0)
    drawn = next(one for one in sequence_of(corrected) if one["frame"] == 20)
    second = service.press_one(corrected)
    assert [one for one in sequence_of(second) if one["frame"] in (10, 20)] == [DRAWN, drawn]
    assert sorted(service.tracker.calls[1].boxes_of("a")) == [9, 19]
    assert box_at(second, 30) == pytest.approx((12.345678901234567 * 1.6 + 10, 40, 32, 24), abs=1)
    assert service.press_one(second) == second
    assert len(service.tracker.calls) == 2


def test_only_the_region_that_changed_is_tracked_anew(service: Service) -> None:
    first, second = service.press(region("a", DRAWN), region("b", keyframe(20, 90, 60, 20, 20)))
    after = service.press(moved(first, 25, x=1.0), second)
    assert [p.object_id for p in service.tracker.calls[1].prompts] == ["a", "a"]
    assert after[1] == second
    assert after[0] != first


@pytest.mark.parametrize("change", ["direction", "video", "frame rate", "human keyframe deleted"])
def test_what_else_asks_for_a_new_track(service: Service, tmp_path: Path, change: str) -> None:
    shutil.copy(tmp_path / "media" / "clip.mp4", tmp_path / "media" / "other.mp4")
    first = service.press_one(region("a", DRAWN, keyframe(20, 60, 40, 32, 24)))
    further: list[Item] = []
    data: Item = {"video": "clip.mp4", "fps": FPS}
    if change == "direction":
        further = [choice(first, "forward")]
    elif change == "video":
        data["video"] = "other.mp4"
    elif change == "frame rate":
        data["fps"] = 20
    else:
        kept = [one for one in sequence_of(first) if one["frame"] != 20]
        first = {**first, "value": {**first["value"], "sequence": kept}}
    service.press(first, *further, data=data)
    assert len(service.tracker.calls) == 2
    expected = {9} if "deleted" in change else {9 // 2, 19 // 2} if change == "frame rate" else {9, 19}
    assert set(service.tracker.calls[1].boxes_of("a")) == expected


def test_a_deleted_keyframe_of_the_model_comes_back(service: Service) -> None:
    first = service.press_one(region("a", DRAWN))
    kept = [one for one in sequence_of(first) if one["frame"] in (1, 10)]
    again = service.press_one({**first, "value": {**first["value"], "sequence": kept}})
    assert sequence_of(again) == sequence_of(first)
    assert len(service.tracker.calls) == 1


def test_undo_brings_back_the_answer_of_before(service: Service) -> None:
    first = service.press_one(region("a", DRAWN))
    frame = next(one["frame"] for one in sequence_of(first) if one["frame"] != 10)
    service.press_one(moved(first, frame, x=1.0))
    undone = service.press_one(first)
    assert sequence_of(undone) == sequence_of(first)
    assert sorted(service.tracker.calls[2].boxes_of("a")) == [9]


def test_a_reply_that_never_arrived_makes_no_human_keyframes(service: Service) -> None:
    first = service.press_one(region("a", DRAWN))
    service.press_one(moved(first, 20, x=5.0))  # the browser never sees this reply, and the annotator starts over
    service.press_one(moved(first, 25, x=6.0))
    assert sorted(service.tracker.calls[2].boxes_of("a")) == [9, 24]


def test_where_the_human_ends_a_span_it_ends(service: Service) -> None:
    first = service.press_one(region("a", DRAWN))
    drawn = moved(first, 20, x=50 / WIDTH * 100, y=25.0, enabled=False)
    closed = {**drawn, "value": {**drawn["value"], "sequence": sequence_of(drawn)[:-1]}}
    assert sequence_of(closed)[-1]["frame"] == 20
    second = service.press_one(closed)
    assert shown(second) == list(range(1, 21))
    assert service.press_one(second) == second


# --- the budget ----------------------------------------------------------------------------------


@pytest.fixture
def paced(start: Start) -> Service:
    """A service that answers within a moment, with a tracker that waits for permission."""
    service = start(FakeTracker(paced=True))
    service.budget(0.05)
    return service


def test_a_press_returns_what_is_done_and_the_next_ones_the_rest(paced: Service) -> None:
    early = paced.press_one(region("a", DRAWN))
    assert sequence_of(early) == [DRAWN]
    (note,) = notes_of(early)
    assert note.startswith("tracking: ") and note.endswith(", press t again for more")

    advance(paced, 7)
    partial = paced.press_one(early)
    assert notes_of(partial) == ["tracking: frames 7-13 of 30 done, press t again for more"]
    assert shown(partial) == list(range(7, 14))
    assert sequence_of(partial)[-1]["enabled"] is False
    assert DRAWN in sequence_of(partial)

    paced.budget(PATIENCE)
    waiting = Background(lambda: paced.press_one(partial))
    finish(paced)
    complete = waiting.result()
    assert notes_of(complete) == ["tracked 1-30"]
    assert shown(complete) == ALL
    assert len(paced.tracker.calls) == 1


def test_a_track_that_ended_in_the_background_is_returned_at_once(paced: Service) -> None:
    early = paced.press_one(region("a", DRAWN))
    finish(paced)
    paced.budget(PATIENCE)
    complete = paced.press_one(early)
    assert notes_of(complete) == ["tracked 1-30"]
    assert len(paced.tracker.calls) == 1


def test_moving_the_last_keyframe_of_a_partial_track_hides_nothing(paced: Service) -> None:
    early = paced.press_one(region("a", DRAWN))
    paced.tracker.until(lambda: len(paced.tracker.calls) == 1)
    advance(paced, 7)
    partial = paced.press_one(early)
    last = sequence_of(partial)[-1]
    assert (last["frame"], last["enabled"]) == (13, False)
    paced.press_one(moved(partial, 13, x=last["x"] + 2))
    finish(paced)
    paced.budget(PATIENCE)
    complete = paced.press_one(moved(partial, 13, x=last["x"] + 2))
    assert shown(complete) == ALL
    assert sorted(paced.tracker.calls[1].boxes_of("a")) == [9, 12]


def test_an_end_where_a_partial_track_had_its_own_hides_what_follows(paced: Service) -> None:
    early = paced.press_one(region("a", DRAWN))
    paced.tracker.until(lambda: len(paced.tracker.calls) == 1)
    advance(paced, 7)
    partial = paced.press_one(early)
    last = sequence_of(partial)[-1]
    assert (last["frame"], last["enabled"]) == (13, False)
    finish(paced)
    paced.budget(PATIENCE)
    complete = paced.press_one(partial)
    ended = moved(complete, 13, **{**last, "x": last["x"] + 2})
    ended["value"]["sequence"] = [one for one in sequence_of(ended) if one["frame"] <= 13]
    assert shown(paced.press_one(ended)) == list(range(1, 14))


def test_a_correction_keeps_older_results_on_show_until_newer_ones_come(start: Start) -> None:
    service = start()
    first = service.press_one(region("a", DRAWN))
    service.tracker = FakeTracker(paced=True)
    service.keytrack._engine._trackers[0] = service.tracker
    service.budget(0.05)
    corrected = moved(first, 20, x=10.0)
    service.press_one(corrected)
    service.tracker.until(lambda: len(service.tracker.calls) == 1)
    advance(service, 4)
    partial = service.press_one(corrected)
    assert notes_of(partial) == ["tracking again: frames 18-21 done, press t again for more"]
    assert shown(partial) == ALL


def test_a_first_keyframe_that_moved_leaves_nothing_of_the_old_track(start: Start) -> None:
    service = start()
    first = service.press_one(region("a", DRAWN))
    service.tracker = FakeTracker(paced=True)
    service.keytrack._engine._trackers[0] = service.tracker
    service.budget(0.05)
    elsewhere = moved(first, 10, x=60.0)
    service.press_one(elsewhere)
    service.tracker.until(lambda: len(service.tracker.calls) == 1)
    advance(service, 3)
    assert shown(service.press_one(elsewhere)) == [9, 10, 11]


def test_a_finished_track_has_nothing_left_of_the_one_before(service: Service) -> None:
    drawn = region("a", keyframe(5, 35, 30, 32, 24), keyframe(15, 45, 30, 32, 24))
    first, mode = service.press(drawn, choice(drawn, "forward"))
    assert shown(first) == list(range(5, 31))
    kept = [one for one in sequence_of(first) if one["frame"] >= 15]
    later = {**first, "value": {**first["value"], "sequence": kept}}
    assert shown(service.press(later, mode)[0]) == list(range(15, 31))


def test_the_budget_covers_a_slow_download(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    service = start(budget=0.05)
    arrived = threading.Event()
    resolve = service.keytrack._media.resolve

    def slow(*args: Any) -> Path:
        assert arrived.wait(PATIENCE)
        return resolve(*args)

    monkeypatch.setattr(service.keytrack._media, "resolve", slow)
    early = service.press_one(region("a", DRAWN))
    assert notes_of(early) == ["tracking: fetching the video, press t again for more"]
    assert without_notes(early) == without_notes(region("a", DRAWN))
    arrived.set()
    service.budget(PATIENCE)
    assert notes_of(service.press_one(early)) == ["tracked 1-30"]


def test_the_budget_covers_loading_the_models(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    service = start(budget=0.05)
    loading, loaded = threading.Event(), threading.Event()

    def slow() -> FakeTracker:
        loading.set()
        assert loaded.wait(PATIENCE)
        return service.tracker

    monkeypatch.setattr(service.keytrack._engine, "_factories", [slow])
    early = service.press_one(region("a", DRAWN))
    assert loading.wait(PATIENCE)
    early = service.press_one(early)
    assert notes_of(early) == ["tracking: loading the models, press t again for more"]
    loaded.set()
    service.budget(PATIENCE)
    assert notes_of(service.press_one(early)) == ["tracked 1-30"]


# --- presses that overtake one another -----------------------------------------------------------


def test_the_newest_press_wins(paced: Service) -> None:
    paced.budget(PATIENCE)
    older = Background(lambda: paced.press_one(region("a", DRAWN)))
    paced.tracker.until(lambda: len(paced.tracker.calls) == 1)
    edited = region("a", DRAWN, keyframe(20, 90, 60, 20, 20))
    newer = Background(lambda: paced.press_one(edited))
    assert older.result() == region("a", DRAWN)  # let go at once, with what it came with
    paced.tracker.release()
    final = newer.result()
    assert notes_of(final) == ["tracked 1-30"]
    assert [one for one in sequence_of(final) if one["frame"] in (10, 20)] == sequence_of(edited)
    abandoned = paced.tracker.calls[0]
    paced.tracker.until(lambda: abandoned.ended)
    assert len(abandoned.frames) < FRAMES


def test_regions_that_did_not_change_keep_their_own_job(paced: Service) -> None:
    cars = [region("a", DRAWN), region("b", keyframe(20, 90, 60, 20, 20))]
    paced.press(*cars)
    paced.tracker.until(lambda: len(paced.tracker.calls) == 1)
    advance(paced, 4)
    edited = [moved(cars[0], 15, x=1.0), cars[1]]
    after = paced.press(*edited)
    assert notes_of(after[1])[0].startswith("tracking: frames 9-11, 20 of 30 done")
    paced.budget(PATIENCE)
    finish(paced)
    done = paced.press(*edited)
    assert [notes_of(item) for item in done] == [["tracked 1-30"], ["tracked 1-30"]]
    assert [frozenset(p.object_id for p in call.prompts) for call in paced.tracker.calls] == [{"a", "b"}, {"a"}]
    assert box_at(done[0], 15) == pytest.approx((1.6, 0, 20, 20), abs=0.5)


def test_two_tasks_do_not_disturb_each_other(paced: Service) -> None:
    paced.press_one(region("a", DRAWN), number=1)
    paced.press_one(region("a", keyframe(5, 10, 10, 20, 20)), number=2)
    paced.budget(PATIENCE)
    paced.tracker.release()
    one = paced.press_one(region("a", DRAWN), number=1)
    two = paced.press_one(region("a", keyframe(5, 10, 10, 20, 20)), number=2)
    assert box_at(one, 10) == pytest.approx((40, 30, 32, 24))
    assert box_at(two, 10) == pytest.approx((15, 10, 20, 20), abs=1)
    assert len(paced.tracker.calls) == 2


# --- restarts ------------------------------------------------------------------------------------


def test_a_finished_track_survives_a_restart(start: Start) -> None:
    before = start()
    first = before.press_one(region("a", DRAWN))
    before.close()
    after = start()
    assert after.press_one(first) == first
    assert (after.tracker.calls, after.built) == ([], 0)
    corrected = after.press_one(moved(first, 20, x=5.0))
    assert sorted(after.tracker.calls[0].boxes_of("a")) == [9, 19]
    assert corrected != first


def test_an_unfinished_track_is_taken_up_again_by_the_next_press(start: Start) -> None:
    before = start(FakeTracker(paced=True))
    before.budget(0.05)
    early = before.press_one(region("a", DRAWN))
    before.tracker.until(lambda: len(before.tracker.calls) == 1)
    advance(before, 9)
    partial = before.press_one(early)
    before.close()

    after = start(FakeTracker(paced=True))
    after.budget(0.05)
    early = after.press_one(partial)
    after.tracker.until(lambda: len(after.tracker.calls) == 1)
    advance(after, 3)
    resumed = after.press_one(early)
    assert notes_of(resumed) == ["tracking: frames 6-14 of 30 done, press t again for more"]
    assert shown(resumed) == shown(partial) == list(range(6, 15))
    assert sorted(after.tracker.calls[0].boxes_of("a")) == [9]
    finish(after)
    after.budget(PATIENCE)
    assert notes_of(after.press_one(resumed)) == ["tracked 1-30"]


# --- what goes wrong -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (keyframe(10, 40, 30, 0, 24), "the box has no size"),
        (keyframe(10, 40, 30, 32, 0.1), "the box has no size"),
        (keyframe(10, 200, 30, 32, 24), "lies outside the 160 x 120 frame"),
        (keyframe(10, 40, -90, 32, 24), "lies outside the 160 x 120 frame"),
        (keyframe(90, 40, 30, 32, 24), "there is no frame 90"),
        (keyframe(0, 40, 30, 32, 24), "there is no frame 0"),
        (keyframe(-7, 40, 30, 32, 24), "there is no frame -7"),
    ],
)
def test_a_box_that_cannot_be_tracked_comes_back_with_the_reason(service: Service, bad: Item, reason: str) -> None:
    items = service.press(region("bad", bad), region("good", DRAWN))
    assert [item["id"] for item in items] == ["bad", "good"]
    assert without_notes(items[0]) == without_notes(region("bad", bad))
    assert notes_of(items[0])[0].startswith("not tracked: ") and reason in notes_of(items[0])[0]
    assert notes_of(items[1]) == ["tracked 1-30"]
    repaired = {**items[0], "value": {**items[0]["value"], "sequence": [DRAWN]}}
    assert notes_of(service.press_one(repaired)) == ["tracked 1-30"]


def test_a_region_without_keyframes_comes_back_with_the_reason(service: Service) -> None:
    item = service.press_one(region("a"))
    assert "no keyframe drawn by a human" in notes_of(item)[0]
    assert sequence_of(item) == []


@pytest.mark.parametrize(
    ("video", "reason"),
    [
        ("missing.mp4", "there is no such file under the media root"),
        ("../secret.mp4", "outside the media root"),
        ("text.mp4", "text.mp4"),
        ("cut.mp4", "cut.mp4"),
        ("empty.mp4", "empty.mp4"),
        ("page.mp4", "page.mp4"),
    ],
)
def test_a_video_that_cannot_be_read_is_told_and_loses_nothing(
    service: Service, tmp_path: Path, video: str, reason: str
) -> None:
    media = tmp_path / "media"
    (media / "text.mp4").write_text("this is no video")
    (media / "empty.mp4").write_bytes(b"")
    (media / "page.mp4").write_text("<html><body>Log in</body></html>")
    (media / "cut.mp4").write_bytes((media / "clip.mp4").read_bytes()[:200])
    drawn = region("a", DRAWN, meta={"text": ["mine"]})
    item = service.press_one(drawn, video=video)
    assert without_notes(item) == without_notes(drawn)
    assert item["meta"]["text"][0].startswith("mine\nKeytrack: not tracked: ")
    assert reason in notes_of(item)[0]
    shutil.copy(media / "clip.mp4", media / "missing.mp4")
    if video == "missing.mp4":  # the next press tries again
        assert notes_of(service.press_one(item, video=video)) == ["tracked 1-30"]


def test_a_video_that_breaks_off_keeps_what_was_tracked(start: Start) -> None:
    tracker = FakeTracker()
    tracker.fails_at[4] = VideoError("clip.mp4: frame 4 cannot be decoded")
    service = start(tracker)
    item = service.press_one(region("a", DRAWN))
    assert notes_of(item) == ["stopped after frames 6-14 of 30: clip.mp4: frame 4 cannot be decoded"]
    assert shown(item) == list(range(6, 15))
    tracker.fails_at.clear()
    assert notes_of(service.press_one(item)) == ["tracked 1-30"]


def test_a_fault_in_the_tracker_is_told_without_its_internals(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    tracker = FakeTracker()
    tracker.fails_at[9] = RuntimeError("CUDA error at 0x7f")
    service = start(tracker)
    (note,) = notes_of(service.press_one(region("a", DRAWN)))
    assert note.startswith("not tracked: an internal error")
    assert "CUDA error at 0x7f" in caplog.text
    tracker.fails_at.clear()
    assert notes_of(service.press_one(region("b", DRAWN))) == ["tracked 1-30"]


def test_missing_weights_are_told_and_asked_for_again(start: Start) -> None:
    service = start()
    service.refuses = WeightsError("mobile_sam.pt could not be fetched; place it by hand")
    item = service.press_one(region("a", DRAWN))
    assert notes_of(item) == ["not tracked: mobile_sam.pt could not be fetched; place it by hand"]
    service.refuses = None
    assert notes_of(service.press_one(item)) == ["tracked 1-30"]
    assert service.built == 2


def test_models_are_built_once_and_only_when_a_track_starts(service: Service) -> None:
    service.press_one(region("bad", keyframe(10, 40, 30, 0, 24)))
    assert service.built == 0
    service.press_one(region("a", DRAWN))
    service.press_one(region("b", DRAWN))
    assert service.built == 1


def test_warming_up_builds_the_models(service: Service) -> None:
    service.keytrack.warm_up()
    service.press_one(region("a", DRAWN))
    assert service.built == 1


def test_a_failed_download_is_tried_again(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any) -> Path:
        raise MediaError("http://ls/data/upload/1/a.mp4: Label Studio refused the token")

    with monkeypatch.context() as patch:
        patch.setattr(service.keytrack._media, "resolve", refuse)
        item = service.press_one(region("a", DRAWN))
    assert notes_of(item) == ["not tracked: http://ls/data/upload/1/a.mp4: Label Studio refused the token"]
    assert notes_of(service.press_one(item)) == ["tracked 1-30"]


def test_the_media_is_fetched_with_what_setup_reported(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    resolve = service.keytrack._media.resolve
    monkeypatch.setattr(service.keytrack._media, "resolve", lambda *args: (seen.append(args), resolve(*args))[1])
    setup = {"project": "1.17", "schema": "<View/>", "hostname": "http://ls:8080", "access_token": "s3cret"}
    assert service.client.post("/setup", json=setup).status_code == 200
    service.press_one(region("a", DRAWN))
    ((name, access),) = seen
    assert (name, access.url, access.token.get_secret_value()) == ("clip.mp4", "http://ls:8080", "s3cret")


def test_a_long_clip_of_another_size_is_another_video(service: Service, tmp_path: Path) -> None:
    first = service.press_one(region("a", DRAWN))
    make_clip(tmp_path / "media" / "larger.mp4", coded_frames(12, 320, 240), fps=FPS)
    again = service.press_one(first, video="larger.mp4")
    assert notes_of(again)[0] == "tracked 1-12"
    assert service.tracker.calls[1].boxes_of("a") == {9: pytest.approx((80, 60, 144, 108))}


def test_the_body_of_a_press_is_what_label_studio_sends() -> None:
    body = press(region("a", DRAWN))
    assert set(body["params"]) == {"login", "password", "context"}
