from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from backend.errors import DatasetError, MeasuringError
from backend.evaluation.benchmark_report import read_report
from backend.evaluation.child import in_child
from backend.memory import peak_bytes

ROOT = Path(__file__).parents[2]


def test_it_answers_from_another_process() -> None:
    assert in_child(os.getpid) != os.getpid()
    assert in_child(divmod, 17, 5) == (3, 2)


def test_its_memory_is_its_own() -> None:
    held = bytearray(300 << 20)
    held[::4096] = b"x" * len(held[::4096])
    assert peak_bytes() > 300 << 20
    assert 0 < in_child(peak_bytes) < 300 << 20


def test_a_user_s_error_comes_through(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"missing\.json"):
        in_child(read_report, tmp_path / "missing.json")


def test_one_that_ends_without_an_answer() -> None:
    with pytest.raises(MeasuringError, match="status 3"):
        in_child(os._exit, 3)


def test_one_that_is_killed() -> None:
    with pytest.raises(MeasuringError, match="want of memory"):
        in_child(signal.raise_signal, signal.SIGKILL)


def test_one_that_fails_says_why_itself(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(MeasuringError, match="status 1; what it said stands above"):
        in_child(divmod, 1, 0)
    assert "ZeroDivisionError" in capfd.readouterr().err


def test_ctrl_c_is_the_parent_s_matter() -> None:
    assert in_child(signal.getsignal, signal.SIGINT) == signal.SIG_IGN


def test_it_does_not_outlive_a_parent_that_was_killed() -> None:
    working = "import os, time; os.write(1, b'at work'); time.sleep(300)"
    code = f"from backend.evaluation.child import in_child; in_child(exec, {working!r})"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=ROOT) as parent:
        assert parent.stdout is not None
        assert parent.stdout.read(len("at work")) == b"at work"
        parent.kill()
        # The output ends when the last process that could write to it has ended.
        assert parent.stdout.read() == b""
