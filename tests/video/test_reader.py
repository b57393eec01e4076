"""The reader against clips whose frames tell their number."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from backend.errors import FrameOutOfRange, VideoError
from backend.video.cursor import Cursor
from backend.video.reader import VideoReader
from support.clips import (
    code_frame,
    coded_frames,
    make_audio,
    make_clip,
    moving_boxes_scene,
    read_code,
    truncate,
)

FRAME_BYTES = 160 * 120 * 3 // 2
NTSC = Fraction(30000, 1001)
DROPPED = [index for index in range(40) if not 10 <= index < 20]
TWINS = [index / 10 for index in range(36)]
# The same millisecond, and the later of the two is decoded first.
TWINS[27] = TWINS[26] + 0.0003

# name -> file, frame numbers written, arguments of make_clip, frame numbers expected, first timestamp, gap
KINDS: dict[str, tuple[str, Any, dict[str, Any], list[int], float, float]] = {
    "h264": ("clip.mp4", range(40), {}, [*range(40)], 0.0, 0.1),
    "h264 29.97": ("clip.mp4", range(40), {"fps": NTSC}, [*range(40)], 0.0, 1001 / 30000),
    "B-frames": ("clip.mp4", range(40), {"bframes": 3}, [*range(40)], 0.0, 0.1),
    "open GOP": (
        "clip.mp4",
        range(40),
        {"bframes": 2, "options": {"x264-params": "open-gop=1"}},
        [*range(40)],
        0.0,
        0.1,
    ),
    "no keyframe but the first": ("clip.mp4", range(40), {"gop": 1000, "bframes": 2}, [*range(40)], 0.0, 0.1),
    "intra refresh": ("clip.mp4", range(40), {"options": {"x264-params": "intra-refresh=1"}}, [*range(40)], 0.0, 0.1),
    "all keyframes": ("clip.mp4", range(40), {"gop": 1}, [*range(40)], 0.0, 0.1),
    "variable rate": ("clip.mp4", DROPPED, {"timestamps": [index / 10 for index in DROPPED]}, DROPPED, 0.0, 0.1),
    "late start": ("clip.mp4", range(40), {"start": 0.35}, [*range(40)], 0.35, 0.1),
    "late start, B-frames": ("clip.mp4", range(40), {"start": 0.35, "bframes": 2}, [*range(40)], 0.35, 0.1),
    "edit list inside a GOP": ("clip.mp4", range(40), {"start": -0.5, "bframes": 2}, [*range(5, 40)], 0.0, 0.1),
    "edit list after a GOP": ("clip.mp4", range(40), {"start": -2.0}, [*range(20, 40)], 0.0, 0.1),
    "fragmented": (
        "clip.mp4",
        range(40),
        {"container_options": {"movflags": "frag_keyframe+empty_moov"}},
        [*range(40)],
        0.0,
        0.1,
    ),
    "10 bit": ("clip.mp4", range(40), {"pix_fmt": "yuv420p10le"}, [*range(40)], 0.0, 0.1),
    "H.265": ("clip.mp4", range(40), {"codec": "libx265", "bframes": 2}, [*range(40)], 0.0, 0.1),
    "MPEG-4": ("clip.mov", range(40), {"codec": "mpeg4"}, [*range(40)], 0.0, 0.1),
    "Matroska": ("clip.mkv", range(40), {"bframes": 2}, [*range(40)], 0.0, 0.1),
    "two frames at one time": ("clip.mkv", range(36), {"timestamps": TWINS, "bframes": 2}, [*range(36)], 0.0, 0.1),
    "VP9": ("clip.webm", range(40), {"codec": "libvpx-vp9"}, [*range(40)], 0.0, 0.1),
    "AVI": ("clip.avi", range(40), {"codec": "mpeg4"}, [*range(40)], 0.0, 0.1),
    "AVI, B-frames": ("clip.avi", range(40), {"bframes": 2}, [*range(40)], 0.1, 0.1),
    "Motion JPEG": ("clip.avi", range(40), {"codec": "mjpeg", "pix_fmt": "yuvj420p"}, [*range(40)], 0.0, 0.1),
    "GIF": ("clip.gif", range(40), {"codec": "gif", "pix_fmt": "rgb8"}, [*range(40)], 0.0, 0.1),
    "transport stream": ("clip.ts", range(40), {"bframes": 2}, [*range(40)], 0.2, 0.1),
    "program stream": (
        "clip.mpg",
        range(40),
        {"codec": "mpeg2video", "fps": 25, "bframes": 2},
        [*range(40)],
        0.54,
        0.04,
    ),
    "with sound": ("clip.mp4", range(40), {"audio_seconds": 4.0}, [*range(40)], 0.0, 0.1),
}


@pytest.fixture(params=KINDS, name="kind")
def make_kind(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, list[int], float, float]:
    name, numbers, arguments, expected, first, gap = KINDS[request.param]
    path = make_clip(tmp_path / name, (code_frame(number) for number in numbers), **arguments)
    return path, expected, first, gap


def test_every_frame_is_the_right_one_in_any_order(kind: tuple[Path, list[int], float, float]) -> None:
    path, expected, first, gap = kind
    # A cache of two frames, so that going back cannot but decode again.
    with VideoReader(path, cache_bytes=2 * FRAME_BYTES) as reader:
        count = len(reader)
        assert [read_code(image) for _, image in reader.frames(0, count)] == expected
        assert [read_code(image) for _, image in reader.frames(count - 1, -1, -1)] == expected[::-1]
        for index in random.Random(0).choices(range(count), k=20):
            assert read_code(reader.frame(index)) == expected[index]
        assert reader.warnings == ()
        assert (reader.width, reader.height) == (160, 120)
        assert reader.timestamps[0] == pytest.approx(first, abs=1e-3)
        assert (np.diff(reader.timestamps) >= 0).all()
        assert float(np.median(np.diff(reader.timestamps))) == pytest.approx(gap, abs=1e-6)


def test_timestamps_are_those_of_the_file(tmp_path: Path) -> None:
    seconds = [0.25, 0.3, 0.5, 1.25, 1.3]
    with VideoReader(make_clip(tmp_path / "clip.mp4", coded_frames(5), timestamps=seconds, bframes=1)) as reader:
        assert reader.timestamps == pytest.approx(seconds)
        assert reader.fps == pytest.approx(4 / 1.05)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(-1.0, 0), (0.0, 0), (0.34, 0), (0.35, 0), (0.4499, 0), (0.45, 1), (0.5, 1), (0.85, 5), (1.2501, 9), (99.0, 9)],
)
def test_frame_by_time(tmp_path: Path, seconds: float, expected: int) -> None:
    with VideoReader(make_clip(tmp_path / "clip.mp4", coded_frames(10), start=0.35)) as reader:
        assert reader.index_at(seconds) == expected


@pytest.mark.parametrize(
    ("fps", "arguments", "duration", "rate"),
    [
        (10, {}, 4.0, 10.0),
        (NTSC, {}, 40 * 1001 / 30000, 30000 / 1001),
        # Chromium's <video> reports the length of the picture, not the time at which it ends.
        (10, {"start": 0.35}, 4.0, 10.0),
        (10, {"audio_seconds": 5.12}, 5.12, 10.0),
    ],
)
def test_duration_and_rate(
    tmp_path: Path, fps: float | Fraction, arguments: dict[str, Any], duration: float, rate: float
) -> None:
    with VideoReader(make_clip(tmp_path / "clip.mp4", coded_frames(40), fps=fps, **arguments)) as reader:
        assert reader.duration == pytest.approx(duration, abs=0.05 if "audio_seconds" in arguments else 1e-3)
        assert reader.fps == pytest.approx(rate)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_rotation_is_applied_clockwise(tmp_path: Path, rotation: int, mirrored: bool) -> None:
    path = make_clip(tmp_path / "clip.mp4", coded_frames(3, first=1234), rotation=rotation, mirrored=mirrored)
    with VideoReader(path) as reader:
        image = reader.frame(1)
        assert image.shape == (reader.height, reader.width, 3)
        assert image.flags.c_contiguous
        assert (reader.width, reader.height) == ((120, 160) if rotation % 180 else (160, 120))
        # What a browser does: turn clockwise, then mirror. Undone in reverse, the stored picture appears.
        unmirrored = image[:, ::-1] if mirrored else image
        assert read_code(np.rot90(unmirrored, rotation // 90)) == 1235


def test_a_picture_that_is_upright_only_when_turned(tmp_path: Path) -> None:
    # As a phone records: the sensor's rows are the scene's columns, and the display matrix says 90.
    stored = [np.ascontiguousarray(np.rot90(code_frame(number, 120, 160))) for number in range(4)]
    with VideoReader(make_clip(tmp_path / "clip.mp4", stored, rotation=90)) as reader:
        assert (reader.width, reader.height) == (120, 160)
        assert [read_code(image) for _, image in reader.frames(0, 4)] == [0, 1, 2, 3]


@pytest.mark.parametrize(("width", "height"), [(161, 91), (160, 91), (17, 33), (16, 16)])
def test_odd_sizes(tmp_path: Path, width: int, height: int) -> None:
    path = make_clip(tmp_path / "clip.mp4", coded_frames(3, width, height), pix_fmt="yuv444p")
    with VideoReader(path) as reader:
        assert reader.frame(2).shape == (height, width, 3)
        assert read_code(reader.frame(2)) == 2


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv420p10le", "yuv444p", "yuvj420p"])
def test_colours(tmp_path: Path, pix_fmt: str) -> None:
    image = np.zeros((64, 96, 3), np.uint8)
    image[:, :32], image[:, 32:64], image[:, 64:] = (200, 40, 30), (30, 180, 60), (40, 60, 210)
    with VideoReader(make_clip(tmp_path / "clip.mp4", [image] * 3, pix_fmt=pix_fmt)) as reader:
        frame = reader.frame(1).astype(int)
    for column in (16, 48, 80):
        assert np.abs(frame[32, column] - image[32, column]).max() <= 6


def test_images_belong_to_the_caller(tmp_path: Path) -> None:
    with VideoReader(make_clip(tmp_path / "clip.mov", coded_frames(3), codec="png", pix_fmt="rgb24")) as reader:
        reader.frame(1)[:] = 0
        assert read_code(reader.frame(1)) == 1


# --- cost ---------------------------------------------------------------------------------------


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Collects the ordinal of every frame that is decoded."""
    ordinals: list[int] = []
    read = Cursor.read

    def counting(cursor: Cursor) -> Any:
        found = read(cursor)
        if found is not None:
            ordinals.append(found[0])
        return found

    monkeypatch.setattr(Cursor, "read", counting)
    return ordinals


def test_reading_in_order_decodes_each_frame_once(tmp_path: Path, decoded: list[int]) -> None:
    with VideoReader(make_clip(tmp_path / "clip.mp4", coded_frames(120), bframes=2), cache_bytes=1) as reader:
        for _ in reader.frames(0, 120):
            pass
        # Opening decodes a few frames ahead; with no cache those are decoded again.
        assert len(decoded) <= 120 + 2 * 12


@pytest.mark.parametrize(
    ("frames_in_cache", "most"),
    [(24, 120), (8, 280)],
    ids=["a group fits into the cache: once", "a third of a group fits: in chunks"],
)
def test_reading_backwards_decodes_group_by_group(
    tmp_path: Path, decoded: list[int], frames_in_cache: int, most: int
) -> None:
    path = make_clip(tmp_path / "clip.mp4", coded_frames(120), gop=20)
    with VideoReader(path, cache_bytes=frames_in_cache * 40_000) as reader:
        decoded.clear()
        assert [read_code(image) for _, image in reader.frames(119, -1, -1)] == [*range(119, -1, -1)]
        assert len(decoded) <= most + 12


def test_a_distant_frame_costs_one_group(tmp_path: Path, decoded: list[int]) -> None:
    with VideoReader(make_clip(tmp_path / "clip.mp4", coded_frames(300), gop=10)) as reader:
        decoded.clear()
        assert read_code(reader.frame(287)) == 287
        assert read_code(reader.frame(133)) == 133
        assert len(decoded) <= 20


def test_growing_both_ways_keeps_two_places(tmp_path: Path, decoded: list[int]) -> None:
    path = make_clip(tmp_path / "clip.mp4", coded_frames(120), gop=40)
    with VideoReader(path, cache_bytes=10 * 40_000) as reader:
        decoded.clear()
        for step in range(1, 60):
            assert read_code(reader.frame(60 + step)) == 60 + step
            assert read_code(reader.frame(60 - step)) == 60 - step
        assert len(decoded) <= 400


def test_frames_in_the_cache_are_not_decoded_again(tmp_path: Path, decoded: list[int]) -> None:
    with VideoReader(make_clip(tmp_path / "clip.mp4", coded_frames(60))) as reader:
        for _ in range(3):
            for index in (30, 31, 32, 31, 30):
                reader.frame(index)
        assert len(decoded) <= 12 + 12


def test_threads_may_share_a_reader(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.mp4", coded_frames(80), bframes=2)
    indices = random.Random(1).choices(range(80), k=200)
    with VideoReader(path, cache_bytes=4 * FRAME_BYTES) as reader, ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda index: read_code(reader.frame(index)), indices)) == indices


# --- asking for what is not there -----------------------------------------------------------------


@pytest.mark.parametrize("index", [-1, 5, 10**9])
def test_no_such_frame(tmp_path: Path, index: int) -> None:
    with (
        VideoReader(make_clip(tmp_path / "clip.mp4", coded_frames(5))) as reader,
        pytest.raises(FrameOutOfRange, match="it has 5"),
    ):
        reader.frame(index)


@pytest.mark.parametrize(
    ("start", "stop", "step", "fits"),
    [(0, 5, 1, True), (4, -1, -1, True), (0, 5, 2, True), (3, 3, 1, True), (7, 3, 1, True), (0, 6, 1, False),
     (-1, 3, 1, False), (4, -2, -1, False), (0, 6, 2, True), (0, 8, 3, False)],
)  # fmt: skip
def test_ranges_are_checked_at_once(tmp_path: Path, start: int, stop: int, step: int, fits: bool) -> None:
    with VideoReader(make_clip(tmp_path / "clip.mp4", coded_frames(5))) as reader:
        if fits:
            assert [index for index, _ in reader.frames(start, stop, step)] == [*range(start, stop, step)]
        else:
            with pytest.raises(FrameOutOfRange):
                reader.frames(start, stop, step)


def test_a_closed_reader_says_so(tmp_path: Path) -> None:
    reader = VideoReader(make_clip(tmp_path / "clip.mp4", coded_frames(5)))
    reader.close()
    reader.close()
    with pytest.raises(VideoError, match=r"clip\.mp4 was closed"):
        reader.frame(0)


# --- files that are broken, or no videos ----------------------------------------------------------


def _gif_of(width: int, height: int) -> bytes:
    head = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes(6)
    return head + b"\x2c" + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x02\x02\x4c\x01\x00\x3b"


def _page() -> bytes:
    return b"<!DOCTYPE html><html><head><title>Log in</title></head></html>" * 20


BAD_FILES = {
    "empty": (b"", "is empty"),
    "text": (b"These are notes on a video.\n" * 100, "not a video that can be read here"),
    "noise": (np.random.default_rng(0).bytes(5000), "not a video that can be read here"),
    "web page": (_page(), "web page.*logged in"),
    "image": (b"\x89PNG\r\n\x1a\n" + bytes(500), "PNG image, not a video"),
    "document": (b"%PDF-1.7\n" + bytes(500), "PDF document"),
    "playlist": (b"#EXTM3U\n#EXTINF:1,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n", "playlist"),
    "only the head of an MP4": (b"\x00\x00\x00\x20ftypisom\x00\x00\x02\x00isomiso2avc1mp41", "table of contents"),
    "absurd size": (_gif_of(60_000, 60_000), "larger than 67 megapixels"),
    "too many pixels": (_gif_of(12_000, 12_000), "larger than 67 megapixels"),
    "too wide": (_gif_of(20_000, 100), "20000 x 100 pixels is more"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_what_is_no_video(tmp_path: Path, case: str) -> None:
    content, message = BAD_FILES[case]
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    with pytest.raises(VideoError, match=message):
        VideoReader(path)


@pytest.mark.parametrize(("name", "message"), [("nothing.mp4", "there is no video at"), (".", "not a file")])
def test_no_file(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(VideoError, match=message):
        VideoReader(tmp_path / name)


def test_a_path_is_never_taken_for_an_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_clip(tmp_path / "http:clip.mp4", coded_frames(3))
    with VideoReader("http:clip.mp4") as reader:
        assert len(reader) == 3


def test_sound_only(tmp_path: Path) -> None:
    path = make_audio(tmp_path / "clip.mp4")
    with pytest.raises(VideoError, match=r"holds no video, only audio"):
        VideoReader(path)


def test_another_container_than_its_name_says_is_read_with_a_warning(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.webm", coded_frames(5), codec="libvpx-vp9").rename(tmp_path / "clip.mp4")
    with VideoReader(path) as reader:
        assert read_code(reader.frame(4)) == 4
        assert len(reader.warnings) == 1
        assert "named .mp4 but holds Matroska" in reader.warnings[0]


@pytest.mark.parametrize(
    ("name", "arguments", "warning"),
    [
        ("clip.mp4", {"bframes": 2, "container_options": {"movflags": "faststart"}}, "announces 200 frames"),
        ("clip.mp4", {"container_options": {"movflags": "faststart"}}, "announces 200 frames"),
        ("clip.mkv", {"bframes": 2}, "announces 20.0 s"),
        ("clip.webm", {"codec": "libvpx-vp9"}, "announces 20.0 s"),
        ("clip.avi", {"codec": "mpeg4"}, "announces 20.0 s"),
    ],
)
@pytest.mark.parametrize("keep", [0.55, 0.71, 0.83])
def test_a_truncated_file_gives_what_it_has(
    tmp_path: Path, name: str, arguments: dict[str, Any], warning: str, keep: float
) -> None:
    whole = make_clip(tmp_path / name, coded_frames(200), **arguments)
    with VideoReader(truncate(whole, tmp_path / f"cut-{name}", keep)) as reader:
        count = len(reader)
        assert 50 < count < 200
        numbers = [read_code(image) for _, image in reader.frames(0, count)]
        assert numbers[: count - 3] == [*range(count - 3)]
        # With B-frames the last ones of the order of decoding are not the last on screen: time tells which they are.
        assert numbers == [round(second * 10) for second in reader.timestamps]
        assert [read_code(image) for _, image in reader.frames(count - 1, count - 20, -1)] == numbers[: count - 20 : -1]
        assert len(reader.warnings) == 1
        assert warning in reader.warnings[0]


def test_truncated_before_its_first_frame(tmp_path: Path) -> None:
    whole = make_clip(tmp_path / "clip.mp4", coded_frames(50), container_options={"movflags": "faststart"})
    data = whole.read_bytes()
    whole.write_bytes(data[: data.index(b"mdat") + 10])
    with pytest.raises(VideoError, match=r"clip\.mp4"):
        VideoReader(whole)


def test_a_damaged_frame_shows_the_one_before_it(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.mp4", coded_frames(40), gop=10)
    _overwrite_packet(path, 25)
    with VideoReader(path) as reader:
        assert len(reader) == 40
        assert read_code(reader.frame(25)) == 24
        for index in [*range(25), *range(30, 40)]:
            assert read_code(reader.frame(index)) == index
        assert len(reader.warnings) == 1
        assert "damaged, first seen at frame 25 (2.50 s)" in reader.warnings[0]


def _overwrite_packet(path: Path, ordinal: int) -> None:
    with av.open(str(path)) as container:
        packet = [packet for packet in container.demux(video=0) if packet.size][ordinal]
        position, size = packet.pos, packet.size
    assert position is not None
    data = bytearray(path.read_bytes())
    data[position : position + size] = b"\xff" * size
    path.write_bytes(data)


def test_a_file_that_is_replaced_is_noticed(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.mp4", coded_frames(60))
    with VideoReader(path) as reader:
        make_clip(tmp_path / "other.mp4", coded_frames(60, first=300)).replace(path)
        with pytest.raises(VideoError, match="has changed while it was open"):
            for index in (30, 55, 5):
                assert read_code(reader.frame(index)) == index


def test_sound_that_is_longer_than_the_picture_is_told(tmp_path: Path) -> None:
    with VideoReader(make_clip(tmp_path / "clip.mp4", coded_frames(20), audio_seconds=6)) as reader:
        assert len(reader) == 20
        assert "its picture ends at 2.0 s" in reader.warnings[0]


def test_a_scene_survives_the_way_through_a_file(tmp_path: Path) -> None:
    scene = moving_boxes_scene(12)
    with VideoReader(make_clip(tmp_path / "clip.mp4", scene.frames)) as reader:
        for index, image in reader.frames(0, 12):
            assert np.abs(image.astype(int) - scene.frames[index]).mean() < 12


def test_memory_is_bounded(tmp_path: Path) -> None:
    def frames() -> Iterator[np.ndarray]:
        return coded_frames(400, 64, 48)

    with VideoReader(make_clip(tmp_path / "clip.mp4", frames(), gop=200), cache_bytes=100_000) as reader:
        for index, image in reader.frames(0, 400):
            assert read_code(image) == index
            assert reader._cache.size <= 100_000
        for index in range(399, 0, -7):
            assert read_code(reader.frame(index)) == index
            assert reader._cache.size <= 100_000
