"""``python -m backend prelabel``, against the part of Label Studio's API that it needs."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from backend import __version__
from backend.__main__ import main
from backend.cli import prelabel_workers
from backend.errors import WeightsError
from backend.model import Keytrack
from backend.prelabel import passing
from backend.service.app import create_app
from backend.service.store import DATABASE, Store
from backend.settings import load_settings
from support.choices import LITE
from support.fake_studio import TOKEN, FakeStudio, fake_studio
from support.fake_tracker import FakeTracker
from support.http import Answer
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
    monkeypatch.setattr(prelabel_workers, "choose", lambda settings: LITE)
    monkeypatch.setattr(prelabel_workers, "tracker_factory", lambda settings, choice: lambda: tracker)
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
    ours = {"id": 4, "model_version": VERSION, "result": []}
    studio.tasks = [detected(1, CAR, MAN), plain(2), drawn(3), plain(4, predictions=[ours])]
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


def test_a_device_without_memory_is_named(studio, start, tracker, capsys):
    tracker.fails_at = {3: RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")}
    studio.tasks = [detected(1)]
    assert start() == 1
    assert "failed: task 1: CUDA out of memory. Tried to allocate 2.00 GiB" in capsys.readouterr().out


def test_a_fault_of_the_models_fails_the_task(studio, start, tracker, capsys, caplog):
    tracker.fails_at = {3: RuntimeError("boom")}
    studio.tasks = [detected(1)]
    assert start() == 1
    assert "failed: task 1: an internal error; the log has the details" in capsys.readouterr().out
    assert "boom" in caplog.text and studio.predictions == {}


def test_what_label_studio_refuses_fails(studio, start, capsys):
    studio.tasks = [detected(1)]
    studio.site.routes["/api/predictions"] = Answer(403, b'{"detail": "no"}')
    assert start() == 1
    assert "Label Studio answered 403" in capsys.readouterr().out


def test_chosen_tasks(studio, start, tracker, capsys):
    studio.tasks = [detected(number) for number in range(1, 8)]
    assert start("--tasks", "2, 4-5") == 0
    assert sorted(one["task"] for one in studio.predictions.values()) == [2, 4, 5]
    assert start("--tasks", "6,8-9") == 2
    assert "--tasks: the project has no task 8, 9" in capsys.readouterr().err
    assert len(tracker.calls) == 3


def test_annotated_tasks_where_that_is_asked_for(studio, start, tracker):
    studio.tasks = [drawn(1), drawn(2, MAN)]
    before = [one["annotations"] for one in studio.tasks]
    assert start("--annotated") == 0
    assert len(studio.of(1)) == len(studio.of(2)) == 1
    assert [call.rules.at_once for call in tracker.calls] == [True, True]
    assert [one["annotations"] for one in studio.tasks] == before


def test_force_replaces(studio, start):
    older, newer = (studio.add(1, model_version=VERSION) for _ in range(2))
    other = studio.add(1, model_version="yolo-8", result=[CAR])
    studio.tasks = [plain(1)]
    assert start() == 0
    assert set(studio.predictions) == {newer, other}
    assert start("--force") == 0
    assert older not in studio.predictions
    # It keeps its number: an annotation that was begun with it can be submitted still.
    assert [(one["id"], one["model_version"]) for one in studio.of(1)] == [(newer, VERSION), (other, "yolo-8")]
    assert regions_of(studio, 1)


def regions_of(studio, number):
    (prediction,) = [one for one in studio.of(number) if one["model_version"] == VERSION]
    return [one["id"] for one in prediction["result"]]


def test_regions_have_the_same_ids_in_every_run_and_those_of_no_other_region(studio, start, tmp_path):
    studio.tasks = [detected(1, CAR, MAN), detected(2, CAR, MAN)]
    assert start() == 0
    first = regions_of(studio, 1)
    assert len({*first, *regions_of(studio, 2)}) == 4
    # Where nothing is known of the first run any more, another one comes to the same.
    studio.predictions.clear()
    (tmp_path / DATABASE).unlink()
    assert start() == 0
    assert regions_of(studio, 1) == first
    # What is shown, or has become an annotation's, keeps its ids for itself.
    assert start("--force") == 0
    second = regions_of(studio, 1)
    assert not {*first} & {*second}
    kept = [one | {"id": name} for one, name in zip((CAR, MAN), first, strict=True)]
    studio.tasks[0] = detected(1, CAR, MAN, annotations=[{"id": 5, "result": kept}])
    assert start("--force", "--annotated") == 0
    third = regions_of(studio, 1)
    assert not {*first, *second} & {*third}


def test_a_store_that_was_left_behind_by_a_killed_run_does_not_change_the_ids(studio, start):
    studio.tasks = [detected(1, CAR, MAN)]
    assert start() == 0
    first = regions_of(studio, 1)
    studio.predictions.clear()  # stored, and killed before it was posted
    assert start() == 0
    assert regions_of(studio, 1) == first


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

    monkeypatch.setattr(prelabel_workers, "tracker_factory", lambda settings, choice: fail)
    studio.tasks = [detected(1), detected(2)]
    assert start() == 2
    assert "no weights" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "a", "5-2", "1,,2", "1-999999999", "-3"])
def test_tasks_that_are_none(start, text):
    with pytest.raises(SystemExit):
        start("--tasks", text)


def found(directory: Path, *names: str, category: str = "Car") -> str:
    """A file of COCO's with two frames of each video, and a box on each."""
    images = [
        {"id": 10 * index + frame, "file_name": f"{name}/{frame}.jpg"}
        for index, name in enumerate(names)
        for frame in (2, 4)
    ]
    boxes = [
        {"image_id": one["id"], "category_id": 1, "bbox": [40, 30, 32, 24], "score": 0.9, "id": one["id"]}
        for one in images
    ]
    whole = {"images": images, "annotations": boxes, "categories": [{"id": 1, "name": category}]}
    path = directory / "found.json"
    path.write_text(json.dumps(whole))
    return str(path)


def test_detections_of_a_projects_videos(studio, start, tracker, media, tmp_path, capsys):
    shutil.copy(media / "clip.mp4", media / "other.mp4")
    other, none = ({"video": name, "fps": 10} for name in ("other.mp4", "none.mp4"))
    studio.tasks = [detected(1, MAN), plain(2) | {"data": other}, plain(3) | {"data": none}]
    assert start("--detections", found(tmp_path, "clip", "other")) == 0
    assert [sorted(call.detections) for call in tracker.calls] == [[2, 4], [2, 4]]
    assert [[one["value"]["labels"] for one in studio.of(number)[0]["result"]] for number in (1, 2)] == [[["Car"]]] * 2
    assert capsys.readouterr().out.splitlines() == [
        "task 1: 1 track in 30 frames, by the detections of found.json; confidence 0.75",
        "task 2: 1 track in 30 frames, by the detections of found.json; confidence 0.75",
        "task 3: left: found.json has nothing of its video",
        "3 tasks: 2 tracked, 1 left, 0 failed",
    ]
    assert start("--detections", found(tmp_path, "clip", "other")) == 0
    assert len(tracker.calls) == 2
    assert start("--detections", found(tmp_path, "clip", "bird")) == 2
    assert "no task of the project has a video of the name 'bird'" in capsys.readouterr().err


def test_rows_of_one_task(studio, start, tracker, tmp_path, capsys):
    studio.tasks = [plain(1), plain(2)]
    rows = tmp_path / "det.txt"
    rows.write_text("3,-1,41,31,32,24,0.4\n5,-1,41,31,32,24,0.3\n")
    assert start("--detections", str(rows), "--label", "Car", "--sure", "0.3") == 2
    assert "name its task by --tasks" in capsys.readouterr().err
    assert start("--detections", str(rows), "--tasks", "1-20", "--label", "Car", "--sure", "0.3") == 2
    assert "--tasks: the project has no task 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 and 8 more" in capsys.readouterr().err
    assert start("--detections", str(rows), "--tasks", "2", "--label", "Car", "--sure", "0.3") == 0
    (call,) = tracker.calls
    assert (sorted(call.detections), call.rules.confident) == ([2, 4], 0.3)
    assert (len(studio.of(1)), len(studio.of(2))) == (0, 1)
    rows.write_text("99,-1,41,31,32,24,0.9\n")
    assert start("--detections", str(rows), "--tasks", "1", "--label", "Car") == 1
    assert "failed: task 1: " in (said := capsys.readouterr().out) and "line 1: there is no frame 99" in said


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--detections", "x.json", "--everything"], "--detections and --everything say each what to track by"),
        (["--sure", "0.5"], "--sure is for --detections"),
        (["--detections-images", "x.json"], "--detections-images is for --detections"),
        (["--detections", "none.json"], "none.json cannot be read"),
    ],
)
def test_options_that_do_not_go_together(start, options, says, capsys):
    assert start(*options) == 2
    assert says in capsys.readouterr().err


def test_tasks_are_looked_at_when_their_turn_comes(studio, start, tracker, capsys, monkeypatch):
    studio.tasks = [detected(number) for number in range(1, 6)]
    whole = tracker.track_detections

    def meanwhile(*args, **kwargs):
        if len(studio.tasks) == 5:
            del studio.tasks[4]
            studio.gone.add(5)
            studio.tasks[1] = drawn(2)
            studio.tasks[2]["drafts"] = [{"id": 1, "result": [CAR]}]
            studio.tasks[3] = detected(4, CAR, MAN)
        return whole(*args, **kwargs)

    monkeypatch.setattr(tracker, "track_detections", meanwhile)
    assert start() == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        "task 2: left: it is annotated",
        "task 3: left: somebody is at work on it: it has a draft",
        "task 4: 2 tracks in 30 frames, by 3 boxes of its prediction of yolo-8; confidence 0.75",
        "task 5: left: the project does not have it any more",
        "5 tasks: 2 tracked, 3 left, 0 failed",
    ]


@pytest.fixture
def press_elsewhere(media, tmp_path):
    """Presses for a task of the same project, through the service with the same data directory."""
    keytrack = Keytrack(load_settings(data_dir=tmp_path, media_root=media), FakeTracker, LITE)
    client = create_app(keytrack).test_client()
    mine = region("mine", keyframe(10, 40, 30, 32, 24))
    yield lambda number: client.post("/predict", json=press(mine, number=number))
    keytrack.close()


def test_where_somebody_pressed_the_presses_count(studio, start, tracker, capsys, monkeypatch, press_elsewhere):
    studio.tasks = [detected(1), detected(2)]
    assert press_elsewhere(1).status_code == 200
    whole = tracker.track_detections

    def meanwhile(*args, **kwargs):
        press_elsewhere(2)
        return whole(*args, **kwargs)

    monkeypatch.setattr(tracker, "track_detections", meanwhile)
    assert start() == 0
    assert studio.predictions == {}
    assert capsys.readouterr().out.splitlines() == [
        "task 1: left: somebody pressed for it",
        "task 2: left: somebody pressed for it meanwhile",
        "2 tasks: 0 tracked, 2 left, 0 failed",
    ]


def test_what_a_run_did_not_bring_again_goes_but_nothing_that_somebody_drew(
    studio, start, tmp_path, capsys, press_elsewhere
):
    studio.tasks = [detected(1, CAR, MAN)]
    assert start() == 0
    assert press_elsewhere(1).status_code == 200
    studio.tasks = [detected(1, CAR)]
    assert start("--force") == 0
    assert "task 1: left: somebody pressed for it" in capsys.readouterr().out
    assert start("--force", "--annotated") == 0
    (car,) = studio.of(1)[0]["result"]
    store = Store(tmp_path / DATABASE)
    assert {track.key.region for track in store.tracks("1", "1")} == {car["id"], "mine"}
    # What an annotation still has stays as well.
    studio.tasks = [detected(1, CAR, annotations=[{"id": 5, "result": [car]}])]
    assert start("--force", "--annotated") == 0
    (again,) = studio.of(1)[0]["result"]
    assert {track.key.region for track in store.tracks("1", "1")} == {car["id"], again["id"], "mine"}
    store.close()


def test_a_label_studio_that_is_away_for_a_moment(studio, start, monkeypatch, capsys):
    monkeypatch.setattr(passing, "FIRST_WAIT", 0)
    studio.tasks = [detected(1)]
    tasks = studio.site.routes["/api/tasks"]
    answers = iter([tasks, Answer(503), Answer(503), tasks, tasks])
    studio.site.routes["/api/tasks"] = lambda asked: found(asked) if callable(found := next(answers)) else found
    assert start() == 0
    assert len(studio.of(1)) == 1


def test_a_label_studio_that_goes_away(studio, start, tracker, monkeypatch, capsys):
    monkeypatch.setattr(passing, "FIRST_WAIT", 0)
    studio.tasks = [detected(number) for number in range(1, 7)]
    whole = tracker.track_detections

    def meanwhile(*args, **kwargs):
        studio.refuses = 503
        studio.site.routes["/api/tasks"] = Answer(503)
        return whole(*args, **kwargs)

    monkeypatch.setattr(tracker, "track_detections", meanwhile)
    assert start() == 1
    lines = capsys.readouterr().out.splitlines()
    assert "6 tasks: 0 tracked, 0 left, 3 failed, 3 not tried" in lines
    assert lines[-1] == "Label Studio went away; once it is back the same command goes on with the others"
    assert len([line for line in lines if line.startswith("failed: task ") and "answered 503" in line]) == 3
