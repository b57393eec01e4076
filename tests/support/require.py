"""What tests do when the machine lacks something they need."""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")


def on_ci() -> bool:
    """Whether this run is the project's own check, where nothing may be left out."""
    return os.environ.get("CI", "").lower() in ("1", "true")


def unavailable(reason: str) -> NoReturn:
    """Skip the test with the reason; on CI, where everything has to be installed, fail it."""
    if on_ci():
        pytest.fail(reason)
    pytest.skip(reason)


def chromium() -> str:
    """The path of an installed Chromium or Chrome; where there is none, as :func:`unavailable`."""
    for name in CHROMIUM_NAMES:
        if path := shutil.which(name):
            return path
    unavailable(f"no Chromium found (looked for {', '.join(CHROMIUM_NAMES)}); on Debian: apt-get install chromium")
