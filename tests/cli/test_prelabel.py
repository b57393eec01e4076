"""``python -m backend prelabel``, against the part of Label Studio's API that it needs."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from backend import __version__
from backend.__main__ import main
from backend.cli import prelabel
from backend.errors import WeightsError
from backend.model import Keytrack
from backend.service.app import create_app
from backend.settings import load_settings
from support.choices import LITE
from support.fake_studio import TOKEN, FakeStudio, fake_studio
from support.fake_tracker import FakeTracker
from support.service import CONFIG, FRAMES, Item, clip, keyframe, moved, press, region, task

VERSION = f"keytrack-{__version__}-lite"
CAR = region("car", keyframe(3, 40, 30, 32, 24, enabled=False), keyframe(5, 42, 30, 32, 24, enabled=False))
MAN = region("man", keyframe(3, 100, 60, 20, 40, enabled=False), label="Person")
ONE_LABEL = CONFIG.replace('<Label value="Person"/>', "")
Start = Callable[..., int]


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("media")
    clip(directory)
    return directory


@pytest.fixture
def studio():
    with fake_studio() as running:
        running.label_config = CONFIG
        yield running


@pytest.fixture
def tracker(monkeypatch: pytest.MonkeyPatch) -> FakeTracker:
    tracker = FakeTracker()
    monkeypatch.setattr(prelabel, "choose", lambda settings: LITE)
    monkeypatch.setattr(prelabel, "tracker_factory", lambda settings, choice: lambda: tracker)
    return tracker


@pytest.fixture
def start(studio: FakeStudio, media: Path, tmp_path: Path, tracker: FakeTracker) -> Start:
    access = ["--label-studio-url", studio.url, "--label-studio-token", TOKEN]
    places = ["--media-root", str(media), "--data-dir", str(tmp_path)]
    return lambda *options: main(["prelabel", "--project", "1", *access, *places, *options])


def plain(number: int, **further: Any) -> Item:
    return task(number, data={"video": "clip.mp4", "fps": 10}, **further)


def detected(number: int, *regions: Item, **further: Any) -> Item:
    found = [{"id": number, "model_version": "yolo-8", "result": list(regions or (CAR,))}]
    return plain(number, predictions=found, **further)


def drawn(number: int, *regions: Item) -> Item:
    return plain(number, annotations=[{"id": number, "result": list(regions or (CAR,))}])


def test_each_task_gets_one_prediction(studio, start, tracker, capsys):
    studio.label_config = ONE_LABEL
    studio.tasks = [
        detected(1, CAR, MAN), plain(2), drawn(3), plain(4, predictions=[{"id": 4, "model_version": VERSION, "result": []}])
    ]  # fmt: skip
    assert start() == 0
    (first,), (second,) = studio.of(1), studio.of(2)
    assert [one["value"]["labels"] for one in first["result"]] == [["Car"], ["Person"]]
    assert (first["model_version"], first["score"]) == (VERSION, pytest.approx(0.75))
    assert [one["value"]["labels"] for one in second["result"]] == [["Car"]]
    assert len(studio.predictions) == 2
    detections, everything = tracker.calls
    assert sorted(detections.detections) == [2, 4]
    assert everything.everything is not None
    said = capsys.readouterr()
    assert said.out.splitlines() == [
        "task 1: 2 tracks in 30 frames, by 3 boxes of its prediction of yolo-8; confidence 0.75",
        "task 2: 1 track in 30 frames, by everything, as Car; confidence 0.75",
        "task 3: left: it is annotated",
        f"task 4: left: it has a prediction of {VERSION}",
        "4 tasks: 2 tracked, 2 left, 0 failed",
    ]
    # Started again, nothing is left to do.
    assert start() == 0
    assert (len(tracker.calls), len(studio.predictions)) == (2, 2)


def test_what_fails_is_listed_and_the_others_are_done(studio, start, tracker, capsys):
    gone = {"video": "gone.mp4", "fps": 10}
    broken = region("a", keyframe(1, 1, 1, 9, 9) | {"x": None})
    studio.tasks = [
        detected(1) | {"data": gone}, detected(2, broken), detected(3, region("b", keyframe(99, 1, 1, 9, 9))),
        detected(4) | {"data": {"fps": 10}}, detected(5), plain(6)
    ]  # fmt: skip
    assert start() == 1
    assert list(studio.of(5)) and len(studio.predictions) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines[:6]] == [f"task {number}" for number in range(1, 7)]
    assert lines[5] == "task 6: left: nobody says which of the project's 2 labels everything is"
    failed = [line for line in lines if line.startswith("failed: ")]
    assert [line.split(": ")[1] for line in failed] == ["task 1", "task 2", "task 3", "task 4"]
    assert "there is no such file under the media root" in failed[0]
    assert "predictions[0].result[0].value.sequence[0].x" in failed[1]
    assert "there is no frame 99" in failed[2]
    assert "expected the video's address" in failed[3]


def test_a_fault_of_the_models_fails_the_task(studio, start, tracker, capsys, caplog):
    tracker.fails_at = {3: RuntimeError("boom")}
    studio.tasks = [detected(1)]
    assert start() == 1
    assert "failed: task 1: an internal error; the log has the details" in capsys.readouterr().out
    assert "boom" in caplog.text and studio.predictions == {}


def test_what_label_studio_refuses_fails(studio, start, monkeypatch, capsys):
    studio.tasks = [detected(1)]
    monkeypatch.setattr(studio, "refuses", 403)
    assert start() == 1
    assert "Label Studio answered 403" in capsys.readouterr().out


def test_chosen_tasks(studio, start, tracker, capsys):
    studio.tasks = [detected(number) for number in range(1, 8)]
    assert start("--tasks", "2, 4-5") == 0
    assert sorted(one["task"] for one in studio.predictions.values()) == [2, 4, 5]
    assert start("--tasks", "6,8-9") == 2
    assert "--tasks: project 1 has no task 8, 9" in capsys.readouterr().err
    assert len(tracker.calls) == 3


def test_annotated_tasks_where_that_is_asked_for(studio, start, tracker):
    studio.tasks = [drawn(1), drawn(2, MAN)]
    before = [one["annotations"] for one in studio.tasks]
    assert start("--annotated") == 0
    assert len(studio.of(1)) == len(studio.of(2)) == 1
    assert [call.rules.at_once for call in tracker.calls] == [True, True]
    assert [one["annotations"] for one in studio.tasks] == before


def test_force_replaces(studio, start):
    old = studio.add(1, model_version=VERSION)
    other = studio.add(1, model_version="yolo-8", result=[CAR])
    studio.tasks = [plain(1)]
    assert start() == 0
    assert set(studio.predictions) == {old, other}
    assert start("--force") == 0
    assert old not in studio.predictions and other in studio.predictions
    assert [one["model_version"] for one in studio.of(1)] == ["yolo-8", VERSION]


def test_everything_in_all_tasks(studio, start, tracker, capsys):
    studio.tasks = [detected(1), plain(2)]
    assert start("--everything") == 2
    assert "--everything: say by --label what the objects are; the project has Car, Person" in capsys.readouterr().err
    assert start("--everything", "--label", "Tram") == 2
    assert "the project has no such label, only Car, Person" in capsys.readouterr().err
    assert start("--everything", "--label", "Person") == 0
    assert all(call.everything is not None for call in tracker.calls)
    assert [one["value"]["labels"] for number in (1, 2) for one in studio.of(number)[0]["result"]] == [["Person"]] * 2


def test_somebody_else_was_first(studio, start, tracker, capsys, monkeypatch):
    studio.tasks = [detected(1)]
    whole = tracker.track_detections

    def meanwhile(*args, **kwargs):
        studio.add(1, model_version=VERSION)
        return whole(*args, **kwargs)

    monkeypatch.setattr(tracker, "track_detections", meanwhile)
    assert start() == 0
    assert len(studio.of(1)) == 1
    assert "task 1: left: it has a prediction meanwhile" in capsys.readouterr().out


def test_interrupted_it_keeps_what_was_posted(studio, start, tracker, capsys, monkeypatch):
    studio.tasks = [detected(1), detected(2), detected(3)]
    observe = tracker._observe

    def interrupted(call, *args):
        if len(tracker.calls) == 2 and len(call.frames) == 5:
            signal.raise_signal(signal.SIGINT)
        return observe(call, *args)

    monkeypatch.setattr(tracker, "_observe", interrupted)
    assert start() == 130
    assert [one["task"] for one in studio.predictions.values()] == [1]
    assert "interrupted; what was posted stays" in capsys.readouterr().out


def test_a_press_builds_on_it(studio, start, media, tmp_path):
    """The service with the same data directory knows which keyframes are no human's."""
    studio.tasks = [detected(1)]
    assert start() == 0
    (found,) = studio.of(1)[0]["result"]
    tracker = FakeTracker()
    keytrack = Keytrack(load_settings(data_dir=tmp_path, media_root=media), lambda: tracker, LITE)
    try:
        client = create_app(keytrack).test_client()
        body = press(moved(found, 20, x=50), number=1)
        assert client.post("/predict", json=body).status_code == 200
        (call,) = tracker.calls
        assert [prompt.frame for prompt in call.prompts] == [19]
        assert set(call.before[found["id"]].observations) == set(range(2, FRAMES))
    finally:
        keytrack.close()


def test_without_access(tmp_path, capsys):
    assert main(["prelabel", "--project", "1", "--data-dir", str(tmp_path)]) == 2
    assert "give --label-studio-url and --label-studio-token" in capsys.readouterr().err


def test_models_that_cannot_be_loaded(studio, start, monkeypatch, capsys):
    def fail():
        raise WeightsError("no weights")

    monkeypatch.setattr(prelabel, "tracker_factory", lambda settings, choice: fail)
    studio.tasks = [detected(1), detected(2)]
    assert start() == 2
    assert "no weights" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "a", "5-2", "1,,2", "1-999999999", "-3"])
def test_tasks_that_are_none(start, text):
    with pytest.raises(SystemExit):
        start("--tasks", text)
