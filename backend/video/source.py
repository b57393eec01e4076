"""Opening a file as a video, and refusing what is none."""

from __future__ import annotations

import os
from pathlib import Path

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Discard, Disposition
from av.video.stream import VideoStream

from backend.errors import VideoError

MAX_SIDE = 16_384
MAX_PIXELS = 1 << 26

# What FFmpeg would also open, and a media file has no business to be: playlists that fetch other files,
# images, subtitles, text.
_FORMATS = "mov,mp4,matroska,webm,avi,gif,mpegts,mpeg,flv,asf,ogg"
# FFmpeg has 300 decoders, most of them of old games and of cameras that few people had; a fault in any of them would be
# one here. These are what cameras, phones, browsers and programs for cutting write into such files.
_CODECS = (
    "h264,hevc,av1,libdav1d,vp8,libvpx,vp9,libvpx-vp9,"
    "mpeg1video,mpeg2video,mpeg4,h263,flv,vp6,vp6f,theora,msmpeg4,msmpeg4v1,msmpeg4v2,wmv1,wmv2,wmv3,vc1,"
    "mjpeg,mjpegb,jpeg2000,prores,dnxhd,dvvideo,ffv1,huffyuv,ffvhuff,utvideo,qtrle,rawvideo,v210,png,gif"
)
_LIMITS = {"codec_whitelist": _CODECS, "max_pixels": str(MAX_PIXELS)}
_OPTIONS = {"format_whitelist": _FORMATS, "protocol_whitelist": "file", **_LIMITS}

# Decoding gains little from more threads, and each holds frames of its own.
_MAX_THREADS = 8

_EXTENSIONS = {
    "mov": {".mp4", ".m4v", ".mov", ".qt", ".3gp", ".3g2", ".mj2", ".mp4v", ".mpg4", ".m4a"},
    "matroska": {".mkv", ".webm", ".mka", ".mk3d"},
    "avi": {".avi"},
    "gif": {".gif"},
    "mpegts": {".ts", ".mts", ".m2ts"},
    "mpeg": {".mpg", ".mpeg", ".vob"},
    "flv": {".flv"},
    "asf": {".wmv", ".asf"},
    "ogg": {".ogv", ".ogg", ".ogm", ".ogx"},
}
VIDEO_EXTENSIONS = frozenset().union(*_EXTENSIONS.values()) - {".m4a", ".mka", ".ogg", ".gif"}
"""What files of videos are called."""
_KNOWN_EXTENSIONS = frozenset().union(*_EXTENSIONS.values())

_SIGNATURES = (
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"%PDF", "a PDF document"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"#EXTM3U", "a playlist"),
    (b"ID3", "an MP3 sound"),
    (b"\x7fELF", "a program"),
)


def open_video(path: Path) -> tuple[InputContainer, VideoStream]:
    """Open a file and choose its video stream; the caller closes the container.

    Raises:
        VideoError: no such file, a directory, empty, not a video, no picture in it, a codec that cannot be
            decoded, or a picture larger than ``MAX_SIDE`` or ``MAX_PIXELS``.
    """
    _check_file(path)
    try:
        container = av.open(str(path.absolute()), options=_OPTIONS)
    except (FFmpegError, ValueError, OSError) as error:
        raise VideoError(_unreadable(path, error)) from error
    try:
        return container, _choose_stream(container, path)
    except BaseException:
        container.close()
        raise


def extension_warning(container: InputContainer, path: Path) -> str | None:
    """A sentence where the file's content is another container than its extension says."""
    extension = path.suffix.lower()
    family = container.format.name.split(",")[0]
    if extension not in _KNOWN_EXTENSIONS or extension in _EXTENSIONS.get(family, {extension}):
        return None
    return (
        f"{path.name} is named {extension} but holds {container.format.long_name or family}: it can be read here, "
        "but a browser may refuse it. Rename it or convert it."
    )


def _check_file(path: Path) -> None:
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        raise VideoError(f"there is no video at {path}: {getattr(error, 'strerror', None) or error}") from error
    if not path.is_file():
        raise VideoError(f"{path} is not a file")
    if status.st_size == 0:
        raise VideoError(f"{path.name} is empty: upload or copy it again")


def _choose_stream(container: InputContainer, path: Path) -> VideoStream:
    pictures = [stream for stream in container.streams.video if not _is_cover(stream)]
    if not pictures:
        others = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing at all"
        raise VideoError(f"{path.name} holds no video, only {others}")
    stream = pictures[0]
    if stream.codec_context is None:
        raise VideoError(f"{path.name}: its video codec is not known here; convert the file to H.264")
    width, height = stream.codec_context.width, stream.codec_context.height
    if width <= 0 or height <= 0:
        # FFmpeg leaves the size at 0 when it is told that it is too large.
        raise VideoError(
            f"{path.name} has no picture size that can be read: it is damaged, cut off before its first frame, "
            f"or larger than {MAX_PIXELS // 1_000_000} megapixels"
        )
    if max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
        raise VideoError(
            f"{path.name}: a picture of {width} x {height} pixels is more than can be read here "
            f"(at most {MAX_SIDE} a side and {MAX_PIXELS // 1_000_000} megapixels); scale the video down"
        )
    for other in container.streams:
        if other is not stream:
            other.discard = Discard.all
    codec = stream.codec_context.name
    if codec not in _CODECS.split(","):
        raise VideoError(f"{path.name}: videos in the codec {codec} are not decoded here; convert the file to H.264")
    stream.codec_context.options = _LIMITS
    stream.thread_type = "AUTO"
    stream.codec_context.thread_count = min(os.cpu_count() or 1, _MAX_THREADS)
    return stream


def _is_cover(stream: VideoStream) -> bool:
    return bool(stream.disposition & Disposition.attached_pic)


def _unreadable(path: Path, error: Exception) -> str:
    try:
        with path.open("rb") as file:
            head = file.read(512)
    except OSError as failure:
        return f"{path.name} cannot be read: {failure.strerror or failure}"
    for signature, what in _SIGNATURES:
        if head.startswith(signature):
            return f"{path.name} is {what}, not a video"
    if head.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        return f"{path.name} is a web page, not a video: was it downloaded without being logged in?"
    if head[4:8] == b"ftyp":
        return (
            f"{path.name} cannot be read: it starts like an MP4, but its table of contents is missing or damaged. "
            "It is probably cut off; upload or copy it again"
        )
    reason = getattr(error, "strerror", None) or str(error)
    return f"{path.name} is not a video that can be read here ({reason}); convert it to MP4 with H.264"
