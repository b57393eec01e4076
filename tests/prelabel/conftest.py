from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.fake_studio import TOKEN, FakeStudio, fake_studio
from support.post import Post
from support.service import Service, clip


@pytest.fixture(scope="session")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with one video, ``clip.mp4``."""
    directory = tmp_path_factory.mktemp("media")
    clip(directory)
    return directory


@pytest.fixture
def fake() -> Iterator[FakeStudio]:
    with fake_studio() as running:
        yield running


@pytest.fixture
def start(tmp_path: Path, media: Path, fake: FakeStudio) -> Iterator[Callable[..., Service]]:
    """Starts services on one data directory and one video, which know the fake Label Studio and its token."""
    (tmp_path / "media").mkdir()
    shutil.copy(media / "clip.mp4", tmp_path / "media")
    started: list[Service] = []

    def start_one(*args: Any, **kwargs: Any) -> Service:
        access = {"label_studio_url": fake.url, "label_studio_token": TOKEN}
        started.append(Service(tmp_path, *args, **access | kwargs))
        return started[-1]

    yield start_one
    for service in started:
        service.close()


@pytest.fixture
def post(tmp_path: Path, fake: FakeStudio) -> Iterator[Post]:
    post = Post(tmp_path / "keytrack.db", fake)
    yield post
    post.close()
