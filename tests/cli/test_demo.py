"""The demo command around its parts: what it says, what it keeps, how it ends."""

import signal
from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pytest

from backend.__main__ import main
from backend.cli import demo
from backend.demo.project import Clip
from backend.demo.studio import Account
from backend.demo.trial import Press, Trial
from backend.errors import LabelStudioError, StartError
from backend.video.writer import VideoWriter
from support.choices import LITE

FRAMES = 6
TRUTH = {index: (10.0 + 2 * index, 10.0, 50.0 + 2 * index, 40.0) for index in range(FRAMES)}
TRIAL = Trial("street", "Car", 0, TRUTH, "both", 0.7, 0.85)


def region(*frames: int) -> dict:
    sequence = [
        {
            "frame": frame + 1,
            "enabled": True,
            "rotation": 0,
            "x": TRUTH[frame][0] / 1.6,
            "y": 10 / 0.9,
            "width": 40 / 1.6,
            "height": 30 / 0.9,
        }
        for frame in frames
    ]
    return {"id": "a", "type": "videorectangle", "score": 0.9, "value": {"labels": ["Car"], "sequence": sequence}}


@dataclass
class FakeProject:
    kept: list = field(default_factory=list)
    url: str = "http://127.0.0.1:1/projects/1/data"

    def task_url(self, clip: str) -> str:
        return f"{self.url}?task={clip}"

    def has_prediction(self, clip: str) -> bool:
        return bool(self.kept)

    def add_prediction(self, clip: str, regions: list) -> None:
        self.kept.append((clip, regions))


class FakeStudio:
    """Runs until it has been looked at twice; then Ctrl-C comes, or whatever ``ends`` says."""

    ends: type[BaseException] = KeyboardInterrupt
    log: list

    def __init__(self, directory, settings, *, studio_port, backend_port):
        self.url, self.backend_url = "http://127.0.0.1:1", "http://127.0.0.1:2"
        self.client = None
        self.account = Account("demo@keytrack.local", "the-password", "the-token")
        self.log.append((directory.name, studio_port, backend_port))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.log.append("stopped")

    def check(self):
        if self.log[-1] == "looked at":
            raise self.ends("enough")
        self.log.append("looked at")


@pytest.fixture
def rooms(monkeypatch, tmp_path):
    """The demo with everything that is slow replaced; ``frames`` are the keyframes that come back."""
    path = tmp_path / "street.mp4"
    with VideoWriter(path, 160, 90, 10) as writer:
        for _ in range(FRAMES):
            writer.write(np.full((90, 160, 3), 90, np.uint8))
    rooms = SimpleNamespace(project=FakeProject(), log=[], frames=(0, FRAMES - 1), data=tmp_path / "data")

    def press(project, trial, clip, say):
        say("  pressed")
        if rooms.frames is None:
            raise LabelStudioError("the press failed")
        return Press(region(0), [region(*rooms.frames)], 2, 3.0)

    monkeypatch.setattr(FakeStudio, "log", rooms.log, raising=False)
    for name, replacement in {
        "Studio": FakeStudio,
        "choose": lambda settings: LITE,
        "demo_clips": lambda directory: [Clip.of("street", path)],
        "make_project": lambda client, url, clips: rooms.project,
        "press_until_complete": press,
        "_trials": lambda: [TRIAL],
    }.items():
        monkeypatch.setattr(demo, name, replacement)
    monkeypatch.setattr(demo.checkpoints, "fetch", lambda name, directory: directory / name)
    monkeypatch.setattr(demo.time, "sleep", lambda seconds: None)
    previous = [(number, signal.getsignal(number)) for number in demo.CLOSED]
    yield rooms
    for number, handler in previous:
        signal.signal(number, handler)


def run(rooms, *options: str) -> int:
    return main(["demo", "--data-dir", str(rooms.data), *options])


def test_it_greets_and_runs_until_it_is_interrupted(rooms, capsys):
    assert run(rooms, "--studio-port", "8081", "--port", "9091") == 0
    said = capsys.readouterr().out
    for part in ("http://127.0.0.1:1/projects/1/data?task=street", "demo@keytrack.local", "the-password", "press t"):
        assert part in said
    assert "the-token" not in said
    assert rooms.log == [("demo", 8081, 9091), "looked at", "stopped"]
    assert [clip for clip, _ in rooms.project.kept] == ["street"]


def test_a_later_start_keeps_what_is_there(rooms, capsys):
    rooms.project.kept.append(("street", []))
    assert run(rooms) == 0
    assert "pressed" not in capsys.readouterr().out
    assert len(rooms.project.kept) == 1


def test_a_check_that_passes(rooms, capsys):
    assert run(rooms, "--check") == 0
    said = capsys.readouterr().out
    assert "street: car      ok   2 presses, 3 s, 6 frames by 2 keyframes; IoU mean 1.00" in said
    assert said.rstrip().splitlines()[-1].startswith("PASS after")
    assert (rooms.data / "demo" / "contact-sheet.png").is_file()
    assert rooms.log[-1] == "stopped"
    assert len(rooms.project.kept) == 1


def test_a_check_that_fails(rooms, capsys):
    rooms.frames = (0,)
    assert run(rooms, "--check") == 1
    said = capsys.readouterr().out
    assert "mean IoU below 0.85" in said
    assert said.rstrip().splitlines()[-1].startswith("FAIL after")


@pytest.mark.parametrize("options", [(), ("--check",)])
def test_a_press_that_fails_stops_both(rooms, capsys, options):
    rooms.frames = None
    assert run(rooms, *options) == 2
    assert "the press failed" in capsys.readouterr().err
    assert rooms.log[-1] == "stopped"


def test_a_server_that_ends_is_told(rooms, capsys, monkeypatch):
    monkeypatch.setattr(FakeStudio, "ends", StartError)
    assert run(rooms) == 2
    assert "enough" in capsys.readouterr().err
    assert rooms.log[-1] == "stopped"


@pytest.mark.parametrize("number", demo.CLOSED)
def test_being_told_to_end_stops_both(rooms, monkeypatch, number):
    monkeypatch.setattr(FakeStudio, "check", lambda self: signal.raise_signal(number))
    assert run(rooms) == 0
    assert rooms.log[-1] == "stopped"
