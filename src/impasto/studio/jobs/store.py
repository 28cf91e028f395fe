"""Jobs and their events, in SQLite, and each job's files in a folder beside it.

The files that a job needs are in its folder before its row exists, and its outcome is in the folder
(``ended.json``) before the row has it. So a process may be killed at any moment: the next server
finds a consistent state and continues.
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
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeGuard

from pydantic import BaseModel, Field, ValidationError, field_validator

from impasto.base.errors import OutputError, reason
from impasto.studio.jobs.migrations import NewerDatabaseError, migrate
from impasto.studio.jobs.models import (
    JOB_REQUEST,
    ContentFile,
    JobContent,
    JobProgress,
    JobRequest,
    JobResponse,
    JobState,
    JobStyle,
    LearnRequest,
    PictureRequest,
    QueuedProgress,
    RecordState,
    StepProgress,
    StoredRecipe,
)
from impasto.studio.jobs.text import encodable

log = logging.getLogger("impasto.studio")

DATABASE = "jobs.sqlite3"
ACTIVE: tuple[JobState, ...] = ("queued", "running")
FINISHED: tuple[JobState, ...] = ("done", "stopped", "failed")
ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"
ID_LETTERS = 12
NEW_PREFIX = ".new-"
PRAGMAS = ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = NORMAL")
DAMAGED_ROW = "the record of this job is damaged; delete it"
DAMAGED_REQUEST = PictureRequest(
    name="damaged",
    content=ContentFile(file="content", name="damaged", width=0, height=0),
    styles=[],
    recipe=StoredRecipe(method="optimize"),
)
"""The request of a row that can't be read."""

EventKind = Literal["queued", "progress", "done", "stopped", "failed"]


class StoredEvent(NamedTuple):
    """An event of a job."""

    number: int
    kind: EventKind
    data: str
    """JSON."""


class JobRecord(BaseModel):
    """A job, as the database keeps it."""

    id: str
    request: JobRequest
    state: RecordState = "queued"
    created: float = Field(default_factory=time.time)
    """Seconds since 1970, as the two below."""
    started: float | None = None
    finished: float | None = None
    progress: JobProgress = Field(default_factory=lambda: JobProgress())
    error: str | None = None
    crashes: int = 0
    """The number of times in a row that its worker died without any progress of this job."""
    crashed_at: int = -1
    """The step of the last crash."""

    @field_validator("created", "started", "finished")
    @classmethod
    def _is_a_date(cls, seconds: float | None) -> float | None:
        _optional_timestamp(seconds)
        return seconds

    @property
    def is_picture(self) -> bool:
        """Whether the job makes a picture."""
        return isinstance(self.request, PictureRequest)

    @property
    def is_quick(self) -> bool:
        """Whether the job takes so little time that it needn't wait for others."""
        return self.is_picture and self.request.recipe.is_quick

    @property
    def is_active(self) -> bool:
        """Whether the job waits or is being painted."""
        return self.state in ACTIVE

    @property
    def _unit(self) -> Literal["step", "percent"]:
        """The unit of ``step`` and ``steps`` in the progress."""
        method = self.request.recipe.method_info
        if isinstance(self.request, LearnRequest):
            return "step"
        return "percent" if method is None else method.unit

    def response(self, position: int | None, eta: float | None) -> JobResponse:
        """Return the job as the API shows it.

        Args:
            position: The number of jobs before it in the queue.
            eta: The seconds until it is done.
        """
        request, progress, content = self.request, self.progress, self.request.content
        assert self.state != "dropping"
        return JobResponse(
            id=self.id,
            state=self.state,
            kind=request.kind,
            name=request.name,
            method=request.recipe.method,
            unit=self._unit,
            can_continue=self.is_picture and request.recipe.can_continue,
            created=_timestamp(self.created),
            started=_optional_timestamp(self.started),
            finished=_optional_timestamp(self.finished),
            content=None
            if content is None
            else JobContent(name=content.name, width=content.width, height=content.height),
            styles=[JobStyle(**style.model_dump(exclude={"file"})) for style in request.styles],
            mask=request.mask is not None,
            recipe=request.recipe,
            step=progress.step,
            steps=request.recipe.steps if progress.steps is None else progress.steps,
            scale=progress.scale,
            losses=progress.losses,
            seconds=progress.seconds,
            eta=eta,
            position=position,
            preview=progress.preview,
            share=progress.share,
            result=progress.result,
            style=progress.style,
            device=progress.device,
            notes=progress.notes,
            error=self.error,
            parent=request.parent,
        )


EventData = QueuedProgress | StepProgress | JobResponse
COLUMNS = tuple(JobRecord.model_fields)


class Store:
    """All jobs. For one process, and one thread.

    Raises:
        OutputError: The folder can't be written, or the database is damaged or of a newer version.
    """

    def __init__(self, data: Path) -> None:
        self.folder = data / "jobs"
        path = data / DATABASE
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not path.is_dir():
                path.touch(mode=0o600)
            for private, mode in ((self.folder, 0o700), (path, 0o600)):
                with suppress(OSError):  # some network file systems have no modes
                    private.chmod(mode)
            self.database = sqlite3.connect(path, isolation_level=None)
        except (OSError, sqlite3.Error) as error:
            raise _unusable(path, error) from error
        try:
            for pragma in PRAGMAS:
                self.database.execute(pragma)
            self._check()
            migrate(self.database)
            self._repair()
        except sqlite3.Error as error:
            self.database.close()
            raise _unusable(path, error) from error
        except NewerDatabaseError:
            self.database.close()
            raise OutputError(
                f"{path} was written by a newer version of impasto; update impasto, or choose"
                " another place with --data"
            ) from None

    def close(self) -> None:
        """Close the database."""
        self.database.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Write everything that happens in the context, or nothing of it."""
        self.database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.database.execute("ROLLBACK")
            raise
        self.database.execute("COMMIT")

    def new_folder(self) -> Path:
        """Return a new folder for the files of a job that isn't added yet."""
        folder = self.folder / f"{NEW_PREFIX}{_new_id()}"
        folder.mkdir()
        return folder

    def add(self, folder: Path, request: JobRequest) -> JobRecord:
        """Add a job whose files are in ``folder``, which becomes the job's folder."""
        job = JobRecord(id=folder.name.removeprefix(NEW_PREFIX), request=request)
        folder.rename(self.folder / job.id)
        marks = ", ".join("?" * len(COLUMNS))
        try:
            self.database.execute(
                f"INSERT INTO job ({', '.join(COLUMNS)}) VALUES ({marks})", _values(job)
            )
        except sqlite3.Error:
            shutil.rmtree(self.folder_of(job), ignore_errors=True)
            raise
        return job

    def folder_of(self, job: JobRecord) -> Path:
        """Return the folder of a job's files."""
        return self.folder / job.id

    def get(self, job_id: str) -> JobRecord | None:
        """Return a job, or None if there is none with that ID."""
        rows = self._select("WHERE id = ?", job_id)
        return rows[0] if rows else None

    def every(self, *states: RecordState) -> list[JobRecord]:
        """Return the jobs in some of the states, or all jobs, the oldest first."""
        if not states:
            return self._select("ORDER BY number")
        marks = ", ".join("?" * len(states))
        return self._select(f"WHERE state IN ({marks}) ORDER BY number", *states)

    def count(self, *states: RecordState) -> int:
        """Return the number of jobs in some of the states."""
        marks = ", ".join("?" * len(states))
        query = f"SELECT count(*) FROM job WHERE state IN ({marks})"
        return int(self.database.execute(query, states).fetchone()[0])

    def save(
        self, job: JobRecord, kind: EventKind | None = None, data: EventData | None = None
    ) -> None:
        """Write a job, and an event of that kind in the same transaction."""
        assignments = ", ".join(f"{column} = ?" for column in COLUMNS[1:])
        with self.transaction():
            self.database.execute(
                f"UPDATE job SET {assignments} WHERE id = ?", (*_values(job)[1:], job.id)
            )
            if kind is not None and data is not None:
                self.database.execute(
                    "INSERT INTO event (job, kind, data) VALUES (?, ?, ?)",
                    (job.id, kind, _as_json(data)),
                )

    def events(self, job_id: str, after: int) -> list[StoredEvent]:
        """Return the events of a job that come after the event with the number ``after``."""
        query = "SELECT id, kind, data FROM event WHERE job = ? AND id > ? ORDER BY id"
        return [StoredEvent(*row) for row in self.database.execute(query, (job_id, after))]

    def remove(self, job: JobRecord) -> None:
        """Delete a job with its events and files."""
        with self.transaction():
            self.database.execute("DELETE FROM event WHERE job = ?", (job.id,))
            self.database.execute("DELETE FROM job WHERE id = ?", (job.id,))
        shutil.rmtree(self.folder_of(job), ignore_errors=True)

    def remove_orphans(self) -> None:
        """Delete folders without a job, which a killed server left."""
        known = {job.id for job in self.every()}
        for folder in self.folder.iterdir():
            if folder.name not in known:
                shutil.rmtree(folder, ignore_errors=True)

    def prune(self, keep_days: float, keep_gigabytes: float) -> None:
        """Delete finished jobs that are too old, and the oldest while all take too much room."""
        finished = self.every(*FINISHED)
        sizes = {job.id: _size(self.folder_of(job)) for job in finished}
        total = sum(sizes.values())
        for job in finished:
            is_old = time.time() - (job.finished or job.created) > keep_days * 86400
            if is_old or total > keep_gigabytes * 1e9:
                total -= sizes[job.id]
                self.remove(job)

    def _select(self, condition: str, *parameters: str) -> list[JobRecord]:
        query = f"SELECT {', '.join(COLUMNS)} FROM job {condition}"
        return [_record(row) for row in self.database.execute(query, parameters)]

    def _check(self) -> None:
        """Raise sqlite3.DatabaseError if the file is damaged anywhere."""
        (found,) = self.database.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise sqlite3.DatabaseError("the database is damaged")

    def _repair(self) -> None:
        """Mark jobs that can't be read as failed: one such row would break every list of jobs."""
        rows = self.database.execute(f"SELECT number, {', '.join(COLUMNS)} FROM job").fetchall()
        for number, *row in rows:
            if _is_readable(row):
                continue
            log.error("job %s can't be read any more: it is marked as failed", row[0])
            created = row[COLUMNS.index("created")]
            job = JobRecord(
                id=str(row[0]),
                request=DAMAGED_REQUEST,
                state="failed",
                created=created if _is_date(created) else time.time(),
                finished=time.time(),
                error=DAMAGED_ROW,
            )
            assignments = ", ".join(f"{column} = ?" for column in COLUMNS)
            self.database.execute(
                f"UPDATE job SET {assignments} WHERE number = ?", (*_values(job), number)
            )


def _values(job: JobRecord) -> tuple[str | float | None, ...]:
    """Return the columns of a record."""
    texts = {
        "request": _as_json(job.request),
        "progress": _as_json(job.progress),
        "error": None if job.error is None else encodable(job.error),
    }
    return tuple(texts.get(column, getattr(job, column)) for column in COLUMNS)


def _record(row: Sequence[Any]) -> JobRecord:
    """Return the record of a row's columns. Raise ValidationError if it is damaged."""
    values = dict(zip(COLUMNS, row, strict=True))
    values["request"] = JOB_REQUEST.validate_json(values["request"])
    values["progress"] = JobProgress.model_validate_json(values["progress"])
    return JobRecord.model_validate(values)


def _is_readable(row: Sequence[Any]) -> bool:
    try:
        _record(row)
    except (ValidationError, TypeError, RecursionError):
        return False
    return True


def _as_json(model: BaseModel) -> str:
    return json.dumps(model.model_dump(mode="json"))


def _timestamp(seconds: float) -> str:
    """Return a date as ISO 8601, in UTC. Raise ValueError if it is none."""
    try:
        date = datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, OSError) as error:
        raise ValueError("not a date") from error
    return date.isoformat(timespec="seconds").replace("+00:00", "Z")


def _optional_timestamp(seconds: float | None) -> str | None:
    return None if seconds is None else _timestamp(seconds)


def _is_date(value: object) -> TypeGuard[float]:
    try:
        return isinstance(value, float) and bool(_timestamp(value))
    except ValueError:
        return False


def _unusable(path: Path, error: Exception) -> OutputError:
    return OutputError(
        f"{path} can't be used: {reason(error)}; make room or move it away, or choose another place"
        " with --data"
    )


def _new_id() -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(ID_LETTERS))


def _size(folder: Path) -> int:
    """Return the bytes of the files in a folder."""
    return sum(path.stat().st_size for path in folder.glob("*") if path.is_file())
