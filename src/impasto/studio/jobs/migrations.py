"""The versions of the job database.

SQLite keeps the version of a database in ``PRAGMA user_version``. Version N is reached from version
N - 1 by ``MIGRATIONS[N - 1]``. Version 0 is an empty file, or a database from before versions were
counted; its tables are those of version 1.

To change what the database holds, append a function of a connection to ``MIGRATIONS``. It runs in a
transaction, together with the others that a database lacks, so it must not use ``executescript``,
which commits. It must not use the models of ``jobs/models.py`` either, which change later.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence

Migration = Callable[[sqlite3.Connection], None]


class NewerDatabaseError(Exception):
    """The database was written by a newer version of impasto."""


def _create_tables(database: sqlite3.Connection) -> None:
    database.execute(
        """
        CREATE TABLE IF NOT EXISTS job (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT UNIQUE NOT NULL,
            state TEXT NOT NULL,
            created REAL NOT NULL,
            started REAL,
            finished REAL,
            request TEXT NOT NULL,
            progress TEXT NOT NULL,
            error TEXT,
            crashes INTEGER NOT NULL DEFAULT 0,
            crashed_at INTEGER NOT NULL DEFAULT -1
        )
        """
    )
    database.execute(
        """
        CREATE TABLE IF NOT EXISTS event (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            job TEXT NOT NULL,
            kind TEXT NOT NULL,
            data TEXT NOT NULL
        )
        """
    )
    database.execute("CREATE INDEX IF NOT EXISTS event_of_job ON event (job, id)")


MIGRATIONS: tuple[Migration, ...] = (_create_tables,)


def migrate(database: sqlite3.Connection, migrations: Sequence[Migration] | None = None) -> None:
    """Bring a database to the latest version, or leave it as it is.

    Args:
        database: A connection without implicit transactions (``isolation_level=None``).
        migrations: The migrations from version 0 on, by default ``MIGRATIONS``.

    Raises:
        NewerDatabaseError: The database has a version that isn't known here.
        sqlite3.Error: The database is damaged, or can't be written.
    """
    migrations = MIGRATIONS if migrations is None else migrations
    database.execute("BEGIN IMMEDIATE")
    try:
        (version,) = database.execute("PRAGMA user_version").fetchone()
        if version > len(migrations):
            raise NewerDatabaseError
        for migration in migrations[version:]:
            migration(database)
        database.execute(f"PRAGMA user_version = {len(migrations)}")
    except BaseException:
        # A full disk ends the transaction by itself.
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise
    database.execute("COMMIT")
