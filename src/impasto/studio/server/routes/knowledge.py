"""What there is to choose from, what a picture would take, and how the server is."""

from __future__ import annotations

import asyncio
import shutil
from importlib.metadata import version
from typing import Annotated, Any

from fastapi import APIRouter, Body, Request, Response
from fastapi.responses import FileResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest
from pydantic import BaseModel, ConfigDict, Field

from impasto.base.errors import RecipeError
from impasto.images import metadata
from impasto.networks import styles
from impasto.settings.recipe import FOR_INSTANT, MAX_SIZE_PX, Recipe, build
from impasto.settings.recipe_files import preset_about, preset_files
from impasto.studio.jobs import gallery, uploads
from impasto.studio.jobs.errors import ProblemError
from impasto.studio.jobs.store import ACTIVE, FINISHED
from impasto.studio.jobs.text import check_unicode
from impasto.studio.server.context import studio_of

router = APIRouter(tags=["what there is"])


class Question(BaseModel):
    """A recipe, and the size of a photo."""

    model_config = ConfigDict(extra="forbid")
    recipe: dict[str, Any] = Field(default_factory=dict)
    width: int = Field(ge=32, le=MAX_SIZE_PX)
    height: int = Field(ge=32, le=MAX_SIZE_PX)


@router.post("/estimate")
async def estimate(request: Request, question: Annotated[Question, Body()]) -> dict[str, Any]:
    """How large a picture would be, and what it would take."""
    recipe = uploads.whole_recipe(question.recipe, styles=[])
    size = {"width": question.width, "height": question.height}
    studio = studio_of(request)
    studio.check_hands()
    return await studio.crew.ask({"do": "estimate", "recipe": recipe, **size})


@router.get("/styles")
async def all_styles() -> dict[str, list[dict[str, str]]]:
    """Built-in paintings, and styles of the method instant."""
    kinds = dict.fromkeys(gallery.paintings(), "painting")
    kinds |= dict.fromkeys(styles.NAMES, "style")
    return {
        "styles": [
            {
                "name": name,
                "title": gallery.title(name),
                "kind": kind,
                "thumbnail": f"/v1/styles/{name}/thumbnail",
            }
            for name, kind in kinds.items()
        ]
    }


@router.get("/styles/{name}/thumbnail", response_class=Response)
async def thumbnail(name: str) -> Response:
    """How it looks: a JPEG of 128 px."""
    data = await asyncio.to_thread(gallery.thumbnail, name)
    if data is None:
        raise ProblemError(404, f"there is no style {name!r:.40}")
    return Response(data, media_type="image/jpeg", headers={"Cache-Control": "max-age=86400"})


@router.get("/examples")
async def examples() -> dict[str, list[dict[str, str]]]:
    """Photos to try it with."""
    return {"examples": [{"name": name, "title": gallery.title(name)} for name in gallery.photos()]}


@router.get("/examples/{name}", response_class=FileResponse)
async def example(name: str) -> FileResponse:
    """One of them."""
    if name not in gallery.photos():
        raise ProblemError(404, f"there is no example {name!r:.40}")
    return FileResponse(gallery.photos()[name])


@router.get("/presets")
async def presets() -> dict[str, list[dict[str, Any]]]:
    """The looks, and the settings that each begins with."""
    return {
        "presets": [
            {
                "name": name,
                "about": preset_about(path),
                "recipe": build(preset=name).model_dump(mode="json"),
            }
            for name, path in preset_files().items()
        ]
    }


@router.get("/recipe-schema")
async def recipe_schema() -> dict[str, Any]:
    """Every setting: its type, bounds, default and description; ``for_instant`` are those that
    mean something to the method instant.
    """
    return {**Recipe.model_json_schema(), "for_instant": FOR_INSTANT}


@router.post("/recipe")
async def recipe_inside(request: Request) -> dict[str, Any]:
    """The recipe inside a picture that impasto made (a form with the file ``picture``)."""
    studio = studio_of(request)
    form = await studio.form(request)
    picture = form.get("picture")
    if picture is None or isinstance(picture, str):
        raise ProblemError(422, "there is no picture: send it as the file picture")
    uploads.check_bytes(picture, studio.settings.limits)
    try:
        note = await asyncio.to_thread(metadata.note_in, picture.file, "that picture")
        check_unicode(note)
    except (RecipeError, ValueError):
        raise ProblemError(422, "that picture holds no recipe") from None
    return {key: note.get(key) for key in ("recipe", "content", "styles")}


@router.get("/health")
async def health(request: Request) -> dict[str, Any]:
    """Whether it is there, and what it does."""
    studio = studio_of(request)
    devices = {worker.device for worker in studio.crew.workers if worker.device}
    return {
        "status": "ok" if devices else "starting",
        "version": version("impasto"),
        "workers": len(studio.crew.workers),
        "queued": studio.store.count("queued"),
        "running": studio.store.count("running"),
        "device": ", ".join(sorted(devices)) or None,
    }


@router.get("/metrics", response_class=Response)
async def metrics(request: Request) -> Response:
    """For Prometheus."""
    studio = studio_of(request)
    registry = CollectorRegistry()
    jobs = Gauge("impasto_jobs", "Jobs by state", ["state"], registry=registry)
    for state in (*ACTIVE, *FINISHED):
        jobs.labels(state).set(studio.store.count(state))
    for name, about, value in (
        ("impasto_workers", "Worker processes", len(studio.crew.workers)),
        ("impasto_worker_crashes", "Workers that died", studio.crew.crashes),
        ("impasto_free_bytes", "Free disk", shutil.disk_usage(studio.settings.data).free),
    ):
        Gauge(name, about, registry=registry).set(value)
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)
