"""Label Studio's frame numbers against real clips: what a browser was seen to show at each."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backend.errors import FrameOutOfRange, LabelConfigError
from backend.video.clock import FrameClock
from backend.video.reader import VideoReader
from support.clips import code_frame, make_clip, read_code

NTSC = Fraction(30000, 1001)
DROPPED = [index for index in range(60) if not 10 <= index < 20]
DROPPED_TIMES = [index / 10 for index in DROPPED]

# clip, declared frame rate, {Label Studio frame: number burnt into the frame that Chromium showed}
SHOWN: list[tuple[dict[str, Any], float | None, dict[int, int]]] = [
    ({"fps": 10}, 10, {1: 0, 2: 1, 9: 8, 17: 16, 33: 32, 45: 44, 59: 58, 60: 59}),
    ({"fps": 24}, 24, {1: 0, 2: 1, 9: 8, 17: 16, 33: 32, 45: 44, 59: 58, 60: 59}),
    ({"fps": NTSC}, 29.97, {1: 0, 2: 1, 9: 8, 17: 16, 33: 32, 45: 44, 59: 58, 60: 59}),
    ({"fps": NTSC, "bframes": 2}, 29.97, {1: 0, 2: 1, 9: 8, 17: 16, 33: 32, 45: 44, 59: 58, 60: 59}),
    ({"fps": NTSC}, 30, {1: 0, 9: 8, 40: 39, 41: 40, 42: 40, 43: 42, 44: 43, 45: 43, 59: 58, 60: 58}),
    ({"fps": 10}, 24, {1: 0, 2: 0, 3: 0, 4: 1, 60: 24, 144: 59}),
    ({"fps": 10}, None, {60: 24}),
    ({"timestamps": DROPPED_TIMES}, 10, {10: 9, **dict.fromkeys(range(11, 16), 9), 20: 9, 21: 20, 60: 59}),
    ({"fps": 10, "start": 0.35}, 10, {1: 0, 4: 0, 5: 0, 6: 1, 10: 5, 30: 25, 60: 55}),
    ({"fps": 10, "rotation": 90}, 10, {1: 0, 30: 29, 60: 59}),
    ({"fps": 60}, 30, {1: 0, 2: 2, 30: 58}),
    ({"fps": 240}, 240, {1: 0, 2: 1, 3: 2, 31: 30, 60: 59}),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "frame_rate", "shown"), SHOWN)
def test_label_studio_shows(
    tmp_path: Path, arguments: dict[str, Any], frame_rate: float | None, shown: dict[int, int]
) -> None:
    numbers = DROPPED if "timestamps" in arguments else range(60)
    path = make_clip(tmp_path / "clip.mp4", (code_frame(number) for number in numbers), **arguments)
    with VideoReader(path) as reader:
        clock = FrameClock(reader.timestamps, reader.duration, frame_rate)
        for frame, number in shown.items():
            image = reader.frame(clock.index(frame))
            assert read_code(np.rot90(image) if "rotation" in arguments else image) == number, f"frame {frame}"
            assert clock.shown()[frame - 1] == clock.index(frame)


def test_the_index_of_a_variable_rate_counts_the_frames_that_are_there(tmp_path: Path) -> None:
    frames = (code_frame(number) for number in DROPPED)
    with VideoReader(make_clip(tmp_path / "clip.mp4", frames, timestamps=DROPPED_TIMES)) as reader:
        clock = FrameClock(reader.timestamps, reader.duration, 10)
        assert clock.index(21) == 10
        assert clock.label_studio_frame(10) == 21
        assert clock.label_studio_frame(9) == 10


@pytest.mark.parametrize(
    ("fps", "count", "frame_rate", "expected"),
    [(10, 60, 10.0, 60), (10, 60, None, 144), (10, 60, 0, 144), (30000 / 1001, 60, 29.97, 60), (10, 1, 10, 1),
     (10, 1, 1, 1), (10, 60, 0.5, 12), (10, 45, 1.0, 5), (10, 55, float("nan"), 132)],
)  # fmt: skip
def test_frame_count(fps: float, count: int, frame_rate: float | None, expected: int) -> None:
    clock = FrameClock(np.arange(count) / fps, count / fps, frame_rate)
    assert clock.frame_count == expected
    assert clock.shown().shape == (expected,)
    assert (np.diff(clock.shown()) >= 0).all()


@pytest.mark.parametrize("fps", [5, 10, 12.5, 15, 23.976, 24, 25, 29.97, 30, 47.952, 50, 59.94, 60, 100, 120, 240])
def test_at_the_files_own_rate_frame_n_is_index_n_minus_1(fps: float) -> None:
    count = round(fps * 600)
    clock = FrameClock(np.arange(count) / fps, count / fps, fps)
    assert (clock.shown() == np.arange(count)).all()
    assert clock.warnings == ()
    assert clock.index(count + 1) == count - 1


@pytest.mark.parametrize("frame", [-1, 0, 62, 1000])
def test_frames_beyond_the_timeline(frame: int) -> None:
    clock = FrameClock(np.arange(60) / 10, 6.0, 10)
    with pytest.raises(FrameOutOfRange, match=f"no frame {frame}: .* frames 1 to 60"):
        clock.index(frame)


@pytest.mark.parametrize(
    ("fps", "frame_rate", "start"), [(10, 10, 0), (10, 24, 0), (30, 29.97, 0), (60, 24, 0), (10, 10, 0.35), (7, 30, 1)]
)
def test_there_and_back(fps: float, frame_rate: float, start: float) -> None:
    clock = FrameClock(start + np.arange(60) / fps, 60 / fps, frame_rate)
    shown = clock.shown()
    for index in range(60):
        frame = clock.label_studio_frame(index)
        assert 1 <= frame <= clock.frame_count
        if index in shown:
            assert clock.index(frame) == index
            assert frame == 1 or clock.index(frame - 1) < index
        else:
            assert abs(clock.index(frame) - index) == np.abs(shown - index).min()


@pytest.mark.parametrize("index", [-1, 60])
def test_no_such_index(index: int) -> None:
    with pytest.raises(FrameOutOfRange, match="the video has 60"):
        FrameClock(np.arange(60) / 10, 6.0, 10).label_studio_frame(index)


@pytest.mark.parametrize("frame_rate", [-10, float("inf"), float("-inf"), 1e9])
def test_frame_rates_that_make_no_sense(frame_rate: float) -> None:
    with pytest.raises(LabelConfigError, match="frame rate"):
        FrameClock(np.arange(60) / 10, 6.0, frame_rate)


@pytest.mark.parametrize(
    ("timestamps", "duration", "frame_rate", "sentences"),
    [
        (np.arange(60) / 10, 6.0, 10, []),
        (np.arange(60) / 29.97, 2.002, 29.97, []),
        # Matroska rounds to milliseconds.
        (np.round(np.arange(60) / 29.97, 3), 2.002, 29.97, []),
        (np.arange(60) / 10, 9.0, 10, []),  # longer sound
        (np.zeros(1), 0.1, 10, []),
        (np.arange(60) / 10, 6.0, None, ["Label Studio assumes 24 frames .* the video has 10: 84 of the 144"]),
        (np.arange(60) / 10, 6.0, 24, ["The labeling configuration declares 24 frames"]),
        (np.arange(60) / 29.97, 2.002, 30, [r"declares 30 frames .* the video has 29\.97: .* are never shown"]),
        (np.arange(120) / 60, 2.0, 30, ['60 of its 120 frames are never shown.*frameRate="60" in the Video tag']),
        (np.array(DROPPED_TIMES), 6.0, 10, [r"varies \(from 100 to 1100 ms a frame\)"]),
        (np.arange(60) / 10 + 0.35, 6.0, 10, ["first picture comes 0.35 s after its start"]),
        (np.arange(60) / 10 + 0.35, 6.0, 24, ["declares 24", "first picture comes"]),
    ],
)  # fmt: skip
def test_warnings(timestamps: np.ndarray, duration: float, frame_rate: float | None, sentences: list[str]) -> None:
    warnings = FrameClock(timestamps, duration, frame_rate).warnings
    assert len(warnings) == len(sentences)
    for warning, sentence in zip(warnings, sentences, strict=True):
        assert re.search(sentence, warning), warning
