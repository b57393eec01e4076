"""Imports run one way: each room may use those that stand after it, and those of its own line."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

BACKEND = Path(__file__).parents[1] / "backend"
# As CONTRIBUTING.md has it; the rooms of the models know nothing of one another.
LINES = (
    ("cli",),
    ("cluster",),
    ("prelabel",),
    ("evaluation",),
    ("service",),
    ("detections",),
    ("export",),
    ("labelstudio",),
    ("tracking",),
    ("video", "segmentation", "propagation", "association"),
)
RANKS = {room: rank for rank, rooms in enumerate(LINES) for room in rooms}


def rooms_of(path: Path) -> Iterator[str]:
    """The rooms that a module imports, in functions too."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("backend."):
            yield node.module.split(".")[1]
        elif isinstance(node, ast.ImportFrom) and node.module == "backend":
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name.split(".")[1] for alias in node.names if alias.name.startswith("backend."))


@pytest.mark.parametrize("room", RANKS)
def test_no_room_imports_one_that_stands_before_it(room: str) -> None:
    wrong = [
        f"{path.relative_to(BACKEND)} imports {other}"
        for path in sorted((BACKEND / room).rglob("*.py"))
        for other in rooms_of(path)
        if other in RANKS and RANKS[other] < RANKS[room]
    ]
    assert wrong == []
