"""Databases of earlier and later versions."""

from __future__ import annotations

import contextlib
import json
import sqlite3

import httpx
import pytest
from studio_server import served
from test_text import REQUEST, picture_request

from impasto.base.errors import OutputError
from impasto.studio.jobs import migrations
from impasto.studio.jobs.migrations import MIGRATIONS, NewerDatabaseError, migrate
from impasto.studio.jobs.store import DATABASE, Store
from impasto.studio.server.settings import Settings

SCHEMA_0 = """
PRAGMA journal_mode = WAL;
CREATE TABLE job (
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
);
CREATE TABLE event (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    job TEXT NOT NULL,
    kind TEXT NOT NULL,
    data TEXT NOT NULL
);
CREATE INDEX event_of_job ON event (job, id);
"""
"""As the studio made it before its databases had a version."""
RECIPE = {"preset": "draft", "method": "optimize", "size": 64, "steps": 30, "a former setting": [1]}
PICTURE = {**REQUEST, "recipe": RECIPE, "init": None}
"""Of before there were films and names of masks."""
FILM = {
    **PICTURE,
    "kind": "film",
    "mask_name": None,
    "settings": {"stability": None, "size": 96},
}
PROGRESS = {
    "estimate": 0.3,
    "step": 30,
    "steps": 30,
    "scale": 64,
    "losses": {"content": 0.25, "total": 0.5},
    "seconds": 17.2,
    "eta": None,
    "preview": 14,
    "stop": True,
    "result": {"width": 64, "height": 43},
    "device": "cpu, bfloat16",
}


@pytest.fixture
def old_data(tmp_path):
    """A data folder with a database of version 0, with a finished picture and a failed film."""
    with contextlib.closing(sqlite3.connect(tmp_path / DATABASE)) as database:
        database.executescript(SCHEMA_0)
        rows = [
            ("old1", "done", 1.7e9, 1.7e9, 1.7e9, json.dumps(PICTURE), json.dumps(PROGRESS), None),
            ("old2", "failed", 1.7e9, None, None, json.dumps(FILM), '{"eta": null}', "no film"),
        ]
        database.executemany(
            "INSERT INTO job (id, state, created, started, finished, request, progress, error)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            rows,
        )
        database.execute("INSERT INTO event (job, kind, data) VALUES ('old1', 'done', '{}')")
        database.commit()
    return tmp_path


def version_of(data) -> int:
    with contextlib.closing(sqlite3.connect(data / DATABASE)) as database:
        return database.execute("PRAGMA user_version").fetchone()[0]


def test_the_jobs_of_a_database_without_a_version_are_shown(old_data):
    settings = Settings(old_data, workers=0, keep_days=1e5)
    with served(settings) as address:
        film, picture = httpx.get(f"{address}/v1/jobs").json()["jobs"]
        events = httpx.get(f"{address}/v1/jobs/old1/events").text
    assert version_of(old_data) == len(MIGRATIONS)
    assert (picture["id"], picture["state"], picture["kind"]) == ("old1", "done", "picture")
    assert picture["created"] == "2023-11-14T22:13:20Z"
    assert picture["recipe"] == RECIPE
    for name in ("step", "steps", "scale", "losses", "seconds", "preview", "result", "device"):
        assert picture[name] == PROGRESS[name]
    assert (film["kind"], film["error"], film["step"]) == ("film", "no film", 0)
    assert film["steps"] == RECIPE["steps"]
    assert events.endswith("id: 1\nevent: done\ndata: {}\n\n")


def test_a_record_is_written_as_it_was_read(old_data):
    store = Store(old_data)
    for job in store.every():
        store.save(job)
    (request, progress), (film, _) = store.database.execute("SELECT request, progress FROM job")
    store.close()
    assert PICTURE.items() <= json.loads(request).items()
    assert PROGRESS.items() <= json.loads(progress).items()
    assert FILM.keys() <= json.loads(film).keys()


def test_a_new_database_has_the_latest_version(tmp_path):
    store = Store(tmp_path)
    store.add(store.new_folder(), picture_request())
    store.close()
    assert version_of(tmp_path) == len(MIGRATIONS)
    store = Store(tmp_path)
    assert len(store.every()) == 1
    store.close()


def test_a_database_of_a_newer_version_is_refused(old_data, impasto):
    with contextlib.closing(sqlite3.connect(old_data / DATABASE)) as database:
        database.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    with pytest.raises(OutputError, match="written by a newer version of impasto"):
        Store(old_data)
    said = impasto("studio", "--port", "0", "--data", old_data)
    assert str(old_data / DATABASE) in said.sentence()
    assert said.out == ""
    assert version_of(old_data) == len(MIGRATIONS) + 1


def rename(database: sqlite3.Connection) -> None:
    database.execute("ALTER TABLE job RENAME COLUMN error TO sentence")


def fail(database: sqlite3.Connection) -> None:
    database.execute("DELETE FROM job")
    database.execute("SELECT nothing")


def columns(database: sqlite3.Connection) -> set[str]:
    return {row[1] for row in database.execute("PRAGMA table_info(job)")}


@pytest.fixture
def database(old_data):
    with contextlib.closing(sqlite3.connect(old_data / DATABASE, isolation_level=None)) as database:
        yield database


def test_only_the_missing_migrations_are_applied(database):
    migrate(database)
    migrate(database, (fail, rename))  # fail would be version 1
    assert "sentence" in columns(database)
    migrate(database, (fail, rename))
    assert database.execute("PRAGMA user_version").fetchone() == (2,)
    with pytest.raises(NewerDatabaseError):
        migrate(database)


def test_a_migration_that_fails_changes_nothing(database):
    with pytest.raises(sqlite3.OperationalError):
        migrate(database, (*MIGRATIONS, rename, fail))
    assert database.execute("PRAGMA user_version").fetchone() == (0,)
    assert "error" in columns(database)
    assert database.execute("SELECT count(*) FROM job").fetchone() == (2,)


def test_a_store_is_migrated_when_it_is_opened(old_data, monkeypatch):
    def shout(database: sqlite3.Connection) -> None:
        database.execute("UPDATE job SET error = upper(error)")

    monkeypatch.setattr(migrations, "MIGRATIONS", (*MIGRATIONS, shout))
    store = Store(old_data)
    assert [job.error for job in store.every()] == [None, "NO FILM"]
    store.close()
