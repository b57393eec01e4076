"""Which draft or annotation somebody works on."""

from __future__ import annotations

from typing import Any

import pytest

from backend.errors import PayloadError
from backend.labelstudio.working_copy import working_copy


def saved(name: str, second: int, **more: Any) -> dict[str, Any]:
    return {"result": [{"id": name}], "updated_at": f"2026-11-21T23:17:{second:02}.123456Z", **more}


@pytest.mark.parametrize(
    ("task", "expected", "where"),
    [
        ({}, None, ""),
        ({"drafts": None, "annotations": []}, None, ""),
        ({"drafts": [saved("a", 9)], "annotations": [saved("b", 8)]}, [{"id": "a"}], "tasks[0].drafts[0].result"),
        ({"drafts": [saved("a", 7)], "annotations": [saved("b", 8)]}, [{"id": "b"}], "tasks[0].annotations[0].result"),
        (
            {"annotations": [saved("a", 7), saved("b", 9), saved("c", 8)]},
            [{"id": "b"}],
            "tasks[0].annotations[1].result",
        ),
        (
            {"annotations": [saved("a", 7), saved("b", 9, was_cancelled=True)]},
            [{"id": "a"}],
            "tasks[0].annotations[0].result",
        ),
        ({"drafts": [{"result": []}]}, [], "tasks[0].drafts[0].result"),
        (None, None, ""),
    ],
)
def test_what_was_saved_last_counts(task: Any, expected: list[Any] | None, where: str) -> None:
    assert working_copy(task) == (None if expected is None else (expected, where))


@pytest.mark.parametrize("task", [{"drafts": {}}, {"drafts": [7]}, {"annotations": [{"result": None}]}])
def test_what_is_no_draft_is_refused_with_its_path(task: dict[str, Any]) -> None:
    with pytest.raises(PayloadError, match=r"tasks\[0\]\.(drafts|annotations)"):
        working_copy(task)
