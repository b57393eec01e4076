"""Videos cut into images."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend.errors import OutputError, VideoError
from backend.export.cut import Cut, CutOptions, cut
from backend.video.reader import VideoReader
from support.clips import coded_frames, make_clip, read_code, truncate

COUNT = 12
VARYING = [0, 0.1, 0.2, 0.6, 0.7, 0.8, 0.9, 1.0, 1.5, 1.6, 1.7, 1.8]


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clip") / "a clip (1).mp4", coded_frames(COUNT), timestamps=VARYING)


def made(path: Path, target: Path, force: bool = False, **options) -> Cut:
    with VideoReader(path) as video:
        found = cut(video, target, CutOptions(**options), force=force)
    assert found is not None
    return found


def images(found: Cut) -> list[np.ndarray]:
    return [np.array(Image.open(path)) for path in found.files]


def codes(found: Cut) -> list[int]:
    return [read_code(image) for image in images(found)]


def contents(directory: Path) -> dict[str, tuple[bytes, int]]:
    paths = [path for path in directory.rglob("*") if path.is_file()]
    return {str(path.relative_to(directory)): (path.read_bytes(), path.stat().st_mtime_ns) for path in paths}


def test_each_image_is_the_frame_that_it_is_said_to_be(clip, tmp_path):
    found = made(clip, tmp_path / "out", rate=5)
    said = found.video
    assert codes(found) == said.indices == [0, 2, 3, 5, 7, 8, 9, 11]
    assert said.times == pytest.approx([VARYING[index] for index in said.indices], abs=1e-5)
    assert (said.video, said.fps) == ("a clip (1).mp4", pytest.approx(11 / 1.8))
    assert [path.name for path in found.files[:2]] == ["a_clip_1-000000.jpg", "a_clip_1-000002.jpg"]
    assert sorted(os.listdir(tmp_path / "out")) == ["cut.json", "frames"]
    assert {path.parent for path in found.files} == {tmp_path / "out" / "frames"}


def test_a_span_of_every_other_frame_as_png(clip, tmp_path):
    found = made(clip, tmp_path / "out", every=2, start=0.2, end=1.0, kind="png")
    assert codes(found) == found.video.indices == [2, 4, 6]
    assert found.files[0].suffix == ".png"


def test_a_turned_video_is_cut_upright(tmp_path):
    path = make_clip(tmp_path / "phone.mp4", (np.rot90(frame) for frame in coded_frames(4)), rotation=90)
    found = made(path, tmp_path / "out")
    assert codes(found) == [0, 1, 2, 3]
    assert images(found)[0].shape == (120, 160, 3)


def test_of_a_video_that_was_cut_off_there_are_the_frames_that_can_be_read(tmp_path, caplog):
    whole = make_clip(tmp_path / "whole.mkv", coded_frames(60), gop=5)
    found = made(truncate(whole, tmp_path / "part.mkv", 0.6), tmp_path / "out", every=7)
    assert codes(found) == found.video.indices
    assert 3 < len(found.files) < 9
    assert "cut off" in caplog.text


def test_the_longer_side_is_scaled_down_and_never_up(clip, tmp_path):
    small = made(clip, tmp_path / "small", max_side=80, kind="png", every=5)
    assert {image.shape for image in images(small)} == {(60, 80, 3)}
    assert codes(small) == [0, 5, 10]
    assert {image.shape for image in images(made(clip, tmp_path / "same", max_side=400))} == {(120, 160, 3)}


def test_quality_is_that_of_jpeg(clip, tmp_path):
    sizes = [made(clip, tmp_path / str(q), quality=q, every=12).files[0].stat().st_size for q in (20, 95)]
    assert sizes[0] < sizes[1]


def test_the_same_again_is_left_as_it_is(clip, tmp_path):
    first = made(clip, tmp_path / "out", every=3)
    before = contents(tmp_path / "out")
    again = made(clip, tmp_path / "out", every=3)
    assert (first.found, again.found) == (False, True)
    assert (again.video, again.files) == (first.video, first.files)
    assert contents(tmp_path / "out") == before


def test_another_cut_in_its_place_takes_force(clip, tmp_path):
    first = made(clip, tmp_path / "out", every=3)
    with pytest.raises(OutputError, match=r"not empty; .*--force"):
        made(clip, tmp_path / "out", every=4)
    second = made(clip, tmp_path / "out", force=True, every=4)
    assert sorted(os.listdir(tmp_path / "out" / "frames")) == sorted(path.name for path in second.files)
    assert first.video.cut != second.video.cut


@pytest.mark.parametrize("damage", ["no image", "no manifest", "half a manifest", "another manifest"])
def test_what_is_not_whole_is_not_taken_for_a_cut(clip, tmp_path, damage):
    found = made(clip, tmp_path / "out", every=3)
    manifest = tmp_path / "out" / "cut.json"
    if damage == "no image":
        found.files[1].unlink()
    elif damage == "no manifest":
        manifest.unlink()
    elif damage == "half a manifest":
        manifest.write_text(manifest.read_text()[:40])
    else:
        manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"cut": 5}))
    with pytest.raises(OutputError, match="--force"):
        made(clip, tmp_path / "out", every=3)


def test_the_same_frames_of_another_video_are_another_cut(clip, tmp_path):
    """Two cameras that started together: names and times are the same."""
    other = make_clip(tmp_path / clip.name, coded_frames(COUNT, first=100), timestamps=VARYING)
    cuts = [made(path, tmp_path / name).video for name, path in (("a", clip), ("b", other))]
    assert cuts[0].times == cuts[1].times
    assert cuts[0].cut != cuts[1].cut


def test_what_is_cancelled_leaves_nothing(clip, tmp_path):
    done: list[int] = []
    with VideoReader(clip) as video:
        found = cut(
            video,
            tmp_path / "out" / "a",
            CutOptions(),
            begin=lambda frames: done.append(frames),
            advance=lambda: done.append(0),
            cancelled=lambda: len(done) > 3,
        )
    assert found is None
    assert done == [COUNT, 0, 0, 0]
    assert os.listdir(tmp_path / "out") == []


def test_an_image_that_cannot_be_written_leaves_nothing(clip, tmp_path, monkeypatch):
    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(OutputError, match=r"cannot write a_clip_1-000000\.jpg .*No space left"):
        made(clip, tmp_path / "out" / "a")
    assert os.listdir(tmp_path / "out") == []


def test_a_span_without_frames_is_refused(clip, tmp_path):
    with pytest.raises(VideoError, match=r"no frame lies at or after 3 s"):
        made(clip, tmp_path / "out", start=3)
