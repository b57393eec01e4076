from __future__ import annotations

import sqlite3

import pytest

from backend.errors import (
    KeytrackError,
    LabelStudioError,
    LabelStudioUnreachable,
    MediaError,
    UnavailableError,
    VideoError,
    WeightsError,
)
from backend.labelstudio.downloads import Unreachable
from backend.prelabel.passing import TRIES, is_passing, patiently


@pytest.mark.parametrize(
    "error",
    [
        LabelStudioUnreachable("away"),
        Unreachable("away"),
        WeightsError("away"),
        UnavailableError("busy"),
        MemoryError(),
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
        ConnectionResetError("away"),
        sqlite3.OperationalError("database is locked"),
    ],
)
def test_what_may_pass(error: Exception) -> None:
    assert is_passing(error)


def test_what_torch_raises_without_memory() -> None:
    import torch

    assert is_passing(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"))


@pytest.mark.parametrize(
    "error",
    [
        VideoError("no video"),
        MediaError("refused"),
        LabelStudioError("refused"),
        ValueError("a fault"),
        RuntimeError("x"),
    ],
)
def test_what_stays(error: Exception) -> None:
    assert not is_passing(error)


class Failing:
    """Fails so often, and then answers."""

    def __init__(self, error: Exception, count: int) -> None:
        self.error = error
        self.count = count
        self.calls = 0
        self.slept = [0.0]

    def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self.count:
            self.slept.append(0.0)
            raise self.error
        return "done"

    def sleep(self, seconds: float) -> None:
        self.slept[-1] += seconds


def test_what_passes_is_waited_for_twice_as_long_each_time() -> None:
    failing = Failing(LabelStudioUnreachable("away"), 3)
    assert patiently(failing, sleep=failing.sleep) == "done"
    assert failing.slept == [0, 2, 4, 8]


@pytest.mark.parametrize(("error", "calls"), [(LabelStudioUnreachable("away"), TRIES), (VideoError("no video"), 1)])
def test_patience_ends(error: KeytrackError, calls: int) -> None:
    failing = Failing(error, 99)
    with pytest.raises(type(error)):
        patiently(failing, sleep=failing.sleep)
    assert failing.calls == calls


def test_who_waits_can_be_interrupted() -> None:
    failing = Failing(LabelStudioUnreachable("away"), 99)
    asked = iter([False, False, True])
    with pytest.raises(LabelStudioUnreachable):
        patiently(failing, cancelled=lambda: next(asked), sleep=failing.sleep)
    assert (failing.calls, failing.slept[-1]) == (1, 0.5)
