from __future__ import annotations

import mmap
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from backend import memory


def test_memory_grows_with_what_is_held() -> None:
    before = memory.resident_bytes()
    with mmap.mmap(-1, 64 << 20) as held:  # never memory that the process had before
        for page in range(0, len(held), mmap.PAGESIZE):
            held[page] = 1
        assert memory.resident_bytes() > before + (32 << 20)
    assert memory.peak_bytes() >= memory.resident_bytes() - (1 << 20)


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="only Linux tells of other processes")
def test_another_process_s_memory() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        assert 0 < (memory.resident_bytes_of(other.pid) or 0) < memory.peak_bytes()
    assert memory.resident_bytes_of(other.pid) is None


def test_without_linux_s_files_the_system_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_status", lambda field: None)
    assert memory.peak_bytes() > 1 << 20
    assert memory.resident_bytes() == memory.peak_bytes()


def test_a_device_s_memory_is_told_once_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    assert memory.device_bytes("cuda") is None
    cuda = SimpleNamespace(
        is_initialized=lambda: True,
        memory_reserved=lambda device: {"cuda:1": 300}[device],
        get_device_properties=lambda device: SimpleNamespace(total_memory={"cuda:1": 800}[device]),
    )
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    assert memory.device_bytes("cuda:1") == (300, 800)
    assert memory.device_bytes("cpu") is None
    cuda.is_initialized = lambda: False  # the models are elsewhere
    assert memory.device_bytes("cuda:1") is None
