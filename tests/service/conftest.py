from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.service import Service, clip


@pytest.fixture(scope="session")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with one video."""
    directory = tmp_path_factory.mktemp("media")
    clip(directory)
    return directory


@pytest.fixture
def start(tmp_path: Path, media: Path) -> Iterator[Callable[..., Service]]:
    """Starts services on one data directory and one video; those left running are stopped at the end."""
    (tmp_path / "media").mkdir()
    shutil.copy(media / "clip.mp4", tmp_path / "media")
    started: list[Service] = []

    def start_one(*args: Any, **kwargs: Any) -> Service:
        started.append(Service(tmp_path, *args, **kwargs))
        return started[-1]

    yield start_one
    for service in started:
        service.close()


@pytest.fixture
def service(start: Callable[..., Service]) -> Service:
    """A service whose tracker is never held."""
    return start()
