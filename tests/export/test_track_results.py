"""What ``track`` left, as a dataset."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend.__main__ import main
from backend.cli import track
from backend.errors import DatasetError, MediaError
from backend.export.dataset import LabelledVideo
from backend.export.media import Media
from backend.export.notes import Notes
from backend.export.reading import Choices, Reading
from backend.export.track_results import read_track
from backend.labelstudio.media_folder import MediaFolder
from backend.tracks import box_iou
from backend.video.shelf import VideoShelf
from support.choices import LITE
from support.clips import coded_frames, make_clip, read_code
from support.fake_tracker import FakeTracker

SIZE, COUNT, FPS = (160, 120), 12, 10
CAR, MAN = "car:Car@5 box=20,30,60,70", "man:Person@5 box=100,20,130,60"


@pytest.fixture
def out(tmp_path, monkeypatch) -> Path:
    """Two objects tracked on the frames 2 to 9, both absent on 6."""
    tracker = FakeTracker()
    tracker.absent = frozenset({6})
    monkeypatch.setattr(track, "choose", lambda settings: LITE)
    monkeypatch.setattr(track, "tracker_factory", lambda settings, choice: lambda: tracker)
    make_clip(tmp_path / "my clip.mp4", coded_frames(COUNT), fps=FPS)
    return tmp_path / "out"


def track_it(out: Path, *options: str) -> None:
    video = str(out.parent / "my clip.mp4")
    prompts = ["--prompt", MAN, "--prompt", CAR, "--span", "2-9", "--no-overlay"]
    assert main(["track", video, *prompts, "--out", str(out), *options]) == 0


@pytest.fixture
def read(out):
    with VideoShelf() as shelf:

        def run(folder: Path | None = None, **choices) -> LabelledVideo:
            media = Media(None if folder is None else MediaFolder(folder), None)
            (video,) = read_track(out, Reading(Choices(**choices), media, shelf, Notes())).videos
            return video

        yield run


def check_boxes(video: LabelledVideo) -> None:
    for item, left, top, width, height in zip(video.objects, (100, 20), (20, 30), (30, 40), (40, 40), strict=True):
        assert sorted(item.boxes) == [2, 3, 4, 5, 7, 8, 9]
        for index, box in item.boxes.items():
            x = left + index - 5
            assert box_iou(box, (x, top, x + width, top + height)) > 0.95


def test_masks_and_boxes_under_their_numbers(out, read):
    track_it(out)
    video = read()
    assert (video.name, video.size, video.length, video.fps) == ("my clip", SIZE, COUNT, FPS)
    assert video.labelled == list(range(2, 10))
    assert [(item.id, item.label) for item in video.objects] == [("man", "Person"), ("car", "Car")]
    check_boxes(video)
    car = video.objects[1]
    assert sorted(car.masks) == sorted(car.boxes)
    expected = np.zeros(SIZE[::-1], bool)
    expected[30:70, 22:62] = True
    assert np.array_equal(car.masks[7].array(), expected)
    assert [read_code(image) for _, image in video.frames.frames(2, 5)] == [2, 3, 4]


def test_without_masks_the_boxes_of_the_task(out, read):
    track_it(out, "--no-masks")
    video = read()
    assert (video.name, video.labelled) == ("my clip", list(range(2, 10)))
    assert sorted((item.id, item.label) for item in video.objects) == [("car", "Car"), ("man", "Person")]
    assert not any(item.masks for item in video.objects)
    video.objects[:] = sorted(video.objects, key=lambda item: item.id, reverse=True)
    check_boxes(video)


def test_a_frame_rate_of_its_own_changes_nothing(out, read):
    """24 frames a second, counted for a video of 10."""
    track_it(out, "--no-masks", "--frame-rate", "24")
    video = read()
    video.objects[:] = sorted(video.objects, key=lambda item: item.id, reverse=True)
    check_boxes(video)


def test_a_video_that_was_moved_is_found_by_its_name(out, read, tmp_path):
    track_it(out)
    moved = tmp_path / "elsewhere" / "deep"
    moved.mkdir(parents=True)
    (tmp_path / "my clip.mp4").rename(moved / "my clip.mp4")
    assert read(tmp_path / "elsewhere").frames.path == moved / "my clip.mp4"
    with pytest.raises(MediaError, match=r"my clip\.mp4 was not found: give --media"):
        read()
    video = read(pictures=False)
    assert (video.frames, video.size, video.length) == (None, SIZE, COUNT)


def test_another_video_of_that_name_is_refused(out, read, tmp_path):
    track_it(out)
    make_clip(tmp_path / "my clip.mp4", coded_frames(COUNT - 1), fps=FPS)
    with pytest.raises(DatasetError, match=r"has 11 frames of 160 x 120 pixels, but the video .* had 12 of 160 x 120"):
        read()


def test_an_object_that_was_nowhere_keeps_its_number(out, read):
    track_it(out)
    for path in (out / "masks").iterdir():
        with Image.open(path) as image:
            numbers, palette = np.array(image), image.getpalette()
        numbers[numbers == 1] = 0
        image = Image.fromarray(numbers)
        image.putpalette(palette)
        image.save(path)
    assert [(item.id, len(item.boxes)) for item in read().objects] == [("man", 0), ("car", 7)]


def test_masks_of_tracked_frames_that_are_not_there_are_missed(out, read):
    track_it(out)
    (out / "masks" / "00004.png").unlink()
    with pytest.raises(DatasetError, match=r"has no mask of frame 4, which video\.json says"):
        read()
    (out / "masks" / "00007.png").unlink()
    with pytest.raises(DatasetError, match="has no mask of frame 4 and 1 more"):
        read()


def test_a_mask_with_a_damaged_chunk_is_refused(out, read):
    track_it(out)
    path = out / "masks" / "00003.png"
    content = path.read_bytes()
    data = content.index(b"IDAT") - 4
    path.write_bytes(content[:data] + b"\0\0\0\5IDAT" + content[data + 8 :])
    with pytest.raises(DatasetError, match=r"00003\.png cannot be read as a mask"):
        read()


def test_an_incomplete_track_is_noted(out):
    track_it(out)
    (out / "INCOMPLETE.txt").write_text("interrupted")
    notes = Notes()
    with VideoShelf() as shelf:
        read_track(out, Reading(Choices(), Media(None, None), shelf, notes))
    assert list(notes.lines()) == ["the track is not complete, see INCOMPLETE.txt (out)"]


def test_reading_stops_on_demand(out):
    track_it(out)
    answers = iter([False, False, True])
    done = []
    with VideoShelf() as shelf:
        reading = Reading(Choices(), Media(None, None), shelf, Notes(), lambda: next(answers))
        assert read_track(out, reading, lambda: done.append(1)) is None
    assert len(done) == 2


def replace_line(path: Path, key: str, value: object) -> None:
    changed = json.loads(path.read_text()) | {key: value}
    path.write_text(json.dumps({name: item for name, item in changed.items() if item is not ...}, indent=1))


@pytest.mark.parametrize(
    ("name", "key", "value", "message"),
    [
        ("video.json", "frames", "12", r"video\.json, line 5, column 12: frames: Input should be a valid integer"),
        ("video.json", "fps", ..., r"video\.json, line 1, column 1: fps: Field required"),
        ("video.json", "tracked", [[1, 2], [3]], r"line 12, column 3: tracked\[1\]: List should have at least 2"),
        ("objects.json", "1", {"id": ""}, r"objects\.json, line 3, column 9: 1\.id: "),
        ("objects.json", "4", {"id": "x"}, "expected the objects under their numbers"),
        ("objects.json", "1", ..., "expected the objects under their numbers"),
        ("objects.json", "2", ..., "has a number 2, and objects.json has none above 1"),
    ],
)
def test_a_file_that_was_changed_is_refused(out, read, name, key, value, message):
    track_it(out)
    replace_line(out / name, key, value)
    with pytest.raises(DatasetError, match=message):
        read()


def test_masks_that_are_none_of_the_video_are_refused(out, read):
    track_it(out)
    path = out / "masks" / "00003.png"
    Image.new("L", (8, 8)).save(path)
    with pytest.raises(DatasetError, match=r"00003\.png is no mask of this video"):
        read()
    path.write_bytes(b"PNG")
    with pytest.raises(DatasetError, match=r"00003\.png cannot be read as a mask"):
        read()
    path.rename(path.with_name("00012.png"))
    with pytest.raises(DatasetError, match=r"00012\.png is no mask .*from 0 to 11"):
        read()


def test_a_directory_without_the_video_file_is_refused(out, read):
    track_it(out)
    (out / "video.json").unlink()
    with pytest.raises(DatasetError, match=r"video\.json is not there: .*track again"):
        read()
