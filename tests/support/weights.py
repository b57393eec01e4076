"""Weights that nobody trained, in a directory and in a catalogue that knows them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest

from backend import checkpoints
from backend.checkpoints import Checkpoint
from support import golden


@pytest.fixture(scope="session")
def untrained_files(golden_dir: Path, mobile_sam_path: Path) -> Iterator[tuple[Path, Mapping[str, Checkpoint]]]:
    """A weights directory, and a catalogue in which its files are the published ones."""
    import torch
    from segment_anything import sam_model_registry

    from backend.association.masa import Masa

    # More than a gigabyte: pytest would keep its own directories.
    with tempfile.TemporaryDirectory(prefix="keytrack-weights-") as name:
        directory = Path(name)
        (directory / "mobile_sam.pt").symlink_to(mobile_sam_path)
        torch.save(golden.golden_state(golden_dir, "xmem", 1), directory / "XMem.pth")
        with torch.random.fork_rng():
            torch.manual_seed(1)
            torch.save(sam_model_registry["vit_b"]().state_dict(), directory / "sam_vit_b_01ec64.pth")
            torch.save(Masa("masa_sam_b").state_dict(), directory / "sam_vitb_masa.pth")
        known = dict(checkpoints.CATALOGUE)
        for entry in checkpoints.CATALOGUE.values():
            path = directory / entry.filename
            if path.is_file():
                known[entry.name] = replace(entry, size=path.stat().st_size, sha256=checkpoints.sha256_of(path))
        yield directory, MappingProxyType(known)


@pytest.fixture
def untrained(untrained_files: tuple[Path, Mapping[str, Checkpoint]], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with MobileSAM's weights, and synthetic ones taken for XMem's, SAM ViT-B's and MASA's on that."""
    directory, catalogue = untrained_files
    monkeypatch.setattr(checkpoints, "CATALOGUE", catalogue)
    return directory
