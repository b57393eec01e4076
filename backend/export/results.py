"""A directory of results that appears when it is complete."""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path
from types import TracebackType

from backend.errors import OutputError


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8.

    Raises:
        OutputError: it cannot be written.
    """
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"cannot write {path.name}: {error}") from error


def replace_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8 in the place of what is there, which stays where that fails.

    Raises:
        OutputError: it cannot be written.
    """
    temporary = path.with_name(f".{secrets.token_hex(8)}.part")  # whose length does not depend on the file's
    try:
        write_text(temporary, text)
        os.replace(temporary, path)
    except OSError as error:
        raise OutputError(f"cannot write {path.name}: {error}") from error
    finally:
        temporary.unlink(missing_ok=True)


class ResultsDirectory:
    """Results are written to ``path(name)`` and come to lie in ``target`` when :meth:`publish` is called.

    A context manager: without ``publish`` nothing is left of them, and ``target`` is what it was.
    """

    def __init__(self, target: Path, names: tuple[str, ...], *, force: bool = False) -> None:
        """
        Args:
            target: the directory to be; made with its parents.
            names: the files and directories that may be written.
            force: replace those of ``names`` which are there from before, and none else.

        Raises:
            OutputError: ``target`` is a file, or not empty without ``force``, or cannot be written to.
        """
        self._target = Path(os.path.abspath(target))
        self._names = names
        self._force = force
        self._check()
        try:
            self._target.parent.mkdir(parents=True, exist_ok=True)
            self._temporary = self._target.with_name(f".{self._target.name}-{secrets.token_hex(4)}.part")
            self._temporary.mkdir()
        except OSError as error:
            raise OutputError(f"--out {self._target}: cannot be made ({error.strerror}); give another") from error

    def __enter__(self) -> ResultsDirectory:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self._temporary, ignore_errors=True)

    def path(self, name: str) -> Path:
        """Where to write one of the names."""
        if name not in self._names:
            raise ValueError(f"{name!r} is none of {self._names}")
        return self._temporary / name

    def publish(self) -> None:
        """Put what was written in its place.

        Raises:
            OutputError: the place was taken meanwhile, or cannot be written to; the results stay where the message
                says.
        """
        try:
            self._check()
            self._move()
        except (OutputError, OSError) as error:
            kept = self._temporary.with_suffix(".kept")
            os.replace(self._temporary, kept)
            raise OutputError(f"{error}; the results are in {kept}") from error

    def _move(self) -> None:
        if not self._target.exists():
            os.rename(self._temporary, self._target)
            return
        # Old results leave before new ones come: what lies there is never a mixture of the two.
        for name in self._names:
            old = self._target / name
            if old.is_dir() and not old.is_symlink():
                shutil.rmtree(old)
            else:
                old.unlink(missing_ok=True)
        for new in sorted(self._temporary.iterdir()):
            os.rename(new, self._target / new.name)

    def _check(self) -> None:
        if not self._target.exists():
            return
        if not self._target.is_dir():
            raise OutputError(f"--out {self._target} is a file; give a directory")
        if not self._force and any(self._target.iterdir()):
            raise OutputError(
                f"--out {self._target} is not empty; give another, or --force to replace earlier results in it"
            )
