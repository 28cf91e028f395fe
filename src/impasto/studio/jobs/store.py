"""Jobs and their events, in SQLite, and each job's files in a folder beside it.

What a job needs to run is in its folder before its row is there; what came of it is in its folder
(``ended.json``) before the row says so. So whatever is killed, and whenever, can be gone on from.
"""

from __future__ import annotations

import json
import logging
import secrets
import shutil
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from impasto.base.errors import OutputError, reason
from impasto.studio.jobs.text import check_unicode, encodable

log = logging.getLogger("impasto.studio")

DATABASE = "jobs.sqlite3"
ACTIVE = ("queued", "running")
FINISHED = ("done", "stopped", "failed")
ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"
ID_LETTERS = 12
NEW_PREFIX = ".new-"
SCHEMA = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
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
);
CREATE TABLE IF NOT EXISTS event (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    job TEXT NOT NULL,
    kind TEXT NOT NULL,
    data TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS event_of_job ON event (job, id);
"""
DAMAGED_ROW = "the record of this job is damaged; delete it"
EMPTY_REQUEST: dict[str, Any] = {
    "name": "damaged",
    "content": {"file": "content", "name": "damaged", "width": 0, "height": 0},
    "styles": [],
    "mask": None,
    "recipe": {"method": "optimize", "steps": 0},
    "parent": None,
    "init": None,
}
"""Stands for the request of a row that can't be read."""


@dataclass
class Job:
    """A row. ``request`` is what was asked for (see ``uploads.Request``), ``progress`` what is
    known of it so far. ``crashes``: how often its worker died without getting any further, the last
    time at step ``crashed_at``.
    """

    id: str
    request: dict[str, Any]
    state: str = "queued"
    created: float = field(default_factory=time.time)
    started: float | None = None
    finished: float | None = None
    progress: dict[str, Any] = field(default_factory=dict)
    error: str | None = None
    crashes: int = 0
    crashed_at: int = -1

    @property
    def is_film(self) -> bool:
        return self.request.get("kind") == "film"

    @property
    def instant(self) -> bool:
        return not self.is_film and bool(self.request["recipe"]["method"] == "instant")

    @property
    def is_active(self) -> bool:
        return self.state in ACTIVE

    def as_dict(self, position: int | None, eta: float | None) -> dict[str, Any]:
        """As the API shows it."""
        known, request = self.progress, self.request
        return {
            "id": self.id,
            "state": self.state,
            "kind": request.get("kind", "picture"),
            "name": request["name"],
            "method": request["recipe"]["method"],
            "created": _when(self.created),
            "started": _when(self.started),
            "finished": _when(self.finished),
            "content": {key: request["content"][key] for key in ("name", "width", "height")},
            "styles": [
                {key: style[key] for key in ("name", "weight", "built_in")}
                for style in request["styles"]
            ],
            "mask": request["mask"] is not None,
            "recipe": request["recipe"],
            "step": known.get("step", 0),
            "steps": known.get("steps", request["recipe"]["steps"]),
            "scale": known.get("scale"),
            "losses": known.get("losses"),
            "seconds": known.get("seconds", 0.0),
            "eta": eta,
            "position": position,
            "preview": known.get("preview", 0),
            "result": known.get("result"),
            "device": known.get("device"),
            "notes": known.get("notes", []),
            "error": self.error,
            "parent": request["parent"],
        }


def _when(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


COLUMNS = tuple(field.name for field in fields(Job))


class Store:
    """All jobs. For one process, and one thread.

    Raises OutputError: the folder can't be written, or the database is damaged.
    """

    def __init__(self, data: Path) -> None:
        self.folder = data / "jobs"
        path = data / DATABASE
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not path.is_dir():
                path.touch(mode=0o600)
            for private, mode in ((self.folder, 0o700), (path, 0o600)):
                with suppress(OSError):  # some shares know no modes
                    private.chmod(mode)
            self.database = sqlite3.connect(path, isolation_level=None)
        except (OSError, sqlite3.Error) as error:
            raise _unusable(path, error) from error
        try:
            self.database.executescript(SCHEMA)
            self._check()
            self._repair()
        except sqlite3.Error as error:
            self.database.close()
            raise _unusable(path, error) from error

    def close(self) -> None:
        self.database.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self.database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.database.execute("ROLLBACK")
            raise
        self.database.execute("COMMIT")

    def new_folder(self) -> Path:
        """For the files of a job that isn't one yet: see ``add``."""
        folder = self.folder / f"{NEW_PREFIX}{_new_id()}"
        folder.mkdir()
        return folder

    def add(self, folder: Path, request: dict[str, Any]) -> Job:
        """A new job whose files are in ``folder``, which becomes its own."""
        job = Job(folder.name.removeprefix(NEW_PREFIX), request)
        folder.rename(self.folder / job.id)
        marks = ", ".join("?" * len(COLUMNS))
        try:
            self.database.execute(
                f"INSERT INTO job ({', '.join(COLUMNS)}) VALUES ({marks})", self._values(job)
            )
        except sqlite3.Error:
            shutil.rmtree(self.folder_of(job), ignore_errors=True)
            raise
        return job

    def folder_of(self, job: Job) -> Path:
        return self.folder / job.id

    def get(self, id: str) -> Job | None:
        rows = self._select("WHERE id = ?", id)
        return rows[0] if rows else None

    def every(self, *states: str) -> list[Job]:
        """Jobs in some of the states, or all of them, the oldest first."""
        if not states:
            return self._select("ORDER BY number")
        marks = ", ".join("?" * len(states))
        return self._select(f"WHERE state IN ({marks}) ORDER BY number", *states)

    def count(self, *states: str) -> int:
        marks = ", ".join("?" * len(states))
        query = f"SELECT count(*) FROM job WHERE state IN ({marks})"
        return int(self.database.execute(query, states).fetchone()[0])

    def save(self, job: Job, event: str | None = None, data: dict[str, Any] | None = None) -> None:
        """Write the job down, and with it an event of that kind."""
        assignments = ", ".join(f"{column} = ?" for column in COLUMNS[1:])
        with self.transaction():
            self.database.execute(
                f"UPDATE job SET {assignments} WHERE id = ?", (*self._values(job)[1:], job.id)
            )
            if event is not None:
                self.add_event(job, event, data or {})

    def add_event(self, job: Job, kind: str, data: dict[str, Any]) -> None:
        self.database.execute(
            "INSERT INTO event (job, kind, data) VALUES (?, ?, ?)", (job.id, kind, json.dumps(data))
        )

    def events(self, job_id: str, after: int) -> list[tuple[int, str, str]]:
        """``(id, kind, data)`` of those after the one numbered ``after``."""
        query = "SELECT id, kind, data FROM event WHERE job = ? AND id > ? ORDER BY id"
        return self.database.execute(query, (job_id, after)).fetchall()

    def remove(self, job: Job) -> None:
        with self.transaction():
            self.database.execute("DELETE FROM event WHERE job = ?", (job.id,))
            self.database.execute("DELETE FROM job WHERE id = ?", (job.id,))
        shutil.rmtree(self.folder_of(job), ignore_errors=True)

    def tidy(self) -> None:
        """Remove what a killed server left: files of jobs that aren't there."""
        known = {job.id for job in self.every()}
        for folder in self.folder.iterdir():
            if folder.name not in known:
                shutil.rmtree(folder, ignore_errors=True)

    def prune(self, keep_days: float, keep_gigabytes: float) -> None:
        """Remove finished jobs that are too old, and the oldest while all take too much."""
        finished = self.every(*FINISHED)
        sizes = {job.id: _size(self.folder_of(job)) for job in finished}
        total = sum(sizes.values())
        for job in finished:
            old = time.time() - (job.finished or job.created) > keep_days * 86400
            if old or total > keep_gigabytes * 1e9:
                total -= sizes[job.id]
                self.remove(job)

    def _select(self, condition: str, *parameters: Any) -> list[Job]:
        query = f"SELECT {', '.join(COLUMNS)} FROM job {condition}"
        return [_job(row) for row in self.database.execute(query, parameters)]

    def _values(self, job: Job) -> tuple[Any, ...]:
        texts = {
            "request": json.dumps(job.request),
            "progress": json.dumps(job.progress),
            "error": None if job.error is None else encodable(job.error),
        }
        return tuple({**vars(job), **texts}[column] for column in COLUMNS)

    def _check(self) -> None:
        """Raise sqlite3.DatabaseError if the file is damaged anywhere."""
        (found,) = self.database.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise sqlite3.DatabaseError("the database is damaged")

    def _repair(self) -> None:
        """Mark jobs that can't be shown as failed: one such row would break every list of jobs."""
        rows = self.database.execute(f"SELECT number, {', '.join(COLUMNS)} FROM job").fetchall()
        for number, *row in rows:
            if _is_readable(row):
                continue
            log.error("job %s can't be read any more: it is marked as failed", row[0])
            created = row[COLUMNS.index("created")]
            job = Job(
                str(row[0]),
                EMPTY_REQUEST,
                "failed",
                created=created if isinstance(created, float) else time.time(),
                finished=time.time(),
                error=DAMAGED_ROW,
            )
            assignments = ", ".join(f"{column} = ?" for column in COLUMNS)
            self.database.execute(
                f"UPDATE job SET {assignments} WHERE number = ?", (*self._values(job), number)
            )


def _job(row: Sequence[Any]) -> Job:
    values = dict(zip(COLUMNS, row, strict=True))
    for name in ("request", "progress"):
        values[name] = json.loads(values[name])
    return Job(**values)


def _is_readable(row: Sequence[Any]) -> bool:
    try:
        check_unicode(_job(row).as_dict(None, None))
    except (ValueError, TypeError, LookupError, AttributeError, OSError, RecursionError):
        return False
    return True


def _unusable(path: Path, error: Exception) -> OutputError:
    return OutputError(
        f"{path} can't be used: {reason(error)}; make room or move it away, or choose another place"
        " with --data"
    )


def _new_id() -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(ID_LETTERS))


def _size(folder: Path) -> int:
    """Bytes of the files in it."""
    return sum(path.stat().st_size for path in folder.glob("*") if path.is_file())
