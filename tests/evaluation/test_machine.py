from __future__ import annotations

import subprocess

import pytest
import torch

from backend.evaluation import machine


def test_this_machine() -> None:
    found = machine.describe("cpu", torch.bfloat16)
    assert found.cpu
    assert found.memory > 1 << 28
    assert found.gpu is None
    assert (found.device, found.dtype) == ("cpu", "bfloat16")
    assert (found.torch, found.threads) == (torch.__version__, torch.get_num_threads())


def test_the_wait_policy_is_what_torch_was_started_with(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    assert machine.describe("cpu", torch.float32).waiting == "active"
    monkeypatch.delenv("OMP_WAIT_POLICY")
    assert machine.describe("cpu", torch.float32).waiting == ""


def test_no_repository_no_commit(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setattr(machine, "_REPOSITORY", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert machine.commit() is None


def test_the_commit_tells_what_is_not_in_it(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setattr(machine, "_REPOSITORY", tmp_path)
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    (tmp_path / "file").write_text("1")
    for command in (["init", "-q"], ["add", "file"], ["commit", "-qm", "One"], ["tag", "v1"]):
        subprocess.run([*git, *command], check=True)
    clean = machine.commit()
    assert clean is not None
    assert len(clean) >= 7
    (tmp_path / "file").write_text("2")
    assert machine.commit() == f"{clean}-dirty"
