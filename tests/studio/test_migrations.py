"""Databases of earlier and later versions."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from typing import Any

import httpx
import pytest
from old_recipes import DRAFT_RECIPE, INSTANT_RECIPE
from studio_server import png, running, served
from test_text import REQUEST, picture_request

from impasto.base.errors import OutputError
from impasto.settings.methods import METHODS
from impasto.studio.jobs import migrations
from impasto.studio.jobs.migrations import MIGRATIONS, NewerDatabaseError, migrate
from impasto.studio.jobs.store import DAMAGED_ROW, DATABASE, Store
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
    styles = [{**style, "learned": False} for style in PICTURE["styles"]]
    assert ({**PICTURE, "styles": styles}).items() <= json.loads(request).items()
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
    one_more = (*[fail] * len(MIGRATIONS), rename)
    migrate(database, one_more)
    assert "sentence" in columns(database)
    migrate(database, one_more)
    assert database.execute("PRAGMA user_version").fetchone() == (len(one_more),)
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


NESTED = 20_000
"""More levels of JSON than any parser takes."""
DAMAGED_REQUESTS = {
    "text": "{",
    "list": "[]",
    "no-recipe": "{}",
    "recipe-is-a-list": json.dumps({**PICTURE, "recipe": ["method"]}),
    "method-is-a-list": json.dumps({**PICTURE, "recipe": {"method": ["instant"]}}),
    "nested": "[" * NESTED,
}


@pytest.fixture
def version_1(tmp_path, photo_image, painting_image):
    """A data folder with a database of version 1: a finished picture of each method, a film, a
    picture of a method that isn't installed any more, and damaged rows.
    """
    film: dict[str, Any] = {**FILM, "recipe": INSTANT_RECIPE}
    removed: dict[str, Any] = {**PICTURE, "recipe": {**INSTANT_RECIPE, "method": "removed"}}
    requests = {
        "instant": json.dumps({**PICTURE, "recipe": {**INSTANT_RECIPE, "size": 64}}),
        "draft": json.dumps({**PICTURE, "recipe": {**DRAFT_RECIPE, "size": 64}}),
        "film": json.dumps(film),
        "removed": json.dumps(removed),
        **DAMAGED_REQUESTS,
    }
    progress = json.dumps(PROGRESS)
    with contextlib.closing(sqlite3.connect(tmp_path / DATABASE)) as database:
        database.executescript(SCHEMA_0)
        database.executemany(
            "INSERT INTO job (id, state, created, request, progress) VALUES (?, ?, ?, ?, ?)",
            [
                (job_id, "done", time.time(), request, progress)
                for job_id, request in requests.items()
            ],
        )
        database.execute("PRAGMA user_version = 1")
        database.commit()
    for job_id in ("instant", "draft", "removed"):
        folder = tmp_path / "jobs" / job_id
        folder.mkdir(parents=True)
        (folder / "content").write_bytes(png(photo_image))
        (folder / "style-0").write_bytes(png(painting_image))
        (folder / "result.png").write_bytes(png(photo_image.resize((64, 43))))
    return tmp_path


@pytest.mark.parametrize(
    ("job_id", "before"),
    [("instant", INSTANT_RECIPE), ("draft", DRAFT_RECIPE), ("film", INSTANT_RECIPE)],
)
def test_a_recipe_of_version_1_keeps_the_settings_of_its_method(job_id, before, version_1):
    store = Store(version_1)
    job = store.get(job_id)
    store.close()
    assert job is not None
    recipe = job.request.recipe.settings()
    own = METHODS[before["method"]].settings.model_fields
    assert set(recipe) == set(own)
    assert {**recipe, "size": None} == {name: before[name] for name in own} | {"size": None}
    assert job.request.recipe.steps == (DRAFT_RECIPE["steps"] if job_id == "draft" else 0)


def test_a_recipe_of_a_method_that_is_gone_stays_as_it_is(version_1):
    with served(Settings(version_1, workers=0)) as address:
        job = httpx.get(f"{address}/v1/jobs/removed").json()
        again = httpx.post(f"{address}/v1/jobs/removed/continue", json={"size": 128})
    assert (job["state"], job["unit"], job["can_continue"]) == ("done", "percent", False)
    assert job["recipe"] == {**INSTANT_RECIPE, "method": "removed"}
    assert again.json()["detail"].startswith("there is no method 'removed'")


def test_damaged_rows_survive_the_migration_as_failed_jobs(version_1):
    with served(Settings(version_1, workers=0)) as address:
        jobs = {job["id"]: job for job in httpx.get(f"{address}/v1/jobs").json()["jobs"]}
    for job_id in DAMAGED_REQUESTS:
        assert (jobs[job_id]["state"], jobs[job_id]["error"]) == ("failed", DAMAGED_ROW)
    for job_id in ("instant", "draft"):
        assert (jobs[job_id]["state"], jobs[job_id]["error"]) == ("done", None)
    assert version_of(version_1) == len(MIGRATIONS)


def test_jobs_of_version_1_are_continued(version_1):
    with running(version_1) as studio:
        larger = studio.client.post("/v1/jobs/instant/continue", json={"size": 80}).json()
        more = studio.client.post("/v1/jobs/draft/continue", json={"steps": 3}).json()
        assert studio.wait(larger["id"], "done")["result"] == {"width": 80, "height": 53}
        done = studio.wait(more["id"], "done")
    assert set(larger["recipe"]) == set(METHODS["instant"].settings.model_fields)
    assert (done["step"], done["result"]) == (3, {"width": 64, "height": 43})
    changed = {"size": 64, "steps": 3, "scales": 1}
    own = METHODS["optimize"].settings.model_fields
    assert done["recipe"] == {name: DRAFT_RECIPE[name] for name in own} | changed
