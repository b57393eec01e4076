"""What a worker says of a job that fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend.errors import VideoError
from backend.labelstudio.config import parse_config
from backend.prelabel import doing
from backend.prelabel.doing import Doer
from backend.prelabel.jobs import Failed, Manner, VideoJob
from backend.prelabel.plan import Plan
from support.fake_tracker import FakeTracker
from support.service import CONFIG, clip


@pytest.mark.parametrize(
    ("error", "again"), [(MemoryError("no memory left"), True), (VideoError("frame 3 is broken"), False)]
)
def test_memory_is_given_back_before_another_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, again: bool
) -> None:
    relieved: list[Exception] = []
    monkeypatch.setattr(doing, "relieve", relieved.append)
    tracker = FakeTracker()
    tracker.fails_at = {3: error}
    manner = Manner("keytrack-1", 0.95)
    job = VideoJob("a", clip(tmp_path), Plan(None, "Car"), "r", parse_config(CONFIG), None, manner)
    found = Doer(lambda: tracker, Path).do(job)
    assert isinstance(found, Failed)
    assert (found.reason, found.again, relieved) == (str(error), again, [error])
