"""What somebody works on in Label Studio, as far as an interactive call tells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from backend.errors import PayloadError


def working_copy(task: object, path: str = "tasks[0]") -> tuple[list[object], str] | None:
    """The regions of the annotation that a task's annotator has open, and where they were found.

    The call does not say which one it is: it is taken for the draft or the annotation that was saved last. Label Studio
    saves drafts some seconds after a change, so that the latest may be missing.

    Args:
        task: as Label Studio sends it with an interactive call.
        path: of the task, for messages.

    Returns:
        None where nothing has been saved yet.

    Raises:
        PayloadError: a draft or an annotation is none.
    """
    if not isinstance(task, Mapping):
        return None
    found = [*_saved(task, "drafts", path), *_saved(task, "annotations", path)]
    latest = max(found, key=lambda one: one[0], default=None)
    return None if latest is None else latest[1:]


def _saved(task: Mapping[str, object], kind: str, path: str) -> Iterator[tuple[str, list[object], str]]:
    """Time of saving, regions and place of each."""
    held = task.get(kind)
    if held is None:
        return
    if not isinstance(held, list):
        raise PayloadError(f"{path}.{kind}: expected a list; found {type(held).__name__}", f"{path}.{kind}")
    for index, one in enumerate(held):
        where = f"{path}.{kind}[{index}]"
        if not isinstance(one, Mapping):
            raise PayloadError(f"{where}: expected an object; found {type(one).__name__}", where)
        if one.get("was_cancelled") is True:
            continue
        result = one.get("result")
        if not isinstance(result, list):
            raise PayloadError(f"{where}.result: expected a list; found {type(result).__name__}", f"{where}.result")
        yield str(one.get("updated_at") or one.get("created_at") or ""), result, f"{where}.result"
