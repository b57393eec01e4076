"""Claims on files, by threads of this process and by another process."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from backend.labelstudio.claims import Claims

ROOT = Path(__file__).parents[2]
PATIENCE = 30.0
OTHER = """
import sys
from pathlib import Path
from backend.labelstudio.claims import Claims

with Claims(Path(sys.argv[1])).claim("a.mp4"):
    print("claimed", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def claims(tmp_path: Path) -> Claims:
    return Claims(tmp_path / "data" / "media.lock")


def is_free(claims: Claims, name: str) -> bool:
    with claims.alone(name) as alone:
        return alone


def test_a_file_is_free_when_the_last_claim_on_it_has_ended(claims: Claims) -> None:
    assert is_free(claims, "a.mp4")
    with claims.claim("a.mp4"):
        with claims.claim("a.mp4"):
            assert not is_free(claims, "a.mp4")
        assert not is_free(claims, "a.mp4")
        assert is_free(claims, "b.mp4")
    assert is_free(claims, "a.mp4")


def test_who_wants_a_file_waits_while_it_is_removed(claims: Claims) -> None:
    order: list[str] = []

    def use() -> None:
        with claims.claim("a.mp4"):
            order.append("claimed")

    with claims.alone("a.mp4") as alone:
        thread = threading.Thread(target=use)
        thread.start()
        thread.join(0.05)
        order.append("removed")
    thread.join(PATIENCE)
    assert (alone, order) == (True, ["removed", "claimed"])


@pytest.mark.skipif(sys.platform == "win32", reason="this system has no such locks")
def test_nothing_is_open_any_more_when_nobody_has_it(tmp_path: Path) -> None:
    claims = Claims(tmp_path / "media.lock")
    assert is_free(claims, "a.mp4")
    file = claims._file
    assert file is not None
    os.fstat(file)
    del claims
    gc.collect()
    with pytest.raises(OSError):
        os.fstat(file)


@pytest.mark.skipif(sys.platform == "win32", reason="this system has no such locks")
def test_a_claim_of_another_process_is_seen_and_ends_with_it(claims: Claims, tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OTHER, str(tmp_path / "data" / "media.lock")],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "claimed\n"
        assert not is_free(claims, "a.mp4")
        with claims.claim("a.mp4"):  # both may
            pass
        assert not is_free(claims, "a.mp4")
        assert is_free(claims, "b.mp4")
        other.kill()
        other.wait(PATIENCE)
        assert is_free(claims, "a.mp4")
