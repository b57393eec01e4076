from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from backend.cluster import fleet, remote
from backend.cluster.start import connected
from support.fake_tracker import PATIENCE
from support.remote_tracker import Workers


@pytest.fixture(scope="module")
def one_machine() -> Iterator[None]:
    """Ray on this machine; it has nothing to do but to start actors."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))  # to unpickle what tests share
        # On a machine with much else to do workers answer late, and a new one takes half a minute to be there.
        patch.setattr(remote, "ASK_SECONDS", PATIENCE)
        patch.setattr(fleet, "START_SECONDS", 2 * PATIENCE)
        with connected(processors=4, dashboard=False):
            yield


@pytest.fixture
def start(one_machine: None, tmp_path: Path) -> Iterator[Callable[..., Workers]]:
    with ExitStack() as started:

        def start_some(**further: Any) -> Workers:
            workers = Workers(tmp_path, **further)
            started.callback(workers.fleet.close)
            return workers

        yield start_some
