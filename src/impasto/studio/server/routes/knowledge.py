"""Styles, examples, presets and settings; estimates; the health of the server."""

from __future__ import annotations

import asyncio
import shutil
from contextlib import suppress
from importlib.metadata import version
from typing import Annotated, Literal
from urllib.parse import quote

from fastapi import APIRouter, Body, Request, Response
from fastapi.responses import FileResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest

from impasto.base.errors import RecipeError
from impasto.images import metadata
from impasto.settings import recipe_files
from impasto.settings.build import build
from impasto.settings.methods import METHODS, settings_schema
from impasto.studio.jobs import gallery, image_uploads, uploads
from impasto.studio.jobs.errors import ProblemError
from impasto.studio.jobs.models import EstimateResponse, StoredRecipe, is_quick
from impasto.studio.jobs.store import ACTIVE, FINISHED
from impasto.studio.jobs.text import check_unicode
from impasto.studio.server import problems
from impasto.studio.server.context import studio_of
from impasto.studio.server.responses import (
    EstimateRequest,
    ExampleInfo,
    ExampleList,
    Health,
    MethodDescription,
    PresetInfo,
    PresetList,
    RecipeInside,
    RecipeSchema,
    StyleList,
    StyleSummary,
    content,
)
from impasto.studio.server.routes.forms import PICTURE_FORM
from impasto.styles import bundled, catalogue
from impasto.styles.catalogue import StyleEntry

EXAMPLE_TYPES = ("image/jpeg", "image/png", "image/webp")
TEXT: problems.Responses = {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}

router = APIRouter(tags=["what there is"])


@router.post("/estimate", responses=problems.responses(415, 429))
async def estimate(
    request: Request, question: Annotated[EstimateRequest, Body()]
) -> EstimateResponse:
    """Return how large a picture would be, and what it would take."""
    recipe = uploads.whole_recipe(question.recipe, styles=[])
    studio = studio_of(request)
    studio.check_queries()
    return await studio.pool.estimate(recipe, question.width, question.height)


@router.get("/styles")
async def all_styles() -> StyleList:
    """Return the styles of the user's library, the bundled paintings, and the built-in styles."""
    entries = await asyncio.to_thread(catalogue.entries)
    return StyleList(
        styles=[
            StyleSummary(
                name=entry.name,
                title=entry.title,
                kind=_kind(entry),
                origin=entry.origin,
                learned=entry.file is not None,
                thumbnail=f"/v1/styles/{quote(entry.name)}/thumbnail",
            )
            for entry in entries
        ]
    )


def _kind(entry: StyleEntry) -> Literal["painting", "learned", "style"]:
    """Return the kind of a style, on which the methods that accept it depend."""
    if entry.painting is not None:
        return "painting"
    return "style" if entry.file is None else "learned"


@router.get(
    "/styles/{name}/thumbnail",
    response_class=Response,
    responses={**content("image/jpeg"), **problems.responses(404)},
)
async def thumbnail(name: str) -> Response:
    """Return a JPEG of 128 px."""
    data = await asyncio.to_thread(gallery.thumbnail, name)
    if data is None:
        raise ProblemError(404, f"there is no style {name!r:.40}")
    # A style in the user's library may be replaced by another one with the same name.
    return Response(data, media_type="image/jpeg", headers={"Cache-Control": "no-cache"})


@router.get("/examples")
async def examples() -> ExampleList:
    """Return the example photos."""
    return ExampleList(
        examples=[ExampleInfo(name=name, title=bundled.title(name)) for name in bundled.photos()]
    )


@router.get(
    "/examples/{name}",
    response_class=FileResponse,
    responses={**content(*EXAMPLE_TYPES), **problems.responses(404)},
)
async def example(name: str) -> FileResponse:
    """Return an example photo."""
    if name not in bundled.photos():
        raise ProblemError(404, f"there is no example {name!r:.40}")
    return FileResponse(bundled.photos()[name])


@router.get("/presets")
async def presets() -> PresetList:
    """Return the presets that can be used, and the settings that each begins with."""
    usable = []
    for preset in recipe_files.presets().values():
        with suppress(RecipeError):  # one of the user's own that is wrong
            settings = build(preset=preset.name).model_dump(mode="json")
            recipe = StoredRecipe.model_validate(settings)
            usable.append(PresetInfo(name=preset.name, about=preset.about, recipe=recipe))
    return PresetList(presets=usable)


@router.get("/recipe-schema")
async def recipe_schema() -> RecipeSchema:
    """Return every setting: its type, bounds, default and description; and the methods."""
    methods = [
        MethodDescription(
            name=name,
            summary=method.summary,
            preset=method.preset,
            settings=list(method.settings.model_fields),
            style_images=method.accepts.style_images,
            learned_styles=method.accepts.learned_styles,
            built_in_styles=method.accepts.built_in_styles,
            quick=is_quick(method),
        )
        for name, method in METHODS.usable()
    ]
    return RecipeSchema.model_validate({**settings_schema(), "methods": methods})


@router.post("/recipe", responses=problems.responses(415), openapi_extra=PICTURE_FORM)
async def recipe_inside(request: Request) -> RecipeInside:
    """Return the recipe inside a picture that impasto made."""
    studio = studio_of(request)
    form = await studio.form(request)
    picture = form.get("picture")
    if picture is None or isinstance(picture, str):
        raise ProblemError(422, "there is no picture: send it as the file picture")
    image_uploads.check_bytes(picture, studio.settings.limits)
    try:
        note = await asyncio.to_thread(metadata.note_in, picture.file, "that picture")
        check_unicode(note)
    except (RecipeError, ValueError):
        raise ProblemError(422, "that picture holds no recipe") from None
    return RecipeInside(
        recipe=note.get("recipe"), content=note.get("content"), styles=note.get("styles")
    )


@router.get("/health")
async def health(request: Request) -> Health:
    """Return whether the studio takes jobs, and how many it has."""
    studio = studio_of(request)
    devices = {worker.device for worker in studio.pool.workers if worker.device}
    return Health(
        status="ok" if devices else "starting",
        version=version("impasto"),
        workers=len(studio.pool.workers),
        queued=studio.store.count("queued"),
        running=studio.store.count("running"),
        device=", ".join(sorted(devices)) or None,
    )


@router.get("/metrics", response_class=Response, responses=TEXT)
async def metrics(request: Request) -> Response:
    """Return the numbers that Prometheus collects."""
    studio = studio_of(request)
    registry = CollectorRegistry()
    jobs = Gauge("impasto_jobs", "Jobs by state", ["state"], registry=registry)
    for state in (*ACTIVE, *FINISHED):
        jobs.labels(state).set(studio.store.count(state))
    for name, about, value in (
        ("impasto_workers", "Worker processes", len(studio.pool.workers)),
        ("impasto_worker_crashes", "Workers that died", studio.pool.crashes),
        ("impasto_free_bytes", "Free disk", shutil.disk_usage(studio.settings.data).free),
    ):
        Gauge(name, about, registry=registry).set(value)
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)
