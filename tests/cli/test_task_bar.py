from __future__ import annotations

import io
import re
import sys

import pytest

from backend.cli.task_bar import TaskBar


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def make_screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    """Standard error as a terminal; not in a fixture, after which pytest puts its own in place."""
    found = Screen()
    monkeypatch.setattr(sys, "stderr", found)
    return found


def shown(screen: Screen) -> str:
    """What the bar shows now."""
    return screen.getvalue().rstrip("\r\n ").rpartition("\r")[2]


def test_frames_are_parts_of_a_task(monkeypatch):
    screen = make_screen(monkeypatch)
    with TaskBar() as bar:
        for _ in range(3):
            bar.listed()
        bar.begin(4)
        for _ in range(25):
            bar.advance(50)
        bar.refresh()
        assert "0.50/4 [" in shown(screen) and "50% of 50 frames" in shown(screen)
        for _ in range(40):  # more steps than frames
            bar.advance(50)
        bar.refresh()
        assert "1.00/4 [" in shown(screen)
        bar.done(tracked=True)
        assert "1.00/4 [" in shown(screen) and "frames" not in shown(screen)
        bar.advance(2)
        bar.done(tracked=True)
        assert "2.00/4 [" in shown(screen)


def test_tasks_without_work_do_not_make_the_rest_seem_quick(monkeypatch):
    screen = make_screen(monkeypatch)
    with TaskBar() as bar:
        bar.begin(4)
        bar.done(tracked=False)
        bar.done(tracked=False)
        assert "0.00/2 [" in shown(screen)
        bar.advance(1)
        bar.done(tracked=True)
        assert re.search(r"50%.* 1\.00/2 \[", shown(screen))


def test_nothing_is_drawn_where_nobody_looks(monkeypatch, capsys):
    with TaskBar() as bar:
        bar.listed()
        bar.begin(1)
        bar.advance(1)
        bar.say("task 1: done")
        bar.done(tracked=True)
    said = capsys.readouterr()
    assert (said.out, said.err) == ("task 1: done\n", "")
