"""The service with several workers, without Ray."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from backend.service.payloads import annotator_of
from support.fake_tracker import FakeTracker
from support.service import DRAWN, Background, Service, notes_of, region

Start = Callable[..., Service]


def test_two_tasks_are_tracked_at_once_and_each_stays_where_it_was(start: Start) -> None:
    trackers = [FakeTracker(paced=True), FakeTracker(paced=True)]
    service = start(factories=[lambda: trackers[0], lambda: trackers[1]])
    pressing = [Background(lambda number=number: service.press_one(region("a", DRAWN), id=number)) for number in (1, 2)]
    for tracker in trackers:
        tracker.until(lambda tracker=tracker: len(tracker.calls) == 1)
    page = service.client.get("/", headers={"Accept": "text/html"}).get_data(as_text=True)
    assert "worker 1" in page and "worker 2" in page
    assert "task 1 of project 1" in page and "task 2 of project 1" in page
    assert service.keytrack.health()["workers"] == {"idle": 0, "busy": 2, "lost": 0}
    for tracker in trackers:
        tracker.release()
    assert [notes_of(one.result()) for one in pressing] == [["tracked 1-30"]] * 2
    for number in (2, 1):
        assert notes_of(service.press_one(region("b", DRAWN, label="Person"), id=number)) == ["tracked 1-30"]
    assert [len(tracker.calls) for tracker in trackers] == [2, 2]


def test_all_presses_of_an_annotator_have_one_share(start: Start) -> None:
    tracker = FakeTracker(paced=True)
    service = start(tracker, budget=0.05)
    for number, user in ((1, "ann@example.org"), (2, "ann@example.org"), (3, "bob@example.org"), (4, None)):
        drafts = [] if user is None else [{"id": number, "user": user, "result": []}]
        service.press_one(region("a", DRAWN), id=number, drafts=drafts)
    owners = [job.ticket.owner for job in service.keytrack._jobs.live()]
    assert owners == ["ann@example.org", "ann@example.org", "bob@example.org", ("1", "4")]


@pytest.mark.parametrize(
    ("task", "found"),
    [
        ({"drafts": [{"user": "ann"}]}, "ann"),
        ({"drafts": [{"result": []}, {"user": 7}]}, 7),
        ({"drafts": []}, None),
        ({"drafts": "none"}, None),
        ({"drafts": [3, {"user": ["ann"]}]}, None),
        ({}, None),
        (None, None),
    ],
)
def test_who_works_on_a_task_is_told_by_its_drafts(task: Any, found: object) -> None:
    assert annotator_of(task) == found
