"""Options and fixtures that all tests share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import setuptools  # noqa: F401 - torch.compile needs it, and it refuses to come after the standard library's distutils

from backend.settings import ENV_PREFIX, Settings, load_settings, share_processors
from support.require import unavailable

if TYPE_CHECKING:
    from backend.segmentation.segmenter import Segmenter

pytest_plugins = ["support.studio", "support.weights"]

TESTS = Path(__file__).parent
SETTINGS = pytest.StashKey[Settings]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--golden",
        type=Path,
        default=TESTS / "golden",
        metavar="DIR",
        help="directory with the reference arrays that golden tests compare with (default: tests/golden)",
    )


def pytest_configure(config: pytest.Config) -> None:
    share_processors()
    config.stash[SETTINGS] = load_settings()


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep the developer's own settings and data out of the tests."""
    for name in os.environ:
        if name.upper().startswith(ENV_PREFIX):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path_factory.getbasetemp() / "xdg-data"))


@pytest.fixture(scope="session")
def golden_dir(request: pytest.FixtureRequest) -> Path:
    """The directory given with ``--golden``."""
    directory: Path = request.config.getoption("--golden")
    if not directory.is_dir():
        pytest.fail(f"--golden {directory}: no such directory")
    return directory.resolve()


@pytest.fixture(scope="session")
def weights_dir(request: pytest.FixtureRequest) -> Path:
    """The developer's own weights directory (``KEYTRACK_WEIGHTS_DIR`` or its default), so that nothing is fetched
    twice."""
    return request.config.stash[SETTINGS].weights_dir


@pytest.fixture(scope="session")
def mobile_sam_path(weights_dir: Path) -> Path:
    """MobileSAM's real weights, fetched on first use; without them the test is skipped, or fails on CI."""
    from backend import checkpoints
    from backend.errors import WeightsError

    try:
        return checkpoints.fetch("mobile_sam", weights_dir, progress=False)
    except WeightsError as error:
        unavailable(str(error))


@pytest.fixture(scope="session")
def mobile_sam(mobile_sam_path: Path) -> Segmenter:
    """MobileSAM on the CPU, as it serves."""
    from backend import checkpoints
    from backend.segmentation.build import build_segmenter

    return build_segmenter("mobile_sam", checkpoints.load_state(mobile_sam_path))
