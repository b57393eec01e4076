"""The reference arrays, and the synthetic weights and frames that they were made with."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch


@cache
def golden_weights(directory: Path) -> ModuleType:
    """The module ``golden_weights.py`` of a directory of references."""
    spec = importlib.util.spec_from_file_location("golden_weights", directory / "golden_weights.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def golden_state(directory: Path, keys: str, seed: int, only: Sequence[str] = ()) -> dict[str, torch.Tensor]:
    """The synthetic checkpoint of a key list, checked against nothing: compare ``state_crc32``.

    With ``only`` it has the names that start with one of these.
    """
    arrays = golden_weights(directory).golden_state_dict(str(directory / "keys" / f"{keys}.tsv"), seed, only)
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def empty_state(directory: Path, keys: str) -> dict[str, torch.Tensor]:
    """Tensors without content for a key list, on torch's ``meta`` device."""
    names = golden_weights(directory).read_keys(str(directory / "keys" / f"{keys}.tsv"))
    return {name: torch.empty(shape, device="meta") for name, shape in names}


def state_crc32(directory: Path, state: Mapping[str, torch.Tensor]) -> int:
    """What ``meta["weights_crc32"]`` holds."""
    return golden_weights(directory).state_dict_crc32({name: value.numpy() for name, value in state.items()})


def load(directory: Path, name: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays of a file, and its ``meta``."""
    with np.load(directory / f"{name}.npz") as file:
        arrays = dict(file)
    return arrays, json.loads(str(arrays.pop("meta")))
