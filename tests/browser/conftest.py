"""What browser tests share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.demo.studio import Studio
from support.browser import LabelingPage, browser_page


@pytest.fixture
def shots(tmp_path: Path) -> Path:
    """Where screenshots go: ``SCREENSHOTS_DIR``, or nowhere in particular."""
    directory = Path(os.environ.get("SCREENSHOTS_DIR") or tmp_path)
    directory.mkdir(parents=True, exist_ok=True)
    return directory


@pytest.fixture
def page(studio: Studio) -> Iterator[LabelingPage]:
    """A browser in which the demo's account is signed in."""
    with browser_page() as tab:
        page = LabelingPage(tab, studio.url)
        page.sign_in(studio.account)
        yield page
