"""A real Label Studio with this backend, started once for all tests that need one."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from werkzeug.serving import make_server

from backend.demo.project import Clip, Project, demo_clips, make_project
from backend.demo.studio import STUDIO_SETTINGS, Studio
from backend.model import Keytrack
from backend.service.app import create_app
from backend.service.engine import Tracker
from backend.settings import load_settings
from support.choices import LITE
from support.require import unavailable


@pytest.fixture(scope="session")
def studio(tmp_path_factory: pytest.TempPathFactory, mobile_sam_path: Path) -> Iterator[Studio]:
    """Both servers on loopback ports, with nothing in them; Label Studio may serve the directory ``local-files``.

    Skipped (on CI failed) without Label Studio.
    """
    if importlib.util.find_spec("label_studio") is None:
        unavailable("Label Studio is not installed; pip install -r requirements-demo.txt")
    directory = tmp_path_factory.mktemp("studio")
    local_files = directory / "local-files"
    local_files.mkdir()
    settings = load_settings(data_dir=directory, weights_dir=mobile_sam_path.parent, profile="lite", budget_seconds=5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(STUDIO_SETTINGS, "LOCAL_FILES_SERVING_ENABLED", "true")
        patch.setitem(STUDIO_SETTINGS, "LOCAL_FILES_DOCUMENT_ROOT", str(local_files))
        with Studio(directory, settings) as running:
            yield running


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Clip]:
    """The demo's clips by name."""
    return {clip.name: clip for clip in demo_clips(tmp_path_factory.mktemp("clips"))}


@pytest.fixture(scope="session")
def project(studio: Studio, clips: dict[str, Clip]) -> Project:
    """The demo's project."""
    return make_project(studio.client, studio.backend_url, list(clips.values()))


@contextmanager
def serving(studio: Studio, directory: Path, tracker: Callable[[], Tracker], **settings: Any) -> Iterator[str]:
    """Another backend for that Label Studio, in this process, with any tracker behind it; its address."""
    chosen = load_settings(
        data_dir=directory, label_studio_url=studio.url, label_studio_token=studio.account.token, **settings
    )
    keytrack = Keytrack(chosen, tracker, LITE)
    server = make_server("127.0.0.1", 0, create_app(keytrack), threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        keytrack.stop()
        server.shutdown()
        thread.join()
        keytrack.close()
