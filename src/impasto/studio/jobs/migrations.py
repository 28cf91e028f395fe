"""The versions of the job database.

SQLite keeps the version of a database in ``PRAGMA user_version``. Version N is reached from version
N - 1 by ``MIGRATIONS[N - 1]``. Version 0 is an empty file, or a database from before versions were
counted; its tables are those of version 1.

To change what the database holds, append a function of a connection to ``MIGRATIONS``. It runs in a
transaction, together with the others that a database lacks, so it must not use ``executescript``,
which commits. It must not use the models of ``jobs/models.py`` either, which change later.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

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


ONLY_OPTIMIZE = (
    "seamless", "weights", "pooling", "unit_activations", "content_layers", "style_layers",
    "plain_style_layers", "style_loss", "content_loss", "loss_form", "style_goal", "figures",
    "balance", "content_weight", "style_weight", "tv_weight", "tv_norm", "work_size", "enlarge",
    "init", "seed", "steps", "until", "tolerance", "time_budget", "scales", "underpaint", "palette",
    "detail", "step_ratio", "polish", "solver", "lr", "adam_beta1", "adam_beta2", "adam_epsilon",
    "adam_epsilon_form", "lbfgs_history", "kernel", "trace_every",
)  # fmt: skip
OTHER_SETTINGS = {"instant": ONLY_OPTIMIZE, "optimize": ("statistics",)}
"""Method → the settings of the other method, which recipes of version 1 contain as well."""


def _drop_settings_of_other_methods(database: sqlite3.Connection) -> None:
    def drop(request: dict[str, Any]) -> None:
        recipe = request["recipe"]
        others = OTHER_SETTINGS[recipe["method"]]
        request["recipe"] = {name: recipe[name] for name in recipe if name not in others}

    _change_requests(database, drop)


def _mark_styles_as_not_learned(database: sqlite3.Connection) -> None:
    """Mark all styles as not learned: version 3 adds style files, and trainings as jobs."""

    def mark(request: dict[str, Any]) -> None:
        for style in request["styles"]:
            style["learned"] = False

    _change_requests(database, mark)


def _change_requests(
    database: sqlite3.Connection, change: Callable[[dict[str, Any]], None]
) -> None:
    """Apply a change to the request of each job. Damaged rows are left as they are."""
    rows = database.execute("SELECT number, request FROM job").fetchall()
    for number, text in rows:
        try:
            request = json.loads(text)
            change(request)
            changed = json.dumps(request)
        except (ValueError, LookupError, TypeError, RecursionError):
            continue  # the store marks the job as failed
        database.execute("UPDATE job SET request = ? WHERE number = ?", (changed, number))


MIGRATIONS: tuple[Migration, ...] = (
    _create_tables,
    _drop_settings_of_other_methods,
    _mark_styles_as_not_learned,
)


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
