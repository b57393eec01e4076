from __future__ import annotations

from pathlib import Path

import pytest

from support.fake_rooms import FakeVideo


@pytest.fixture
def video(tmp_path: Path) -> FakeVideo:
    """Twelve frames of 64 x 48 pixels, called ``dog.mp4``."""
    return FakeVideo(12, path=tmp_path / "dog.mp4")
