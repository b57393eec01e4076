"""The layout of the database, and how one of an older layout becomes one of this."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from types import MappingProxyType

VERSION = 6

_TABLES = """
CREATE TABLE projects (
    project TEXT PRIMARY KEY, hostname TEXT NOT NULL, token TEXT NOT NULL, extra TEXT NOT NULL
);
CREATE TABLE tracks (
    id INTEGER PRIMARY KEY, project TEXT NOT NULL, task TEXT NOT NULL, region TEXT NOT NULL,
    label TEXT NOT NULL, source TEXT NOT NULL, direction TEXT NOT NULL, human TEXT NOT NULL, closed TEXT NOT NULL,
    pressed INTEGER NOT NULL, revision INTEGER NOT NULL, problem TEXT, answer TEXT, score REAL, texts TEXT,
    UNIQUE (project, task, region)
);
CREATE TABLE emissions (
    id INTEGER PRIMARY KEY, track INTEGER NOT NULL REFERENCES tracks (id) ON DELETE CASCADE,
    sequence TEXT NOT NULL, human TEXT NOT NULL
);
CREATE INDEX emissions_of_track ON emissions (track);
CREATE TABLE observations (
    track INTEGER NOT NULL REFERENCES tracks (id) ON DELETE CASCADE, frame INTEGER NOT NULL,
    revision INTEGER NOT NULL, score REAL NOT NULL, human INTEGER NOT NULL,
    x0 REAL, y0 REAL, x1 REAL, y1 REAL, height INTEGER, width INTEGER, counts BLOB,
    PRIMARY KEY (track, frame)
) WITHOUT ROWID;
"""

_STEPS: Mapping[int, str] = MappingProxyType(
    {
        0: _TABLES,
        # What a track that is being made anew was when it was last complete; what else is to be told of a track; which
        # of the human's keyframes in a sequence that was handed out end a visible span.
        1: """
CREATE TABLE bases (
    track INTEGER PRIMARY KEY REFERENCES tracks (id) ON DELETE CASCADE, revision INTEGER NOT NULL,
    human TEXT NOT NULL, closed TEXT NOT NULL, sequence TEXT NOT NULL
);
ALTER TABLE tracks ADD COLUMN remarks TEXT NOT NULL DEFAULT '[]';
ALTER TABLE emissions ADD COLUMN closed TEXT NOT NULL DEFAULT '[]';
""",
        # What was pressed and is not complete yet.
        2: """
CREATE TABLE presses (
    project TEXT NOT NULL, task TEXT NOT NULL, label TEXT NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (project, task, label)
);
""",
        # Predictions that Label Studio has not been given yet.
        3: """
CREATE TABLE parcels (
    project TEXT NOT NULL, task TEXT NOT NULL, model_version TEXT NOT NULL, score REAL NOT NULL, result TEXT NOT NULL,
    PRIMARY KEY (project, task)
);
""",
        # What becomes of one where the task has a prediction, or an annotation, already.
        4: "ALTER TABLE parcels ADD COLUMN terms TEXT NOT NULL DEFAULT 'first'",
        # Presses by their numbers, several on a class. What a parcel lacks since it could not be tracked.
        5: """
ALTER TABLE presses RENAME TO presses_by_label;
CREATE TABLE presses (
    id INTEGER PRIMARY KEY, project TEXT NOT NULL, task TEXT NOT NULL, number INTEGER NOT NULL,
    label TEXT NOT NULL, body TEXT NOT NULL
);
CREATE INDEX presses_of_task ON presses (project, task);
INSERT INTO presses (project, task, number, label, body)
    SELECT p.project, p.task, max(t.pressed), p.label, p.body FROM presses_by_label p
    JOIN tracks t ON t.project = p.project AND t.task = p.task AND t.label = p.label
    GROUP BY p.rowid ORDER BY p.rowid;
DROP TABLE presses_by_label;
ALTER TABLE parcels ADD COLUMN missing TEXT NOT NULL DEFAULT '[]';
""",
    }
)


def upgrade(db: sqlite3.Connection) -> None:
    """Bring a database, an empty one too, to this layout; nothing in it is lost. To be called in a transaction.

    Raises:
        sqlite3.DatabaseError: it is of a later layout, or no database.
    """
    (found,) = db.execute("PRAGMA user_version").fetchone()
    if found > VERSION:
        raise sqlite3.DatabaseError(f"its layout is version {found}, this program writes {VERSION}")
    for version in range(found, VERSION):
        for statement in filter(str.strip, _STEPS[version].split(";")):
            db.execute(statement)
    db.execute(f"PRAGMA user_version = {VERSION}")
