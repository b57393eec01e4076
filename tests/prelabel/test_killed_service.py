"""The service is killed at any moment: what a human drew stays, frames but the last second's stay, and what it posts
arrives once."""

from __future__ import annotations

from pathlib import Path

from support.killing import play


def test_a_service_that_is_killed_again_and_again(tmp_path: Path) -> None:
    tally = play(tmp_path, kills=3, seed=5)
    assert tally.kills == 3 and tally.answered > 0 and tally.posted > 0
