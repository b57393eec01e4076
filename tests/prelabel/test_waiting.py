from __future__ import annotations

from pathlib import Path

from backend.labelstudio.config import VideoConfig
from backend.prelabel.plan import Plan, plan_task
from backend.prelabel.waiting import Order, Waiting, pack, unpack
from backend.service.interactive import Footage
from support.service import keyframe, region

CONFIG = VideoConfig(region_name="box", video_name="video", video_key="video", labels=("Car",))
FOOTAGE = Footage("clip.mp4", lambda: Path("clip.mp4"), 10.0)


def order(task: str, size: int = 1) -> Order:
    return Order("1", task, b"x" * size, "print", CONFIG, FOOTAGE)


def taken(waiting: Waiting, now: float) -> str | None:
    found = waiting.take(now)
    return None if found is None else found.task


def test_first_come_first_served_among_those_whose_turn_it_is() -> None:
    waiting = Waiting(9, 99)
    for task, due in (("1", 5.0), ("2", 0.0), ("3", 1.0)):
        assert waiting.add(order(task), due)
    assert (len(waiting), waiting.next_due()) == (3, 0.0)
    assert [taken(waiting, 0.5), taken(waiting, 0.5), taken(waiting, 9), taken(waiting, 9)] == ["2", None, "1", "3"]
    assert waiting.next_due() is None


def test_no_more_than_there_is_room_for() -> None:
    waiting = Waiting(2, 10)
    assert waiting.add(order("1", 6), 0)
    assert not waiting.add(order("2", 5), 0)
    assert waiting.add(order("2", 4), 0)
    assert not waiting.add(order("3", 0), 0)
    # In place of one of the same task, at the end.
    assert not waiting.add(order("1", 7), 0)
    assert waiting.add(order("1", 5), 0)
    assert [taken(waiting, 0), taken(waiting, 0)] == ["2", "1"]
    assert waiting.add(order("4", 10), 0)
    waiting.clear()
    assert len(waiting) == 0 and waiting.add(order("5", 10), 0)


def test_what_is_held_has_no_turn_until_another_takes_its_place() -> None:
    waiting = Waiting(2, 10)
    for task in ("1", "2"):
        waiting.add(order(task), 0)
    waiting.hold(order("1").key)
    assert ([one.task for one in waiting.held("1")], waiting.held("2"), waiting.next_due()) == (["1"], [], 0)
    assert [taken(waiting, 9), taken(waiting, 9), waiting.next_due()] == ["2", None, None]
    assert waiting.add(order("1"), 1) and waiting.held("1") == []
    assert taken(waiting, 1) == "1"


def test_a_packed_plan_is_small_and_the_same() -> None:
    frames = [keyframe(frame, 10 + frame / 7, 20, 30, 40) for frame in range(1, 2000)]
    task = {"predictions": [{"id": 1, "result": [region("a", *frames)]}]}
    plan = plan_task(task, CONFIG, "v1")
    assert isinstance(plan, Plan)
    packed = pack(plan)
    assert len(packed) < len(str(task)) / 5
    assert unpack(packed).fingerprint == plan.fingerprint
    assert str(unpack(packed)) == str(plan)
