"""Checkpoints of mmengine, which hold more than tensors, are read without running what they hold."""

from __future__ import annotations

import pickle
import sys
import zipfile
from collections import OrderedDict
from pathlib import Path
from types import ModuleType

import pytest
import torch

from backend.checkpoints import load_state
from backend.errors import WeightsError

PACKAGES = ("mmengine", "mmengine.logging", "mmengine.logging.history_buffer")
HISTORY = """
from collections import OrderedDict
import numpy as np

class HistoryBuffer:
    def __init__(self):
        self.max_length = 1_000_000
        self.log_history = np.arange(5.0)
        self.count_history = np.ones(5, dtype=np.int64)
        self.last = self.log_history[-1]

    def mean(self):
        return self.log_history.mean()

    def __getstate__(self):
        return {**self.__dict__, "statistics_methods": OrderedDict(mean=HistoryBuffer.mean)}

    def __setstate__(self, state):
        raise AssertionError("the file's own objects were made")
"""
NUMPY_2 = b"numpy._core.multiarray"


@pytest.fixture(params=[NUMPY_2, b"numpy.core.multiarray"], ids=["NumPy 2", "NumPy 1"])
def checkpoint(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file as a run of mmengine leaves it, with arrays as either NumPy writes them."""
    modules = [ModuleType(name) for name in PACKAGES]
    exec(HISTORY, modules[-1].__dict__)
    for module in modules:
        monkeypatch.setitem(sys.modules, module.__name__, module)
    content = {
        "meta": {"epoch": 12, "cfg": "model = dict()", "dataset_meta": {"classes": ("object",)}},
        "message_hub": {"log_scalars": OrderedDict(loss=modules[-1].HistoryBuffer())},
        "state_dict": OrderedDict(weight=torch.arange(6.0), count=torch.tensor(4)),
        "optimizer": {"state": {0: {"momentum_buffer": torch.zeros(6)}}, "param_groups": [{"lr": 0.1, "params": [0]}]},
    }
    written, path = tmp_path / "written.pth", tmp_path / "trained.pth"
    torch.save(content, written)
    with zipfile.ZipFile(written) as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            data = source.read(name)
            if name.endswith("data.pkl"):
                assert NUMPY_2 in data
                data = data.replace(NUMPY_2, request.param)
            target.writestr(name, data)
    return path


def test_a_trained_checkpoint_is_read(checkpoint: Path) -> None:
    state = load_state(checkpoint)
    assert list(state) == ["weight", "count"]
    assert torch.equal(state["weight"], torch.arange(6.0))


def test_what_others_read_is_as_it_was(checkpoint: Path) -> None:
    for _ in range(2):
        with pytest.raises(pickle.UnpicklingError, match="HistoryBuffer"):
            torch.load(checkpoint, weights_only=True)
        load_state(checkpoint)


class Calling:
    """Pickles to a call, which is made when it is loaded."""

    def __init__(self, *call: object) -> None:
        self.call = call

    def __reduce__(self) -> tuple[object, ...]:
        function, *arguments = self.call
        return function, tuple(arguments)


def test_a_name_that_is_stood_in_for_is_not_looked_up(tmp_path: Path) -> None:
    path = tmp_path / "state.pth"
    torch.save({"state_dict": {"weight": torch.ones(2)}, "meta": Calling(getattr, torch.Size, "no such name")}, path)
    assert list(load_state(path)) == ["weight"]


def test_nothing_else_is_let_in(tmp_path: Path) -> None:
    trace, path = tmp_path / "trace", tmp_path / "state.pth"
    # Methods are named by way of getattr, which alone is stood in for.
    for call in (Calling(Path.touch, trace), Calling(torch.Tensor.add_, torch.ones(2), 1), Calling(open, trace, "w")):
        torch.save({"state_dict": {"weight": torch.ones(2)}, "meta": call}, path)
        with pytest.raises(WeightsError, match="more than tensors"):
            load_state(path)
        assert not trace.exists()
