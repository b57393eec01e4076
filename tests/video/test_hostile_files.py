"""Files that are broken, or made to do harm: an error for people, or the frames that there are."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from backend.errors import LabelConfigError, VideoError
from backend.video.clock import FrameClock
from backend.video.images import read_image
from backend.video.reader import VideoReader
from support.clips import coded_frames, make_clip, read_code
from support.http import Answer, web_server

COUNT = 20
CLIPS = {
    "clip.mp4": {"bframes": 2},
    "fast.mp4": {"container_options": {"movflags": "faststart"}},
    "fragments.mp4": {"container_options": {"movflags": "frag_keyframe+empty_moov"}},
    "clip.mkv": {"bframes": 2},
    "clip.webm": {"codec": "libvpx-vp9"},
    "clip.avi": {"codec": "mpeg4"},
    "clip.ts": {"codec": "mpeg2video"},
}


@pytest.mark.parametrize("name", CLIPS)
def test_a_file_that_is_cut_off_anywhere_shows_what_it_has_or_says_so(tmp_path: Path, name: str) -> None:
    whole = make_clip(tmp_path / name, coded_frames(COUNT, 64, 48), fps=25, gop=8, **CLIPS[name])
    data = whole.read_bytes()
    path = tmp_path / f"cut-{name}"
    for kept in (0, 1, 7, 8, 40, *np.linspace(100, len(data) - 1, 12).astype(int).tolist()):
        path.write_bytes(data[:kept])
        try:
            with VideoReader(path) as reader:
                numbers = [read_code(image) for _, image in reader.frames(0, len(reader))]
        except VideoError as error:
            assert path.name in str(error)
            continue
        assert 0 < len(numbers) <= COUNT and numbers == sorted(numbers)


LISTS = {
    "list.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{target}\n#EXT-X-ENDLIST\n",
    "main.m3u8": "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{target}\n",
    "list.ffconcat": "ffconcat version 1.0\nfile '{target}'\n",
    "list.txt": "file '{target}'\n",
    "session.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"
    "a=rtpmap:96 H264/90000\na=control:{target}\n",
    "list.mpd": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period><AdaptationSet>'
    '<Representation id="1"><BaseURL>{target}</BaseURL></Representation></AdaptationSet></Period></MPD>',
    "picture.svg": '<svg xmlns="http://www.w3.org/2000/svg"><image href="{target}"/></svg>',
    "list.pls": "[playlist]\nFile1={target}\n",
    "frames.%03d.png": "{target}",
}


@pytest.mark.parametrize("disguise", ["", ".mp4"])
@pytest.mark.parametrize("name", LISTS)
def test_a_file_that_names_others_opens_none_of_them(tmp_path: Path, name: str, disguise: str) -> None:
    other = make_clip(tmp_path / "other.mp4", coded_frames(3, 64, 48))
    with web_server({"/other.mp4": Answer(200, other.read_bytes())}) as site:
        protocols = ("", "file:", "concat:", "subfile,,start,0,end,0,,:", "crypto:", "async:", "cache:")
        targets = [f"{protocol}{other}" for protocol in protocols]
        for target in (*targets, "other.mp4", f"{site.url}/other.mp4", f"tcp://{site.url[7:]}"):
            path = tmp_path / f"{name}{disguise}"
            path.write_text(LISTS[name].format(target=target))
            with pytest.raises(VideoError):
                VideoReader(path)
            with pytest.raises(VideoError, match="cannot be read as an image"):
                read_image(path)
        assert site.asked == []


@pytest.mark.parametrize("prefix", ["concat:", "file:", "subfile,,start,0,end,0,,:", "pipe:", "http://127.0.0.1:9/"])
def test_a_name_that_looks_like_a_protocol_is_a_file_that_is_not_there(tmp_path: Path, prefix: str) -> None:
    other = make_clip(tmp_path / "other.mp4", coded_frames(3, 64, 48))
    with pytest.raises(VideoError, match="there is no video at"):
        VideoReader(f"{prefix}{other}")


def patched(path: Path, after: bytes, offset: int, value: bytes) -> Path:
    """The file with other bytes at some places: so far after each occurrence of a name."""
    data = bytearray(path.read_bytes())
    place = data.find(after)
    assert place >= 0
    while place >= 0:
        data[place + offset : place + offset + len(value)] = value
        place = data.find(after, place + 1)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("size", [(60_000, 60_000), (0, 0), (65_535, 1)])
def test_a_size_that_only_the_container_claims_is_not_taken(tmp_path: Path, size: tuple[int, int]) -> None:
    path = make_clip(tmp_path / "clip.mp4", coded_frames(3, 64, 48))
    patched(path, b"avc1", 28, struct.pack(">HH", *size))
    tracemalloc.start()
    try:
        with VideoReader(path) as reader:
            assert reader.frame(0).shape == (48, 64, 3)
    except VideoError as error:
        assert "clip.mp4" in str(error)
    assert tracemalloc.get_traced_memory()[1] < 50 << 20
    tracemalloc.stop()


def test_a_duration_out_of_all_proportion_is_told_and_makes_no_timeline(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.mkv", coded_frames(3, 64, 48))
    patched(path, b"\x44\x89\x88", 3, struct.pack(">d", 1e12))  # the element Duration, in milliseconds
    with VideoReader(path) as reader:
        assert read_code(reader.frame(2)) == 2
        assert "announces 1000000000.0 s" in reader.warnings[0]
        with pytest.raises(LabelConfigError, match=r"makes \d+ frames"):
            FrameClock(reader.timestamps, reader.duration, None)


@pytest.mark.parametrize("ticks", [1, 7, 0x7FFFFFFF])
def test_a_clock_that_runs_too_fast_or_too_slowly_shows_its_frames_in_order(tmp_path: Path, ticks: int) -> None:
    path = make_clip(tmp_path / "clip.mp4", coded_frames(5, 64, 48))
    patched(path, b"mdhd", 16, struct.pack(">I", ticks))
    with VideoReader(path) as reader:
        assert [read_code(image) for _, image in reader.frames(0, len(reader))] == [*range(len(reader))]
        assert np.isfinite([reader.fps, reader.duration]).all() and reader.fps > 0


# --- images --------------------------------------------------------------------------------------


def png_of(width: int, height: int) -> bytes:
    sink = io.BytesIO()
    Image.new("L", (1, 1)).save(sink, "PNG")
    data = bytearray(sink.getvalue())
    data[16:24] = struct.pack(">II", width, height)
    # A check sum that is right, so that it is the size that is refused.
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    return bytes(data)


TAGS = ((256, 60_000), (257, 60_000), (262, 1), (273, 8))
BOMBS = {
    "PNG": png_of(60_000, 60_000),
    "a wide PNG": png_of(1 << 30, 1),
    "PNG of many pixels": png_of(9000, 9000),
    "GIF": b"GIF89a" + struct.pack("<HHBBB", 60_000, 60_000, 0x80, 0, 0) + bytes(6) + b"\x3b",
    "BMP": b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + struct.pack("<IiiHHIIiiII", 40, 60_000, 60_000, 1, 1, *[0] * 6),
    "TIFF": b"II*\0" + struct.pack("<IH", 8, 4)
    + b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in TAGS)
    + bytes(4),
    "WEBP": b"RIFF" + struct.pack("<I", 30) + b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4)
    + (16_382).to_bytes(3, "little") * 2 + bytes(12),
}  # fmt: skip


@pytest.mark.parametrize("kind", BOMBS)
def test_an_image_that_claims_to_be_huge_is_refused_before_anything_is_made_for_it(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(BOMBS[kind])
    tracemalloc.start()
    with pytest.raises(VideoError, match=r"bomb\.png"):
        read_image(path)
    assert tracemalloc.get_traced_memory()[1] < 10 << 20
    tracemalloc.stop()


@pytest.mark.parametrize("form", ["EPS", "PPM", "ICO", "PCX", "TGA", "PDF"])
def test_kinds_of_images_that_no_browser_shows_are_not_read(tmp_path: Path, form: str) -> None:
    """Pillow has PostScript read by another program."""
    path = tmp_path / "image.png"
    Image.new("RGB", (16, 16), (200, 10, 10)).save(path, form)
    with pytest.raises(VideoError, match=r"image\.png cannot be read as an image \(it is none of PNG, JPEG"):
        read_image(path)


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("clip.mp4", {"codec": "libsvtav1"}),
        ("clip.webm", {"codec": "libvpx"}),
        ("clip.mov", {"codec": "prores", "pix_fmt": "yuv422p10le"}),
        ("clip.mov", {"codec": "qtrle", "pix_fmt": "rgb24"}),
        ("clip.wmv", {"codec": "wmv2"}),
        ("clip.avi", {"codec": "msmpeg4"}),
        ("clip.mkv", {"codec": "ffv1"}),
    ],
)
def test_codecs_that_videos_come_in_are_decoded(tmp_path: Path, name: str, made: dict[str, Any]) -> None:
    with VideoReader(make_clip(tmp_path / name, coded_frames(5), **made)) as reader:
        assert [read_code(image) for _, image in reader.frames(0, len(reader))] == [*range(5)]


@pytest.mark.parametrize(("codec", "pix_fmt"), [("cinepak", "rgb24"), ("snow", "yuv420p")])
def test_a_codec_that_nobody_films_in_is_not_decoded(tmp_path: Path, codec: str, pix_fmt: str) -> None:
    path = make_clip(tmp_path / "clip.avi", coded_frames(5), codec=codec, pix_fmt=pix_fmt)
    with pytest.raises(VideoError, match=f"clip.avi: videos in the codec {codec} are not decoded here; convert"):
        VideoReader(path)
