"""``python -m backend track``: what is asked of the tracker, and what lies in the directory afterwards."""

from __future__ import annotations

import io
import json
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend.__main__ import main
from backend.cli import track
from backend.demo.project import LABEL_CONFIG
from backend.errors import VideoError
from backend.labelstudio.config import parse_config
from backend.labelstudio.regions import parse_regions, to_keyframe
from backend.tracking.keyframes import interpolate
from backend.tracks import box_iou
from backend.video.reader import VideoReader
from support.choices import LITE
from support.clips import make_clip, moving_boxes_scene
from support.fake_tracker import FakeTracker

WIDTH, HEIGHT, FRAMES, FPS = 160, 120, 20, 10
BOX = "car:Car@5 box=20,30,60,70"
ALL = ["label_studio.json", "masks", "objects.json", "overlay.mp4", "video.json"]


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    scene = moving_boxes_scene(FRAMES, (WIDTH, HEIGHT))
    directory = tmp_path_factory.mktemp("clips") / "videos"
    directory.mkdir()
    return make_clip(directory / "my clip.mp4", scene.frames, fps=FPS)


@pytest.fixture
def tracker(monkeypatch: pytest.MonkeyPatch) -> FakeTracker:
    """What ``track`` runs instead of the models."""
    tracker = FakeTracker()
    monkeypatch.setattr(track, "choose", lambda settings: LITE)
    monkeypatch.setattr(track, "tracker_factory", lambda settings, choice: lambda: tracker)
    return tracker


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def start(video: Path, out: Path, *options: str) -> int:
    return main(["track", str(video), "--out", str(out), *options])


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def read_task(out: Path) -> dict:
    (task,) = json.loads((out / "label_studio.json").read_text("utf-8"))
    return task


def regions(out: Path) -> dict[str, dict]:
    return {result["id"]: result for result in read_task(out)["predictions"][0]["result"]}


def mask(out: Path, frame: int) -> np.ndarray:
    with Image.open(out / "masks" / f"{frame:05d}.png") as image:
        return np.asarray(image)


def test_two_objects_to_files(video, out, tracker, capsys):
    tracker.absent = frozenset({8, 9})
    tracker.doubtful = frozenset({12})
    second = ["--prompt", "man:Person@10 box=100,20,130,60", "--prompt", "man@14 box=110,20,140,60"]
    assert start(video, out, "--prompt", BOX, *second) == 0
    assert names(out) == ALL
    assert names(out.parent) == ["out"]
    assert names(out / "masks") == [f"{frame:05d}.png" for frame in range(FRAMES)]
    assert json.loads((out / "objects.json").read_text()) == {
        "1": {"id": "car", "label": "Car"},
        "2": {"id": "man", "label": "Person"},
    }
    assert json.loads((out / "video.json").read_text()) == {
        "path": str(video.resolve()),
        "width": WIDTH,
        "height": HEIGHT,
        "frames": FRAMES,
        "fps": FPS,
        "tracked": [[0, FRAMES - 1]],
    }
    assert set(np.unique(mask(out, 7))) == {0, 1, 2}
    assert (mask(out, 5)[30:70, 20:60] == 1).all()
    assert set(np.unique(mask(out, 8))) == {0}
    with VideoReader(out / "overlay.mp4") as overlay:
        assert (len(overlay), overlay.width, overlay.height) == (FRAMES, WIDTH, HEIGHT)
    task = read_task(out)
    assert task["data"] == {"video": "/data/local-files/?d=videos/my%20clip.mp4", "fps": FPS}
    assert task["predictions"][0]["model_version"].startswith("keytrack-")
    config = parse_config(LABEL_CONFIG.read_text("utf-8"))
    assert [region.labels for region in parse_regions(task["predictions"][0]["result"], config)] == [
        ("Car",),
        ("Person",),
    ]
    said = capsys.readouterr()
    assert "car (Car): tracked 0-19, absent 8-9, doubtful 12; " in said.out
    assert "man (Person): tracked 0-19, absent 8-9, doubtful 12; " in said.out
    assert str(out) in said.out
    assert "frame/s" not in said.err  # no progress bar where nobody looks


def test_label_studio_shows_what_was_tracked(video, out, tracker):
    tracker.absent = frozenset({8, 9})
    assert start(video, out, "--prompt", BOX) == 0
    sequence = regions(out)["car"]["value"]["sequence"]
    keyframes = [to_keyframe(item, item["frame"] - 1, (WIDTH, HEIGHT)) for item in sequence]
    for frame in range(FRAMES):
        shown = interpolate(keyframes, frame)
        if frame in tracker.absent:
            assert shown is None
        else:
            assert box_iou(shown.box, (15 + frame, 30, 55 + frame, 70)) >= 0.95
    assert interpolate(keyframes, 5).box == pytest.approx((20, 30, 60, 70), abs=1e-4)
    assert regions(out)["car"]["meta"]["text"] == ["Keytrack: tracked 1-20, absent 9-10"]


def test_options_reach_the_tracker(video, out, tracker, tmp_path):
    (tmp_path / "p.json").write_text(json.dumps([{"name": "dog", "frame": 6, "box": [90, 20, 120, 60]}]))
    options = ["--direction", "forward", "--span", "4-11", "--prompts", str(tmp_path / "p.json")]
    assert start(video, out, "--prompt", BOX, *options, "--no-masks", "--no-overlay") == 0
    (call,) = tracker.calls
    assert [(prompt.object_id, prompt.frame, prompt.box) for prompt in call.prompts] == [
        ("car", 5, (20.0, 30.0, 60.0, 70.0)),
        ("dog", 6, (90.0, 20.0, 120.0, 60.0)),
    ]
    assert call.direction == {"car": "forward", "dog": "forward"}
    assert sorted(call.frames) == list(range(5, 12))
    assert names(out) == ["label_studio.json", "video.json"]
    assert "labels" not in regions(out)["dog"]["value"]


def test_the_overlay_covers_the_tracked_part(video, out, tracker):
    assert start(video, out, "--prompt", BOX, "--span", "4-11") == 0
    assert names(out / "masks") == [f"{frame:05d}.png" for frame in range(4, 12)]
    with VideoReader(out / "overlay.mp4") as overlay:
        assert len(overlay) == 8


def test_another_labeling_configuration(video, out, tracker, tmp_path, caplog):
    config = tmp_path / "config.xml"
    config.write_text(
        '<View><Labels name="l" toName="v"><Label value="Bus"/></Labels>'
        '<Video name="v" value="$film" frameRate="5"/><VideoRectangle name="r" toName="v"/></View>'
    )
    options = ["--label-config", str(config), "--video-url", "https://example.org/film.mp4"]
    assert start(video, out, "--prompt", BOX, *options) == 0
    assert read_task(out)["data"] == {"film": "https://example.org/film.mp4"}
    result = regions(out)["car"]
    assert (result["from_name"], result["to_name"]) == ("r", "v")
    assert result["value"]["framesCount"] == FRAMES // 2
    assert "no label 'Car', only Bus" in caplog.text
    assert "never shown" in caplog.text


def test_a_declared_frame_rate(video, out, tracker):
    assert start(video, out, "--prompt", BOX, "--frame-rate", "20", "--no-overlay", "--no-masks") == 0
    assert read_task(out)["data"]["fps"] == 20
    assert regions(out)["car"]["value"]["framesCount"] == 2 * FRAMES


FIXED = '<View><Video name="v" value="$film" frameRate="5"/><VideoRectangle name="r" toName="v"/></View>'


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ([], "no prompt was given"),
        (["--prompt", "car"], "write \"NAME[:LABEL]@FRAME box=X0,Y0,X1,Y1\""),
        (["--prompt", "car@5 box=20,30,60"], "3 numbers instead of 4; write box=X0,Y0,X1,Y1"),
        (["--prompt", "car@5 box=200,30,240,60"], "the box lies outside the 160 x 120 frame"),
        (["--prompt", "car@5 mask=none.png"], "mask none.png: there is no such file"),
        (["--prompt", "car@20 box=20,30,60,70"], "frames 0 to 19, not 20"),
        (["--prompt", BOX, "--prompt", BOX], "two prompts on frame 5"),
        (["--prompt", BOX, "--prompt", "car:Bus@6 box=20,30,60,70"], "is a 'Car' in another prompt"),
        (["--prompt", BOX, "--span", "6-9"], "outside 6 to 9"),
        (["--prompt", BOX, "--span", "0-20"], "not a span of the video's frames 0 to 19"),
        (["--prompts", "none.json"], "--prompts none.json: cannot be read"),
        (["--prompt", BOX, "--label-config", "none.xml"], "--label-config none.xml: cannot be read"),
        (["--prompt", BOX, "--label-config", "fixed.xml", "--frame-rate", "6"], "declares 5"),
        (["--prompt", BOX, "--keyframe-iou", "2"], "--keyframe-iou"),
    ],
)  # fmt: skip
def test_mistakes_are_told_before_a_model_is_loaded(
    video, out, tracker, tmp_path, monkeypatch, capsys, options, problem
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(track, "tracker_factory", lambda settings, choice: pytest.fail("loaded"))
    (tmp_path / "fixed.xml").write_text(FIXED)
    assert start(video, out, *options) == 2
    assert problem in capsys.readouterr().err
    assert names(tmp_path) == ["fixed.xml"]


@pytest.mark.parametrize("content", [None, b"", b"no video"])
def test_a_file_that_is_no_video(out, tracker, tmp_path, capsys, content):
    path = tmp_path / "clip.mp4"
    if content is not None:
        path.write_bytes(content)
    assert start(path, out, "--prompt", BOX) == 2
    assert "clip.mp4" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize("option", [("--span", "9-6"), ("--span", "x"), ("--frame-rate", "0"), ("--direction", "up")])
def test_malformed_options(video, out, option, capsys):
    with pytest.raises(SystemExit) as end:
        start(video, out, "--prompt", BOX, *option)
    assert end.value.code == 2
    assert option[0] in capsys.readouterr().err


def test_too_many_objects_for_masks(video, out, tracker, tmp_path, capsys):
    prompts = [{"name": str(number), "frame": 0, "box": [1, 1, 9, 9]} for number in range(256)]
    (tmp_path / "p.json").write_text(json.dumps(prompts))
    assert start(video, out, "--prompts", str(tmp_path / "p.json")) == 2
    assert "--no-masks" in capsys.readouterr().err


def test_earlier_results_are_replaced_only_on_demand(video, out, tracker, capsys):
    assert start(video, out, "--prompt", BOX) == 0
    before = (out / "label_studio.json").read_bytes()
    assert start(video, out, "--prompt", "man@0 box=1,1,30,30") == 2
    assert "--force" in capsys.readouterr().err
    assert (out / "label_studio.json").read_bytes() == before
    assert len(tracker.calls) == 1
    assert start(video, out, "--prompt", "man@0 box=1,1,30,30", "--force", "--no-overlay") == 0
    assert names(out) == ["label_studio.json", "masks", "objects.json", "video.json"]
    assert list(regions(out)) == ["man"]


class Interrupted(FakeTracker):
    """Ctrl-C is pressed once ``after`` frames have been taken, and ``again`` before the next."""

    def __init__(self, after: int, *, again: bool = False) -> None:
        super().__init__()
        self.after, self.again = after, again

    def track(self, *args, **options):
        for number, result in enumerate(super().track(*args, **options)):
            if number == self.after:
                signal.raise_signal(signal.SIGINT)
                if self.again:
                    signal.raise_signal(signal.SIGINT)
                if options["cancelled"]():
                    return
            yield result


def interrupt(monkeypatch: pytest.MonkeyPatch, after: int, **options: bool) -> None:
    monkeypatch.setattr(track, "tracker_factory", lambda settings, choice: lambda: Interrupted(after, **options))


def test_ctrl_c_keeps_what_is_done(video, out, tracker, monkeypatch, capsys):
    interrupt(monkeypatch, 5)
    before = signal.getsignal(signal.SIGINT)
    assert start(video, out, "--prompt", BOX) == 130
    assert signal.getsignal(signal.SIGINT) is before
    assert names(out) == ["INCOMPLETE.txt", "label_studio.json", "masks", "objects.json", "video.json"]
    assert names(out / "masks") == [f"{frame:05d}.png" for frame in range(3, 8)]
    note = (out / "INCOMPLETE.txt").read_text()
    assert "interrupted: of the frames 0-19 only 3-7 were tracked" in note
    assert "overlay.mp4 was not drawn" in note
    assert regions(out)["car"]["meta"]["text"] == ["Keytrack: stopped after frames 4-8 of 20: interrupted"]
    assert "only 3-7 were tracked" in capsys.readouterr().out


@pytest.mark.parametrize(("after", "again"), [(0, False), (5, True)])
def test_ctrl_c_before_the_first_frame_or_twice_leaves_nothing(
    video, out, tracker, tmp_path, monkeypatch, after, again
):
    interrupt(monkeypatch, after, again=again)
    assert start(video, out, "--prompt", BOX) == 130
    assert names(tmp_path) == []


def test_ctrl_c_while_drawing_keeps_the_tracks(video, out, tracker, monkeypatch):
    def press(bar):
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(track, "advance", press)
    assert start(video, out, "--prompt", BOX) == 130
    assert names(out) == ["INCOMPLETE.txt", "label_studio.json", "masks", "objects.json", "video.json"]
    assert (out / "INCOMPLETE.txt").read_text() == "overlay.mp4 was not drawn\n"
    assert len(names(out / "masks")) == FRAMES


def test_an_error_on_the_way_keeps_what_is_done(video, out, tracker, capsys):
    tracker.fails_at = {9: VideoError("frame 9 cannot be decoded")}
    assert start(video, out, "--prompt", BOX) == 2
    assert capsys.readouterr().err.endswith("keytrack: frame 9 cannot be decoded\n")
    assert "stopped by an error (frame 9 cannot be decoded)" in (out / "INCOMPLETE.txt").read_text()
    assert names(out / "masks")[-1] == "00008.png"


def test_an_error_before_the_first_frame_leaves_nothing(video, out, tracker, tmp_path):
    tracker.fails_at = {5: VideoError("no")}
    assert start(video, out, "--prompt", BOX) == 2
    assert names(tmp_path) == []


def test_a_terminal_sees_the_progress(video, out, tracker, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stderr", Terminal())
    assert start(video, out, "--prompt", BOX) == 0
    shown = sys.stderr.getvalue()
    assert "tracking: 100%" in shown
    assert f"{FRAMES}/{FRAMES}" in shown
    assert "drawing: 100%" in shown


def test_help_explains_the_prompts(capsys):
    with pytest.raises(SystemExit):
        main(["track", "--help"])
    said = capsys.readouterr().out
    assert "box=X0,Y0,X1,Y1" in said
    assert "overlay.mp4" in said


@pytest.mark.slow
def test_the_built_in_model_tracks_a_box_points_and_a_mask(tmp_path, out, mobile_sam_path):
    scene = moving_boxes_scene(14)
    clip = make_clip(tmp_path / "clip.mp4", scene.frames, fps=FPS)
    Image.fromarray(scene.masks["blue"][4].astype(np.uint8) * 2).save(tmp_path / "blue.png")
    left, top, right, bottom = scene.boxes["red"][4]
    middle = f"+{(left + right) / 2},{(top + bottom) / 2};-{right + 8},{bottom + 8}"
    options = ["--prompt", f"red@4 box={left},{top},{right},{bottom} points={middle}"]
    options += ["--prompt", f"blue@4 mask='{tmp_path / 'blue.png'}#2'", "--device", "cpu"]
    assert start(clip, out, *options, "--weights-dir", str(mobile_sam_path.parent)) == 0
    assert names(out) == ALL
    for frame in range(14):
        numbers = mask(out, frame)
        for number, name in enumerate(("red", "blue"), start=1):
            true = scene.masks[name][frame]
            overlap = (true & (numbers == number)).sum() / (true | (numbers == number)).sum()
            assert overlap > 0.8, (name, frame, overlap)


@pytest.mark.slow
@pytest.mark.parametrize("segmenter", ["mobile_sam", "sam_vit_b"])
def test_chosen_models_track(tmp_path, out, untrained, caplog, segmenter):
    """The weights of XMem and of ViT-B are synthetic here: masks mean nothing, but there are some."""
    caplog.set_level("INFO")
    scene = moving_boxes_scene(6, (WIDTH, HEIGHT))
    clip = make_clip(tmp_path / "clip.mp4", scene.frames, fps=FPS)
    Image.fromarray(scene.masks["blue"][2].astype(np.uint8)).save(tmp_path / "blue.png")
    left, top, right, bottom = scene.boxes["red"][2]
    options = ["--prompt", f"red@2 box={left},{top},{right},{bottom}", "--prompt", f"blue@2 mask='{tmp_path}/blue.png'"]
    options += ["--segmenter", segmenter, "--propagator", "xmem", "--device", "cpu", "--weights-dir", str(untrained)]
    assert start(clip, out, *options) == 0
    assert f"loading the models: profile lite on cpu ({segmenter} + xmem)" in caplog.text
    assert names(out) == ALL
    assert names(out / "masks") == [f"{frame:05d}.png" for frame in range(6)]
    assert ((mask(out, 2) == 2) == scene.masks["blue"][2]).all()
    assert (mask(out, 2) == 1).any()
    assert read_task(out)["predictions"][0]["model_version"].endswith(f"-{segmenter}-xmem")
    assert set(regions(out)) == {"red", "blue"}
