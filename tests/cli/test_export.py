"""``python -m backend export``: from what was labelled to files."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend.__main__ import main
from backend.cli import export
from backend.cli.label_config import LABEL_CONFIG
from support.clips import coded_frames, make_clip, read_code
from support.exports import brush_region, keyframe, rectangle_region, task, video_region, write_export, write_images

COUNT, FPS = 12, 10
BOXES = ("coco", "yolo-detect", "mot")
MASKS = ("coco", "coco-video", "yolo-segment", "mots", "davis")


@pytest.fixture(scope="module")
def media(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("media")
    make_clip(directory / "clip.mp4", coded_frames(COUNT), fps=FPS, codec="libx264", options={"crf": "5"})
    write_images(directory / "seq", 4)
    return directory


@pytest.fixture
def out(tmp_path) -> Path:
    return tmp_path / "results" / "out"


@pytest.fixture
def boxes(tmp_path) -> Path:
    """Two objects on a video: one from the second frame to the ninth, one all over."""
    regions = [
        video_region("b", [keyframe(2, x=0), keyframe(9, x=35, enabled=False)], framesCount=12, duration=1.2),
        video_region("a", [keyframe(1, x=50, y=50)], "Person"),
    ]
    return write_export(tmp_path / "boxes.json", [task(4, {"video": "/data/upload/1/0a1b2c3d-clip.mp4"}, regions)])


@pytest.fixture
def masks(tmp_path) -> Path:
    """One object on the images 0 and 2, another on 2, and a rectangle."""
    mask = np.zeros((30, 40), bool)
    mask[5:15, 8:20] = True
    regions = [brush_region("a", 0, mask), brush_region("a", 2, mask), brush_region("b", 2, ~mask, "Person")]
    data = {"frames": [f"/data/local-files/?d=seq/{index:05d}.png" for index in range(4)]}
    return write_export(tmp_path / "masks.json", task(5, data, regions))


def run(source: Path | str, out: Path, formats: str, *options: object) -> int:
    return main(["export", str(source), "--format", formats, "--out", str(out), *map(str, options)])


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_boxes_to_several_formats(boxes, media, out, capsys):
    assert run(boxes, out, ",".join(BOXES), "--media", media) == 0
    assert names(out) == sorted(BOXES)
    assert names(out.parent) == ["out"]
    rows = [line.split(",") for line in (out / "mot" / "4-clip" / "gt" / "gt.txt").read_text().split()]
    found = {(int(row[0]), int(row[1])): [float(value) for value in row[2:6]] for row in rows}
    # The one that begins first is number 1: "a". MOT counts frames and pixels from 1.
    assert sorted(found) == sorted([(n, 1) for n in range(1, 13)] + [(n, 2) for n in range(2, 10)])
    assert found[1, 1] == pytest.approx([81, 61, 32, 24])
    assert found[5, 2] == pytest.approx([1 + 0.15 * 160, 13, 32, 24])
    instances = json.loads((out / "coco" / "annotations.json").read_text())
    assert len(instances["images"]) == COUNT
    assert len(instances["annotations"]) == 20
    said = capsys.readouterr().out
    for name in BOXES:
        assert f"{out / name}: 1 video, 12 frames, 2 objects, 20 annotations\n" in said
    assert "warnings: 0\n" in said


def test_the_frames_written_are_those_that_were_labelled(boxes, media, out):
    """Counted at 5 frames a second only every second frame was ever seen."""
    assert run(boxes, out, "mot", "--media", media, "--frame-rate", 5, "--pictures", "png") == 0
    pictures = sorted((out / "mot" / "4-clip" / "img1").iterdir())
    assert [read_code(np.asarray(Image.open(path).convert("RGB"))) for path in pictures] == [0, 2, 4, 6, 8, 10]


def test_masks_to_several_formats(masks, media, out, capsys):
    assert run(masks, out, ",".join(MASKS), "--media", media) == 0
    assert names(out) == sorted(MASKS)
    (path,) = (out / "davis" / "Annotations" / "480p" / "5-seq").glob("00002.png")
    numbers = np.asarray(Image.open(path))
    assert set(np.unique(numbers)) == {1, 2}
    assert (numbers[5:15, 8:20] == 1).all()
    meaning = json.loads((out / "davis" / "objects.json").read_text())
    assert meaning["5-seq"]["objects"] == {"1": {"id": "a", "label": "Car"}, "2": {"id": "b", "label": "Person"}}
    assert "1 video, 4 frames, 2 objects, 3 annotations" in capsys.readouterr().out


def test_numbers_are_the_same_in_every_format_and_run(boxes, media, tmp_path):
    for index, formats in enumerate((BOXES, BOXES[::-1])):
        assert run(boxes, tmp_path / str(index), ",".join(formats), "--media", media, "--pictures", "none") == 0
    said = {(tmp_path / str(run) / name / "objects.json").read_text() for run in (0, 1) for name in BOXES}
    assert len(said) == 1


def test_labels_are_numbered_as_the_configuration_has_them(boxes, media, out):
    def classes(*options: object) -> dict[int, str]:
        assert run(boxes, out, "coco", "--media", media, "--pictures", "none", "--force", *options) == 0
        found = json.loads((out / "coco" / "annotations.json").read_text())["categories"]
        return {item["id"]: item["name"] for item in found}

    assert list(classes().values()) == ["Car", "Person"]
    assert list(classes("--label-config", LABEL_CONFIG).values()) == ["Car", "Person", "Animal"]


def test_the_output_of_track(media, out, tmp_path, monkeypatch):
    from backend.cli import track
    from support.choices import LITE
    from support.fake_tracker import FakeTracker

    monkeypatch.setattr(track, "choose", lambda settings: LITE)
    monkeypatch.setattr(track, "tracker_factory", lambda settings, choice: FakeTracker)
    tracked = tmp_path / "tracked"
    prompts = ["--prompt", "car:Car@5 box=20,30,60,70", "--prompt", "man@5 box=100,20,130,60", "--no-overlay"]
    assert main(["track", str(media / "clip.mp4"), *prompts, "--out", str(tracked)]) == 0
    assert run(tracked, out, ",".join(MASKS)) == 0
    with Image.open(out / "davis" / "Annotations" / "480p" / "clip" / "00007.png") as image:
        numbers = np.asarray(image)
    assert (numbers[30:70, 22:62] == 1).all()
    assert (numbers[20:60, 102:132] == 2).all()
    assert (numbers > 0).sum() == 40 * 40 + 30 * 40


def test_a_task_that_track_wrote_is_a_prediction(media, tmp_path, out, capsys):
    regions = [video_region("a", [keyframe(1)])]
    source = write_export(tmp_path / "t.json", [{"data": {"video": "clip.mp4"}, "predictions": [{"result": regions}]}])
    assert run(source, out, "mot", "--media", media) == 2
    assert "--predictions exports" in capsys.readouterr().err
    assert run(source, out, "mot", "--media", media, "--predictions") == 0


def test_plain_paths_under_the_media_root(tmp_path, media, out):
    source = write_export(tmp_path / "t.json", [task(1, {"video": "clip.mp4"}, [video_region("a", [keyframe(1)])])])
    assert run(source, out, "mot", "--media-root", media) == 0


def test_earlier_results_of_the_same_formats_are_replaced_on_demand(boxes, media, out, capsys):
    options = ["--media", media, "--pictures", "none"]
    assert run(boxes, out, "coco,mot", *options) == 0
    (out / "notes.txt").write_text("mine")
    (out / "mot" / "stale.txt").write_text("old")
    assert run(boxes, out, "mot", *options) == 2
    assert "is not empty; give another, or --force" in capsys.readouterr().err
    assert run(boxes, out, "mot", *options, "--force") == 0
    assert names(out) == ["coco", "mot", "notes.txt"]
    assert not (out / "mot" / "stale.txt").exists()


@pytest.mark.parametrize("after", [0, 5, 17])
def test_ctrl_c_leaves_nothing(boxes, media, out, monkeypatch, capsys, after):
    """While a task is read, while the first format is written, while the second one is."""
    steps = iter(range(100))
    before = signal.getsignal(signal.SIGINT)

    def advance(bar):
        if next(steps) == after:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(export, "advance", advance)
    assert run(boxes, out, "coco,mot", "--media", media) == 130
    assert names(out.parent) == []
    assert "interrupted; nothing was written" in capsys.readouterr().out
    assert signal.getsignal(signal.SIGINT) is before


def test_a_format_that_cannot_hold_it_is_found_out_before_anything_is_written(boxes, media, out, monkeypatch, capsys):
    advanced = []
    monkeypatch.setattr(export, "advance", advanced.append)
    assert run(boxes, out, "mot,davis", "--media", media) == 2
    assert "has a box without a mask" in capsys.readouterr().err
    assert len(advanced) == 1  # the task that was read
    assert names(out.parent) == []


def test_a_wrong_value_is_refused_with_task_path_and_line(tmp_path, out, capsys):
    regions = [video_region("a", [keyframe(1), keyframe(5) | {"x": "left"}])]
    source = write_export(
        tmp_path / "t.json", [task(8, {"video": "clip.mp4"}, []), task(9, {"video": "c.mp4"}, regions)]
    )
    line = next(n for n, text in enumerate(source.read_text().split("\n"), 1) if '"x": "left"' in text)
    assert run(source, out, "mot") == 2
    said = capsys.readouterr().err
    assert f"{source}, line {line}, column " in said
    assert "task 9: [1].annotations[0].result[0].value.sequence[1].x: Input should be a valid number" in said
    assert not out.parent.exists() or names(out.parent) == []


def test_a_wrong_brush_is_refused_with_task_path_and_line(masks, media, out, capsys):
    document = json.loads(masks.read_text())
    document["annotations"][0]["result"][1]["value"]["rle"] = [0, 1]
    write_export(masks, document)
    text = masks.read_text().split("\n")
    line = [n for n, each in enumerate(text, 1) if '"rle": [' in each][1]
    assert run(masks, out, "davis", "--media", media) == 2
    said = capsys.readouterr().err
    assert f"line {line}, column" in said
    assert "task 5: annotations[0].result[1].value.rle: no brush mask" in said


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[{"id": 1,\n "data": {}}\n', "line 3, column 1: this is no JSON"),
        (
            '[{"video": "x", "annotation_id": 3, "box": []}]',
            "line 1, column 2: [0]: this is the export format JSON-MIN",
        ),
        ("[]", "there is nothing to export: of 0 tasks none"),
        ('[{"id": 3, "data": {"video": "a.mp4"}, "annotations": []}]', "of 1 tasks none has an annotation that counts"),
        ('[{"id": 3, "annotations": []}]', "[0]: there is no task: it has no data"),
    ],
)
def test_what_is_no_export_is_refused(tmp_path, out, capsys, text, message):
    source = tmp_path / "t.json"
    source.write_text(text)
    assert run(source, out, "mot") == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "name one source"),
        (["x.json", "--project", "3"], "name one source"),
        (["project:three"], "'three' is no project's number"),
        (["project:3"], "give --label-studio-url and --label-studio-token"),
        (["--project", "3", "--label-studio-url", "http://localhost:1"], "give --label-studio-url and"),
        (["nothing.json"], "nothing.json cannot be read: No such file"),
        (["."], "is no directory that track wrote"),
        (["x.json", "--media", "nowhere"], "--media nowhere is not a directory"),
        (["x.json", "--val", "1"], "--val 1: give a part"),
        (["x.json", "--val", "0.2"], "only yolo-detect, yolo-segment tell validation from training"),
        (["x.json", "--label-config", "nothing.xml"], "--label-config nothing.xml: cannot be read"),
    ],
)
def test_options_that_make_no_sense_are_refused(tmp_path, monkeypatch, capsys, options, message):
    monkeypatch.chdir(tmp_path)
    assert main(["export", *options, "--format", "mot", "--out", "out"]) == 2
    assert message in capsys.readouterr().err
    assert names(tmp_path) == []


@pytest.mark.parametrize("given", ["xml", "", "mot,voc", ","])
def test_formats_that_are_not_known_are_refused(capsys, given):
    with pytest.raises(SystemExit):
        main(["export", "x.json", "--format", given, "--out", "out"])
    assert "choose of coco, " in capsys.readouterr().err


def test_png_for_a_format_of_jpegs_is_refused_before_anything_is_read(capsys):
    assert main(["export", "x.json", "--format", "davis", "--out", "out", "--pictures", "png"]) == 2
    assert "davis" in capsys.readouterr().err


def test_what_should_be_known_is_counted_and_said_once(tmp_path, media, out, capsys):
    turned = [video_region(name, [keyframe(1, rotation=20)], framesCount=12, duration=1.2) for name in "ab"]
    tasks = [task(number, {"video": "clip.mp4"}, turned) for number in (1, 2)] + [task(3, {"video": "clip.mp4"}, None)]
    assert run(write_export(tmp_path / "t.json", tasks), out, "mot", "--media", media) == 0
    said = capsys.readouterr().out
    assert "warnings: 5\n" in said
    assert "  left out: no annotation (task 3)\n" in said
    assert "upright boxes around them (4 times: task 1, task 2)\n" in said


def test_types_of_regions_are_left_aside_on_demand(tmp_path, media, out, capsys):
    regions = [video_region("a", [keyframe(1)]), {"id": "b", "type": "videovector"}, {"id": "c", "type": "Polygon"}]
    source = write_export(tmp_path / "t.json", [task(1, {"video": "clip.mp4"}, regions)])
    assert run(source, out, "mot", "--media", media, "--ignore", "videovector") == 2
    assert "result[2].type: regions of the type 'Polygon' cannot be exported" in capsys.readouterr().err
    assert run(source, out, "mot", "--media", media, "--ignore", "videovector, POLYGON") == 0
    assert "left aside: 1 of the type polygon (task 1)" in capsys.readouterr().out


def test_regions_of_one_label_are_one_object_on_demand(tmp_path, media, out):
    data = {"frames": [f"seq/{index:05d}.png" for index in range(4)]}
    regions = [rectangle_region(str(index), index, (40, 30), (10, 10, 20, 20), "Car") for index in range(4)]
    source = write_export(tmp_path / "t.json", [task(1, data, regions)])
    for choice, count in (("region", 4), ("label", 1)):
        assert run(source, out, "mot", "--media", media, "--objects", choice, "--force") == 0
        rows = (out / "mot" / "1-seq" / "gt" / "gt.txt").read_text().split()
        assert len({row.split(",")[1] for row in rows}) == count
