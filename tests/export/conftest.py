from __future__ import annotations

import pytest

from backend.video.reader import VideoReader
from support.labelled import make_video


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """The clip of :mod:`support.labelled`."""
    with VideoReader(make_video(tmp_path_factory.mktemp("video") / "clip.mkv")) as reader:
        yield reader
