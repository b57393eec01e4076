"""Hosts of media that hang: they hold up those who asked for them, and nobody else."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.fake_tracker import PATIENCE
from support.http import Answer, Asked, web_server
from support.service import DRAWN, Service, clip, press, region

HANGING = 20
"""Tasks whose video does not come; more than are fetched at once from one host, and than wait in any queue."""


@pytest.fixture
def hanging() -> Iterator[str]:
    """The address of a host that takes requests and does not answer, until the test is over."""
    release = threading.Event()

    def hang(asked: Asked) -> Answer:
        release.wait(2 * PATIENCE)
        return Answer(404)

    with web_server({f"/{number}.mp4": hang for number in range(HANGING)}) as site:
        yield site.url
        release.set()


def test_a_press_is_tracked_while_many_others_wait_for_a_host_that_hangs(tmp_path: Path, hanging: str) -> None:
    clip(tmp_path / "media")
    service = Service(tmp_path, allowed_hosts=("127.0.0.1",))
    service.budget(0.01)
    for number in range(HANGING):
        address = f"{hanging}/{number}.mp4"
        status, _ = service.predict(press(region("a", DRAWN), number=number + 1, video=address))
        assert status == 200
    assert service.keytrack.jobs()["preparing"] == HANGING
    service.budget(PATIENCE)
    (entry,) = service.press(region("b", DRAWN), number=HANGING + 1)
    assert entry["origin"] == "prediction"
    assert service.keytrack.jobs()["preparing"] == HANGING
    service.close()
