"""Regions as Label Studio sends them, and as they go back."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.errors import FrameOutOfRange, PayloadError, PromptError
from backend.labelstudio.config import VideoConfig
from backend.labelstudio.edits import split_human
from backend.labelstudio.regions import (
    Region,
    format_region,
    from_keyframe,
    parse_regions,
    prompts,
    replace_sequence,
    to_box,
    to_keyframe,
)
from backend.tracking.keyframes import interpolate
from backend.tracks import Box, Keyframe, box_iou
from backend.video.clock import FrameClock

Item = dict[str, Any]

CONFIG = VideoConfig(region_name="box", video_name="video", video_key="video", direction_name="mode")
SIZE = (640, 360)
CLOCK = FrameClock(np.arange(60) / 10, 6.0, 10.0)


def captured() -> list[Item]:
    """The context of a press with two cars, one with a direction, as a browser sent it."""
    value = {
        "framesCount": 60,
        "duration": 6,
        "labels": ["Car"],
        "sequence": [
            {
                "frame": 1,
                "enabled": True,
                "rotation": 0,
                "x": 2.421875,
                "y": 31.944,
                "width": 14.0625,
                "height": 25,
                "time": 0.1,
            }
        ],
    }
    names = {"from_name": "box", "to_name": "video", "type": "videorectangle", "origin": "manual"}
    choice = {name: part for name, part in value.items() if name != "labels"} | {"choices": ["backward"]}
    other = copy.deepcopy(value)
    other["sequence"][0] |= {"x": 60.5, "frame": 7}
    return [
        {"id": "HNwkcAmZaF", **names, "value": value},
        {"id": "HNwkcAmZaF", **names, "from_name": "mode", "type": "choices", "value": copy.deepcopy(choice)},
        {"id": "0bHbhI2GY8", **names, "value": other},
    ]


def keyframe(
    frame: int, x: float = 10.0, y: float = 20.0, width: float = 25.0, height: float = 50.0, **more: Any
) -> Item:
    return {"frame": frame, "enabled": True, "rotation": 0, "x": x, "y": y, "width": width, "height": height} | more


def region(*items: Item, **more: Any) -> Region:
    """A region with these keyframes."""
    raw = {"id": "r1", "from_name": "box", "to_name": "video", "type": "videorectangle"} | more
    raw["value"] = {"labels": ["Car"], "sequence": list(items)}
    (parsed,) = parse_regions([raw], CONFIG)
    return parsed


def pixels(item: Item) -> Box:
    return to_keyframe(item, 0, SIZE).box


# What comes in.


def test_captured_context() -> None:
    result = captured()
    first, second = parse_regions(result, CONFIG)
    assert (first.id, first.labels, first.direction) == ("HNwkcAmZaF", ("Car",), "backward")
    assert (second.id, second.labels, second.direction) == ("0bHbhI2GY8", ("Car",), "both")
    assert first.items[0] is result[0]["value"]["sequence"][0]
    assert first.raw is result[0]
    assert first.companions == (result[1],)
    assert second.companions == ()
    assert second.frames == {7}


@pytest.mark.parametrize("result", [None, []])
def test_nothing(result: object) -> None:
    assert parse_regions(result, CONFIG) == []


def test_other_results_are_left_aside() -> None:
    others = [
        {"type": "relation", "from_id": "a", "to_id": "b", "direction": "right"},
        {"id": "t", "type": "timelinelabels", "from_name": "phase", "to_name": "video", "value": {"ranges": 3}},
        {"id": "x", "type": "videorectangle", "from_name": "another", "to_name": "video", "value": "whatever"},
        {"id": "y", "type": "videorectangle", "from_name": "box", "to_name": "another", "value": None},
        {"id": "n", "type": "textarea", "from_name": "note", "to_name": "video", "value": {"text": ["hello"]}},
        {"id": None, "type": None, "value": None},
        {},
    ]
    assert parse_regions(others, CONFIG) == []


@pytest.mark.parametrize(
    ("chosen", "direction"),
    [
        (["forward"], "forward"),
        (["Backward"], "backward"),
        (["both"], "both"),
        (["forward", "backward"], "both"),
        (["both", "forward"], "both"),
        ([], "both"),
    ],
)
def test_direction(chosen: list[str], direction: str) -> None:
    result = captured()
    result[1]["value"]["choices"] = chosen
    assert parse_regions(result, CONFIG)[0].direction == direction


def test_a_choice_may_come_before_its_region_and_other_choices_are_no_direction() -> None:
    result = captured()
    weather = result[1] | {"from_name": "weather", "value": {"choices": ["rain"]}}
    parsed = parse_regions([weather, *reversed(result)], CONFIG)
    assert [(one.id, one.direction) for one in parsed] == [("0bHbhI2GY8", "both"), ("HNwkcAmZaF", "backward")]


def test_keyframes_are_sorted_and_the_first_of_a_frame_counts(caplog: pytest.LogCaptureFixture) -> None:
    parsed = region(keyframe(9), keyframe(2), keyframe(9, x=50.0), keyframe(5))
    assert [item["frame"] for item in parsed.items] == [2, 5, 9]
    assert parsed.items[2]["x"] == 10.0
    assert "second keyframe at frame 9" in caplog.text


def test_a_region_without_labels_or_keyframes_is_read() -> None:
    (parsed,) = parse_regions(
        [{"id": "r", "from_name": "box", "to_name": "video", "type": "videorectangle", "value": {"sequence": []}}],
        CONFIG,
    )
    assert (parsed.labels, parsed.items) == ((), ())


def put(*path: str | int, value: Any) -> Callable[[Any], Any]:
    def change(result: Any) -> Any:
        place = result
        for part in path[:-1]:
            place = place[part]
        place[path[-1]] = value
        return result

    return change


def drop(*path: str | int) -> Callable[[Any], Any]:
    def change(result: Any) -> Any:
        place = result
        for part in path[:-1]:
            place = place[part]
        del place[path[-1]]
        return result

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda _: {"id": 1}, "context.result: expected a list of results; found dict"),
        (lambda _: "box", "context.result: expected a list of results; found str"),
        (put(0, value=None), "context.result[0]: "),
        (put(2, value="region"), "context.result[2]: "),
        (put(0, "id", value=7), "context.result[0].id: "),
        (put(0, "id", value=""), "context.result[0].id: "),
        (put(0, "id", value=None), "context.result[0].id: "),
        (drop(0, "id"), "context.result[0].id: Field required"),
        (put(0, "type", value=["videorectangle"]), "context.result[0].type: "),
        (drop(0, "value"), "context.result[0].value: Field required"),
        (put(0, "value", value=[]), "context.result[0].value: "),
        (put(0, "value", "labels", value="Car"), "context.result[0].value.labels: "),
        (put(0, "value", "labels", value=[1]), "context.result[0].value.labels[0]: "),
        (put(0, "value", "duration", value="6"), "context.result[0].value.duration: "),
        (put(0, "value", "framesCount", value=True), "context.result[0].value.framesCount: "),
        (drop(0, "value", "sequence"), "context.result[0].value.sequence: Field required"),
        (put(0, "value", "sequence", value={}), "context.result[0].value.sequence: "),
        (put(2, "value", "sequence", 0, value=3), "context.result[2].value.sequence[0]: "),
        (put(2, "value", "sequence", 0, "frame", value=1.5), "context.result[2].value.sequence[0].frame: "),
        (put(2, "value", "sequence", 0, "frame", value="1"), "context.result[2].value.sequence[0].frame: "),
        (put(2, "value", "sequence", 0, "frame", value=True), "context.result[2].value.sequence[0].frame: "),
        (put(2, "value", "sequence", 0, "frame", value=10**30), "context.result[2].value.sequence[0].frame: "),
        (drop(2, "value", "sequence", 0, "frame"), "context.result[2].value.sequence[0].frame: Field required"),
        (put(2, "value", "sequence", 0, "enabled", value=1), "context.result[2].value.sequence[0].enabled: "),
        (put(2, "value", "sequence", 0, "enabled", value="false"), "context.result[2].value.sequence[0].enabled: "),
        (put(2, "value", "sequence", 0, "x", value="2"), "context.result[2].value.sequence[0].x: "),
        (put(2, "value", "sequence", 0, "x", value=None), "context.result[2].value.sequence[0].x: "),
        (put(2, "value", "sequence", 0, "y", value=True), "context.result[2].value.sequence[0].y: "),
        (put(2, "value", "sequence", 0, "width", value=math.nan), "context.result[2].value.sequence[0].width: "),
        (put(2, "value", "sequence", 0, "height", value=math.inf), "context.result[2].value.sequence[0].height: "),
        (put(2, "value", "sequence", 0, "x", value=1e300), "context.result[2].value.sequence[0].x: "),
        (put(2, "value", "sequence", 0, "x", value=10**400), "context.result[2].value.sequence[0].x: "),
        (put(2, "value", "sequence", 0, "rotation", value="45"), "context.result[2].value.sequence[0].rotation: "),
        (put(1, "value", "choices", value="backward"), "context.result[1].value.choices: "),
        (put(1, "value", "choices", value=[5]), "context.result[1].value.choices[0]: "),
        (put(1, "value", "choices", value=["sideways"]), "context.result[1].value.choices: 'sideways' is no direction"),
        (put(2, "id", value="HNwkcAmZaF"), "context.result[2].id: region 'HNwkcAmZaF' occurs twice"),
    ],
)
def test_wrong_types_are_refused_with_their_path(change: Callable[[Any], Any], message: str) -> None:
    with pytest.raises(PayloadError) as refused:
        parse_regions(change(captured()), CONFIG)
    assert str(refused.value).startswith(message)


def test_what_was_found_is_told_in_short_and_the_path_may_be_another() -> None:
    result = captured()
    result[0]["value"]["sequence"][0]["x"] = "9" * 10_000
    with pytest.raises(
        PayloadError, match=r"^tasks\[0\]\.drafts\[1\]\.result\[0\]\.value\.sequence\[0\]\.x: .*found '999"
    ) as refused:
        parse_regions(result, CONFIG, path="tasks[0].drafts[1].result")
    assert len(str(refused.value)) < 200


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3),
    max_leaves=6,
)
sequence_path = ("value", "sequence")
places = st.sampled_from(
    [
        (),
        ("id",),
        ("type",),
        ("from_name",),
        ("value",),
        ("value", "labels"),
        ("value", "choices"),
        sequence_path,
        (*sequence_path, 0),
        (*sequence_path, 0, "x"),
        (*sequence_path, 0, "frame"),
    ]
)


@given(st.integers(0, 2), places, json_values)
def test_anything_is_read_or_refused_as_a_payload(index: int, path: tuple[str | int, ...], value: Any) -> None:
    try:
        regions = parse_regions(put(index, *path, value=value)(captured()), CONFIG)
    except PayloadError:
        return
    for one in regions:
        for item in one.items:
            assert all(math.isfinite(edge) for edge in to_box(item, SIZE))


# Percent and pixels.


def test_percent_to_pixels_and_back() -> None:
    item = keyframe(3, x=10.0, y=25.0, width=50.0, height=12.5, enabled=False, rotation=30)
    assert to_keyframe(item, 2, SIZE) == Keyframe(2, (64.0, 90.0, 384.0, 135.0), False, 30)
    assert from_keyframe(to_keyframe(item, 2, SIZE), 3, 10.0, SIZE) == item | {"time": 0.3}


@pytest.mark.parametrize(
    ("rotation", "expected"),
    [
        # 160 x 90 pixels at (320, 180); positive is clockwise, about the top left corner.
        (0, (320, 180, 480, 270)),
        (90, (230, 180, 320, 340)),
        (180, (160, 90, 320, 180)),
        (-90, (320, 20, 410, 180)),
        (360, (320, 180, 480, 270)),
        (45, (320 - 90 / 2**0.5, 180, 320 + 160 / 2**0.5, 180 + 250 / 2**0.5)),
    ],
)
def test_a_rotated_box_is_enclosed(rotation: float, expected: Box) -> None:
    item = keyframe(1, x=50.0, y=50.0, width=25.0, height=25.0, rotation=rotation)
    assert to_box(item, SIZE) == pytest.approx(expected)


# Prompts.


def test_prompts_of_the_human_keyframes_only() -> None:
    parsed = region(keyframe(1), keyframe(11, x=20.0), keyframe(21, x=30.0, enabled=False), keyframe(31, x=40.0))
    found = prompts(parsed, {11, 21, 99}, CLOCK, SIZE)
    assert [(prompt.object_id, prompt.frame, prompt.box) for prompt in found] == [
        ("r1", 10, (128.0, 72.0, 288.0, 252.0)),
        ("r1", 20, (192.0, 72.0, 352.0, 252.0)),
    ]


def test_a_rotated_keyframe_prompts_with_the_box_around_it() -> None:
    (prompt,) = prompts(region(keyframe(1, x=50.0, y=50.0, width=25.0, height=25.0, rotation=90)), {1}, CLOCK, SIZE)
    assert prompt.box == pytest.approx((230, 180, 320, 340))


def test_two_keyframes_that_show_the_same_picture_give_one_prompt() -> None:
    clock = FrameClock(np.arange(60) / 10, 6.0, 20.0)
    (prompt,) = prompts(region(keyframe(5, x=5.0), keyframe(6, x=6.0)), {5, 6}, clock, SIZE)
    assert (prompt.frame, prompt.box) == (2, pixels(keyframe(5, x=5.0)))


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (keyframe(4, width=0.0), "Label Studio frame 4: .*'r1'.*no size"),
        (keyframe(4, height=0.1), "Label Studio frame 4: .*no size"),
        (keyframe(4, width=-20.0), "Label Studio frame 4: .*no size"),
        (keyframe(4, x=100.0), "Label Studio frame 4: .*outside the 640 x 360 frame"),
        (keyframe(4, y=-60.0), "Label Studio frame 4: .*outside the 640 x 360 frame"),
        (keyframe(4, x=0.0, y=0.0, rotation=180), "Label Studio frame 4: .*outside the 640 x 360 frame"),
    ],
)
def test_boxes_that_cannot_be_tracked(item: Item, message: str) -> None:
    with pytest.raises(PromptError, match=message):
        prompts(region(keyframe(1), item), {4}, CLOCK, SIZE)


@pytest.mark.parametrize("frame", [62, 10**6, 0, -3])
def test_frames_that_the_video_does_not_have(frame: int) -> None:
    with pytest.raises(FrameOutOfRange, match=f"region 'r1', Label Studio frame {frame}: "):
        prompts(region(keyframe(frame)), {frame}, CLOCK, SIZE)
    with pytest.raises(FrameOutOfRange, match=f"region 'r1', Label Studio frame {frame}: "):
        format_region(region(keyframe(frame)), {}, CLOCK, SIZE, human=[keyframe(frame)])


@pytest.mark.parametrize(("items", "human"), [((), {1}), ((keyframe(1),), set()), ((keyframe(1),), {2})])
def test_nothing_to_track_from(items: tuple[Item, ...], human: set[int]) -> None:
    with pytest.raises(PromptError, match="region 'r1' has no keyframe drawn by a human"):
        prompts(region(*items), human, CLOCK, SIZE)


# What goes out.


def moving(index: int) -> Box:
    """Right by 4 pixels a frame, with a turn at 30."""
    x = 40.0 + 4 * min(index, 30) + 2 * max(index - 30, 0)
    return (x, 72.0, x + 160, 252.0)


def drawn(formatted: Item, frame: int) -> Box | None:
    """What Label Studio draws of a result at one of its frames."""
    keyframes = [to_keyframe(item, item["frame"], SIZE) for item in formatted["value"]["sequence"]]
    shown = interpolate(keyframes, frame)
    return None if shown is None else shown.box


def test_a_track_replaces_its_region() -> None:
    result = captured()
    first, _ = parse_regions(result, CONFIG)
    before = copy.deepcopy(result)
    boxes = {index: moving(index) for index in range(60)} | {0: pixels(first.items[0])}
    formatted = format_region(
        first,
        boxes,
        CLOCK,
        SIZE,
        human=first.items,
        score=0.83,
        texts=["60 of 60 frames", "two cuts"],
        keyframe_iou=0.9,
    )
    sequence = formatted["value"].pop("sequence")
    assert formatted == {
        "id": "HNwkcAmZaF",
        "from_name": "box",
        "to_name": "video",
        "type": "videorectangle",
        "origin": "prediction",
        "score": 0.83,
        "meta": {"text": ["Keytrack: 60 of 60 frames\nKeytrack: two cuts"]},
        "value": {"framesCount": 60, "duration": 6, "labels": ["Car"]},
    }
    assert sequence[0] is first.items[0]
    assert [item["frame"] for item in sequence] == sorted({item["frame"] for item in sequence})
    assert len(sequence) <= 4
    assert set(sequence[1]) == {"frame", "enabled", "rotation", "x", "y", "width", "height", "time"}
    for item in sequence[1:]:
        assert item["time"] == pytest.approx(item["frame"] / 10)
        assert item["rotation"] == 0
    assert result == before, "what came was changed"
    json.dumps(formatted, allow_nan=False)


def test_boxes_are_within_the_bound_at_every_frame_and_hidden_elsewhere() -> None:
    boxes: dict[int, Box | None] = {index: moving(index) for index in range(5, 50)}
    boxes |= dict.fromkeys(range(20, 25))
    formatted = format_region(region(), boxes, CLOCK, SIZE, keyframe_iou=0.9)
    for frame in range(1, 61):
        dense = boxes.get(frame - 1)
        shown = drawn(formatted, frame)
        assert (shown is None) == (dense is None)
        if dense is not None and shown is not None:
            assert box_iou(shown, dense) >= 0.9 - 1e-5
    ends = [item["frame"] for item in formatted["value"]["sequence"] if not item["enabled"]]
    assert ends == [20, 50]


@pytest.mark.parametrize(("frame_rate", "count"), [(5.0, 30), (20.0, 120), (24.0, 144), (None, 144)])
def test_the_timeline_is_label_studios(frame_rate: float | None, count: int) -> None:
    clock = FrameClock(np.arange(60) / 10, 6.0, frame_rate)
    boxes: dict[int, Box | None] = {index: moving(index) for index in range(60)}
    formatted = format_region(region(), boxes, clock, SIZE)
    assert clock.frame_count == count
    for frame, index in enumerate(clock.shown().tolist(), 1):
        shown = drawn(formatted, frame)
        assert shown is not None
        assert box_iou(shown, moving(index)) >= 0.95 - 1e-5
    assert formatted["value"]["framesCount"] == count
    assert formatted["value"]["duration"] == pytest.approx(6.0)


def test_human_keyframes_come_back_to_the_last_decimal() -> None:
    human = [
        keyframe(11, x=10.123456789012345, y=20.000000001, width=25, height=50, time=1.1, mood="fine", score=0.7),
        keyframe(33, x=31.5, rotation=12.75, enabled=True, auto=True),
        keyframe(61, x=40.0),
    ]
    parsed = region(keyframe(1), *human)
    boxes: dict[int, Box | None] = {index: moving(index) for index in range(60)}
    boxes[32] = None
    sequence = format_region(parsed, boxes, CLOCK, SIZE, human=human)["value"]["sequence"]
    kept = [item for item in sequence if item["frame"] in {11, 33, 61}]
    assert [id(item) for item in kept] == [id(item) for item in human]
    assert 1 not in {item["frame"] for item in sequence if item == keyframe(1)}


def test_what_a_human_hid_stays_hidden_and_another_press_changes_nothing() -> None:
    boxes: dict[int, Box | None] = {index: moving(index) for index in range(60)}
    human = [keyframe(1, x=6.25), keyframe(20, x=18.125, enabled=False)]
    parsed = region(*human, keyframe(40, x=25.0))
    formatted = format_region(parsed, boxes, CLOCK, SIZE, human=human)
    visible = [frame for frame in range(1, 61) if drawn(formatted, frame) is not None]
    assert visible == [*range(1, 21), *range(40, 61)]

    again = region(*formatted["value"]["sequence"])
    edits = split_human(again.items, formatted["value"]["sequence"], known={1, 20})
    assert list(edits.human) == human
    assert format_region(again, boxes, CLOCK, SIZE, human=edits.human)["value"] == formatted["value"]


@pytest.mark.parametrize(
    ("closed", "visible"),
    [(None, range(1, 21)), ({20}, range(1, 21)), (set(), range(1, 61)), ({1}, [1, *range(20, 61)])],
)
def test_which_keyframes_close_a_span_can_be_told(closed: set[int] | None, visible: Sequence[int]) -> None:
    boxes: dict[int, Box | None] = {index: moving(index) for index in range(60)}
    human = [keyframe(1, x=6.25, enabled=closed != {1}), keyframe(20, x=18.125, enabled=False)]
    formatted = format_region(region(*human), boxes, CLOCK, SIZE, human=human, closed=closed)
    assert [frame for frame in range(1, 61) if drawn(formatted, frame) is not None] == list(visible)


def test_a_margin_that_the_human_left_is_on_every_frame() -> None:
    tight = {index: (40.0 + index, 50.0, 80.0 + index, 90.0) for index in range(12)}
    drawn = from_keyframe(Keyframe(0, (36.0, 46.0, 84.0, 94.0)), 1, CLOCK.frame_rate, SIZE)
    sequence = format_region(region(drawn), tight, CLOCK, SIZE, human=[drawn], keyframe_iou=0.99)["value"]["sequence"]
    shown = [to_keyframe(item, item["frame"] - 1, SIZE) for item in sequence]
    last = interpolate(shown, 11)
    assert sequence[0] is drawn
    assert last is not None
    assert last.box == pytest.approx((47.0, 46.0, 95.0, 94.0), abs=0.5)


def test_an_edit_of_what_was_handed_out_is_found() -> None:
    boxes: dict[int, Box | None] = {index: moving(index) for index in range(60)}
    emitted = format_region(region(keyframe(1)), boxes, CLOCK, SIZE, human=[keyframe(1)])["value"]["sequence"]
    sent_back = json.loads(json.dumps(emitted))
    for item in sent_back:
        item["time"] = item["frame"] / 10 + 0.1
    assert split_human(sent_back, emitted).human == ()
    sent_back[1]["x"] += 0.5
    assert split_human(sent_back, emitted, known=[1]).frames == {1, emitted[1]["frame"]}


def test_what_came_with_the_region_goes_back_with_it() -> None:
    meta = {"text": ["the red one", "Keytrack: 12 of 60 frames"], "track_id": 7}
    parsed = region(keyframe(1), meta=meta, locked=True, parentID="p", score=0.2)
    formatted = format_region(parsed, {0: moving(0)}, CLOCK, SIZE, human=parsed.items, texts=["60 of 60 frames"])
    assert formatted["meta"] == {"text": ["the red one\nKeytrack: 60 of 60 frames"], "track_id": 7}
    assert (formatted["locked"], formatted["parentID"], formatted["score"]) == (True, "p", 0.2)
    assert meta["text"] == ["the red one", "Keytrack: 12 of 60 frames"]


def test_replacing_a_sequence_takes_the_timing_only_where_there_is_none() -> None:
    sequence = [keyframe(1), keyframe(9, enabled=False)]
    replaced = replace_sequence(region(), sequence, frame_count=60, duration=6.0)
    assert replaced["value"] == {"framesCount": 60, "duration": 6.0, "labels": ["Car"], "sequence": sequence}
    assert "score" not in replaced
    again = replace_sequence(parse_regions([replaced], CONFIG)[0], [], frame_count=7, duration=0.7, score=0.5)
    assert again["value"] == {"framesCount": 60, "duration": 6.0, "labels": ["Car"], "sequence": []}
    assert again["score"] == 0.5


@pytest.mark.parametrize("meta", [None, "text", {"text": "one line"}, {"text": 5}, []])
def test_a_meta_of_another_shape_does_no_harm(meta: Any) -> None:
    formatted = format_region(region(keyframe(1), meta=meta), {0: moving(0)}, CLOCK, SIZE, texts=["done"])
    assert formatted["meta"]["text"][0].split("\n")[-1] == "Keytrack: done"


def test_a_note_that_was_edited_keeps_the_annotators_lines() -> None:
    edited = region(keyframe(1), meta={"text": ["the red one\nKeytrack: 12 of 60 frames\nbut look again"]})
    formatted = format_region(edited, {0: moving(0)}, CLOCK, SIZE, texts=["done"])
    assert formatted["meta"]["text"] == ["the red one\nbut look again\nKeytrack: done"]


def test_no_labels_are_invented() -> None:
    raw = {
        "id": "r",
        "from_name": "box",
        "to_name": "video",
        "type": "videorectangle",
        "value": {"sequence": [keyframe(1)]},
    }
    (parsed,) = parse_regions([raw], CONFIG)
    assert "labels" not in format_region(parsed, {0: moving(0)}, CLOCK, SIZE)["value"]
