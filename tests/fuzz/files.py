"""Small media files of every kind that is read, made once in a process."""

from __future__ import annotations

import io
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from support.clips import coded_frames, make_clip

VIDEOS = {
    "a.mp4": {"bframes": 2},
    "b.mp4": {"container_options": {"movflags": "faststart"}, "rotation": 90},
    "c.mp4": {"container_options": {"movflags": "frag_keyframe+empty_moov"}},
    "a.mkv": {"bframes": 2},
    "a.webm": {"codec": "libvpx-vp9"},
    "b.webm": {"codec": "libvpx"},
    "a.avi": {"codec": "mpeg4"},
    "a.ts": {"codec": "mpeg2video"},
    "a.gif": {"codec": "gif", "pix_fmt": "rgb8"},
    "a.mov": {"codec": "mjpeg", "pix_fmt": "yuvj420p"},
}
IMAGES = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")


@cache
def video(name: str) -> bytes:
    """A video of a few frames; the extension says which container."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, name)
        make_clip(path, coded_frames(12, 64, 48), gop=5, **VIDEOS[name])  # type: ignore[arg-type]
        return path.read_bytes()


@cache
def image(form: str) -> bytes:
    """A picture with a note of how the camera was held."""
    picture = Image.fromarray(np.arange(48 * 64 * 3, dtype=np.uint8).reshape(48, 64, 3))
    exif = Image.Exif()
    exif[0x0112] = 6
    sink = io.BytesIO()
    picture.save(sink, form, **({"exif": exif} if form in ("PNG", "JPEG", "WEBP", "TIFF") else {}))
    return sink.getvalue()
