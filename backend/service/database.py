"""The SQLite file of the store: one connection, one lock, short transactions, a write-ahead log."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from backend.errors import SettingsError, StorageError
from backend.service import schema


class Database:
    """A connection that threads share.

    Attributes:
        lock: held, again by the same thread too, while several statements belong together.
    """

    def __init__(self, path: Path) -> None:
        """Open or create the database at ``path``.

        Raises:
            SettingsError: it cannot be created or read there.
        """
        self.lock = threading.RLock()
        self._name = path.name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)  # it holds tokens
            self._connection = sqlite3.connect(path, timeout=10, check_same_thread=False, isolation_level=None)
            self._prepare()
        except (OSError, sqlite3.Error, StorageError) as error:
            raise SettingsError(
                f"KEYTRACK_DATA_DIR / --data-dir: tracks cannot be stored in {path}: {error.__cause__ or error}; "
                "give a writable directory, or move that file away"
            ) from error

    def _prepare(self) -> None:
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self._connection.execute("PRAGMA foreign_keys = ON")
        with self.transaction() as db:
            schema.upgrade(db)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All that is done inside, or, where it raises, nothing; a transaction inside another one is part of that.

        Raises:
            StorageError: the disk did not take it.
        """
        with self.lock, self._told():
            if self._connection.in_transaction:  # this thread's: it has the lock
                yield self._connection
                return
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            finally:
                if self._connection.in_transaction:  # SQLite itself ends one that found the disk full
                    self._connection.execute("ROLLBACK")

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            ours = sqlite3.IntegrityError | sqlite3.ProgrammingError
            if isinstance(error, ours) or getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR:
                raise
            raise StorageError(
                f"{self._name} cannot be used: {error}; make room on its disk, or see what is wrong with it, and try "
                "again"
            ) from error

    def all(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        """The rows of a query."""
        with self.lock, self._told():
            return self._connection.execute(sql, values).fetchall()

    def one(self, sql: str, values: Sequence[Any] = ()) -> Any:
        """The first row of a query, None where there is none."""
        with self.lock, self._told():
            return self._connection.execute(sql, values).fetchone()

    def close(self) -> None:
        """Close it; it stays closed."""
        with self.lock:
            self._connection.close()
