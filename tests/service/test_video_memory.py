from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from backend.service import video_memory
from backend.service.video_memory import MAX_OBJECTS, SECONDS, Memory
from backend.service.video_payloads import UNNAMED
from backend.tracking.click import Answer
from backend.tracks import BoolArray, Mask, Point, Prompt
from support.fake_tracker import PATIENCE

TASK, VIDEO = ("1", "1"), "a video"


def square(left: int) -> BoolArray:
    mask = np.zeros((20, 40), bool)
    mask[5:10, left : left + 5] = True
    return mask


def clicked(*xs: float, frame: int = 3) -> Prompt:
    return Prompt("a", frame, points=tuple(Point(x, 5) for x in xs))


def answer(number: int) -> Answer:
    return Answer(square(number), 0.5, cast(Any, number))


def test_an_answer_is_known_to_the_same_prompt_and_its_logits_to_a_longer_one() -> None:
    known = Memory().known(TASK, "a", VIDEO)
    assert (known.answered(clicked(1)), known.logits(clicked(1))) == (None, None)
    known.answer(clicked(1, 2), answer(7))
    same = known.answered(clicked(1, 2))
    assert same is not None and np.array_equal(same, square(7))
    assert known.answered(clicked(1, 2, 3)) is None
    assert [known.logits(clicked(*xs)) for xs in ((1, 2), (1, 2, 3), (1,), (2, 1))] == [7, 7, None, None]
    assert known.logits(clicked(1, 2, 3, frame=4)) is None


def test_an_object_is_known_by_its_task_its_name_and_its_video() -> None:
    memory = Memory()
    known = memory.known(TASK, "a", VIDEO)
    assert memory.known(TASK, "a", VIDEO) is known
    assert memory.known(TASK, "b", VIDEO) is not known
    assert memory.known(("1", "2"), "a", VIDEO) is not known
    assert memory.known(TASK, "a", "another video") is not known
    assert memory.known(TASK, "a", VIDEO) is not known


def test_the_objects_used_last_are_remembered_for_a_while() -> None:
    now = [0.0]
    memory = Memory(lambda: now[0])
    first, second = memory.known(TASK, "0", VIDEO), memory.known(TASK, "1", VIDEO)
    for number in range(2, MAX_OBJECTS):
        memory.known(TASK, str(number), VIDEO)
    assert memory.known(TASK, "0", VIDEO) is first
    memory.known(TASK, "one more", VIDEO)
    assert memory.known(TASK, "0", VIDEO) is first
    assert memory.known(TASK, "1", VIDEO) is not second
    now[0] += SECONDS - 1
    assert memory.known(TASK, "0", VIDEO) is first
    now[0] += SECONDS
    assert memory.known(TASK, "0", VIDEO) is not first


def test_a_task_that_is_dropped_tells_where_its_video_is() -> None:
    memory = Memory()
    known, other = memory.known(TASK, "a", VIDEO), memory.known(("1", "2"), "a", VIDEO)
    memory.note_video(TASK, Path("a.mp4"), VIDEO)
    assert memory.drop(TASK) == (Path("a.mp4"), VIDEO)
    assert memory.drop(TASK) is None
    assert memory.known(TASK, "a", VIDEO) is not known
    assert memory.known(("1", "2"), "a", VIDEO) is other


def test_masks_to_track_from_come_back_as_they_were() -> None:
    known = Memory().known(TASK, "a", VIDEO)
    known.correct(9, square(20))
    prompts = known.correct(3, square(1))
    assert [(one.object_id, one.frame, one.box, one.points) for one in prompts] == [
        ("a", 3, None, ()),
        ("a", 9, None, ()),
    ]
    for prompt, mask in zip(prompts, (square(1), square(20)), strict=True):
        assert prompt.mask is not None and np.array_equal(prompt.mask, mask)


@pytest.mark.parametrize(("left", "same"), [(10, True), (14, True), (15, False), (30, False)])
def test_an_object_without_a_name_is_told_by_where_it_was(left: int, same: bool) -> None:
    known = Memory().known(TASK, UNNAMED, VIDEO)
    known.correct(0, square(0))
    known.follow(5, Mask.from_array(square(10)))
    assert [prompt.frame for prompt in known.correct(5, square(left))] == ([5, 0] if same else [5])


def test_where_it_was_is_remembered_for_a_bounded_number_of_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video_memory, "MAX_TRACKED", 3)
    known = Memory().known(TASK, UNNAMED, VIDEO)
    known.correct(0, square(0))
    for frame in range(1, 5):
        known.follow(frame, Mask.from_array(square(frame)))
    assert [prompt.frame for prompt in known.correct(2, square(2))] == [2, 0]
    assert [prompt.frame for prompt in known.correct(1, square(1))] == [1]


def test_where_it_was_is_remembered_in_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    size = len(Mask.from_array(square(1)).counts)
    monkeypatch.setattr(video_memory, "MAX_TRACKED_BYTES", 3 * size)
    known = Memory().known(TASK, UNNAMED, VIDEO)
    known.correct(0, square(1))
    before = known.size
    for frame in (1, 2, 3, 3, 3, 4):
        known.follow(frame, Mask.from_array(square(1)))
    assert known.size - before == 3 * size
    assert [prompt.frame for prompt in known.correct(2, square(1))] == [2, 0]
    assert [prompt.frame for prompt in known.correct(1, square(1))] == [1]
    assert known.size == size


def test_an_object_may_be_corrected_by_another_worker_while_memory_is_counted() -> None:
    known = Memory().known(TASK, UNNAMED, VIDEO)
    for frame in range(3):
        known.correct(frame, square(1))
    size = known.size

    class Corrected:
        """A mask at which another worker comes in between."""

        @property
        def counts(self) -> bytes:
            known.correct(0, square(1))
            known.correct(9, square(50))  # another object
            return Mask.from_array(square(1)).counts

    known._corrections[2] = Corrected()  # type: ignore[assignment]
    assert known.size == size
    assert [prompt.frame for prompt in known.correct(9, square(50))] == [9]


def test_objects_that_take_much_memory_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = Memory()
    objects = [memory.known(TASK, str(number), VIDEO) for number in range(4)]
    for known in objects:
        known.correct(0, square(1))
        known.answer(clicked(1), answer(1))
    monkeypatch.setattr(video_memory, "MAX_BYTES", 2 * objects[0].size)
    new = memory.known(TASK, "new", VIDEO)
    assert [memory.known(TASK, str(number), VIDEO) is objects[number] for number in (2, 3)] == [True, True]
    assert memory.known(TASK, "new", VIDEO) is new
    monkeypatch.setattr(video_memory, "MAX_BYTES", 1)
    new.correct(0, square(1))
    assert memory.known(TASK, "new", VIDEO) is new  # the one that is asked for stays
    assert memory.known(TASK, "3", VIDEO) is not objects[3]


def test_two_workers_at_one_object_take_turns() -> None:
    known = Memory().known(TASK, UNNAMED, VIDEO)
    looked_at, go_on = threading.Event(), threading.Event()

    class Slow:
        """A mask that the other worker does not wait for."""

        @property
        def counts(self) -> bytes:
            looked_at.set()
            assert go_on.wait(PATIENCE)
            return Mask.from_array(square(1)).counts

    with ThreadPoolExecutor(2) as workers:
        following = workers.submit(known.follow, 5, cast(Any, Slow()))
        assert looked_at.wait(PATIENCE)
        correcting = workers.submit(known.correct, 9, square(30))  # another object: the other one is forgotten
        wait([correcting], timeout=0.2)
        go_on.set()
        following.result()
        assert [prompt.frame for prompt in correcting.result()] == [9]
    assert known.size == len(Mask.from_array(square(30)).counts)
