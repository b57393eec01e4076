from __future__ import annotations

import io
import re
import sys

import pytest

from backend.cli.worker_bars import EVERY, WorkerBars


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True

    def shown(self) -> str:
        """All that was drawn, without the codes that move the cursor."""
        return re.sub(r"\x1b\[[A-Z]", "", self.getvalue())

    def last(self, start: str) -> str:
        """The latest drawing of a line that starts so."""
        found = [line for line in re.split(r"[\r\n]", self.shown()) if line.startswith(start)]
        return found[-1].rstrip() if found else ""


def make_screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    """Standard error as a terminal; not in a fixture, after which pytest puts its own in place."""
    found = Screen()
    monkeypatch.setattr(sys, "stderr", found)
    return found


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_bar_for_all_and_a_line_for_each_worker(monkeypatch):
    screen = make_screen(monkeypatch)
    with WorkerBars() as bars:
        for _ in range(3):
            bars.listed()
        assert "listing" in screen.shown()
        bars.begin(4)
        bars.rest(0, "starting")
        bars.rest(1, "starting")
        assert "worker 2: starting" in screen.shown()
        bars.work(0, "task 7", 25, 50)
        bars.work(1, "task 8", 10, 40)
        bars.refresh()
        assert "0.75/4 [" in screen.last("tasks: ")
        assert "worker 1: task 7 |" in screen.last("worker 1") and " 25/50 [" in screen.last("worker 1")
        assert " 10/40 [" in screen.last("worker 2")
        bars.done("task 7", tracked=True)
        assert "1.25/4 [" in screen.last("tasks: ")
        bars.work(0, "task 9", 1, 100)
        bars.refresh()
        assert "worker 1: task 9 |" in screen.last("worker 1") and " 1/100 [" in screen.last("worker 1")
        bars.rest(1, "died")
        assert screen.last("worker 2") == "worker 2: died"
        bars.rest(1, "")
        assert screen.last("worker 2") == "worker 2: idle"


def test_pieces_are_parts_of_their_video(monkeypatch):
    screen = make_screen(monkeypatch)
    with WorkerBars("video") as bars:
        bars.begin(2)
        bars.work(0, "long.mp4, piece 1 of 4", 30, 30)
        bars.work(1, "long.mp4, piece 2 of 4", 15, 30)
        bars.work(0, "long.mp4, piece 3 of 4", 30, 30)
        bars.work(2, "long.mp4 2", 15, 30)
        bars.refresh()
        assert "1.12/2 [" in screen.last("videos: ")  # 0.25 + 0.125 + 0.25 + 0.5
        bars.done("long.mp4", tracked=True)
        assert "1.50/2 [" in screen.last("videos: ")


def test_a_job_that_begins_anew_goes_back(monkeypatch):
    screen = make_screen(monkeypatch)
    with WorkerBars() as bars:
        bars.begin(2)
        bars.work(0, "task 7", 40, 50)
        bars.rest(0, "died")
        bars.work(1, "task 7", 10, 50)
        bars.refresh()
        assert "0.20/2 [" in screen.last("tasks: ")


def test_tasks_without_work_do_not_make_the_rest_seem_quick(monkeypatch):
    screen = make_screen(monkeypatch)
    with WorkerBars() as bars:
        bars.begin(4)
        bars.done("task 1", tracked=False)
        bars.done("task 2", tracked=False)
        assert "0.00/2 [" in screen.last("tasks: ")
        bars.work(0, "task 3", 1, 1)
        bars.done("task 3", tracked=True)
        assert re.search(r"50%.* 1\.00/2 \[", screen.last("tasks: "))


def test_plain_lines_count_what_was_left_and_expect_no_work_of_it(capsys):
    clock = Clock()
    with WorkerBars("video", clock=clock) as bars:
        bars.begin(10)
        for number in range(6):
            bars.done(f"video {number}", tracked=False)
        clock.now += EVERY
        bars.done("video 7", tracked=True)
    assert capsys.readouterr().err == "7 of 10 videos, about 01:30 left\n"


def test_a_line_now_and_then_where_nobody_looks(capsys):
    clock = Clock()
    with WorkerBars(clock=clock) as bars:
        bars.listed()
        bars.begin(4)
        bars.work(0, "task 7", 10, 20)
        bars.say("task 6: 1 track")
        assert capsys.readouterr() == ("task 6: 1 track\n", "")
        clock.now += EVERY
        bars.work(1, "x" * 100 + ".mp4", 10, 20)
        clock.now += 1
        bars.done("task 7", tracked=True)
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err == f"0 of 4 tasks, about 01:30 left, worker 1 at task 7, worker 2 at …{'x' * 35}.mp4\n"
        bars.rest(1, "died")
        assert capsys.readouterr().err == "1 of 4 tasks, about 00:51 left, worker 2 died\n"


def test_what_goes_on_of_a_video_that_failed_does_not_count(monkeypatch):
    screen = make_screen(monkeypatch)
    with WorkerBars("video") as bars:
        bars.begin(1)
        bars.work(0, "long.mp4, piece 1 of 2", 30, 30)
        bars.done("long.mp4", tracked=True)
        bars.work(1, "long.mp4, piece 2 of 2", 15, 30)
        bars.refresh()
        assert "1.00/1 [" in screen.last("videos: ")
        assert "worker 2: long.mp4, piece 2 of 2 |" in screen.last("worker 2")


def test_the_pieces_of_a_video_are_all_of_it(monkeypatch):
    screen = make_screen(monkeypatch)
    with WorkerBars("video") as bars:
        bars.begin(2)
        for number in (1, 2):
            bars.work(0, f"long.mp4, piece {number} of 2", 30, 30)
        bars.work(0, "long.mp4, joining", 2, 2)
        bars.refresh()
        assert "1.00/2 [" in screen.last("videos: ")
        bars.done("long.mp4", tracked=True)
        assert "1.00/2 [" in screen.last("videos: ")
