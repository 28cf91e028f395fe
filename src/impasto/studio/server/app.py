"""The server: the page, and the REST API under ``/v1``. See docs/rest.md."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.responses import FileResponse, HTMLResponse
from starlette.staticfiles import StaticFiles

from impasto.studio.jobs.models import QueuedProgress, StepProgress
from impasto.studio.server import problems
from impasto.studio.server.context import Studio
from impasto.studio.server.guard import Guard
from impasto.studio.server.routes import films, jobs, knowledge, learning, live, pictures
from impasto.studio.server.settings import Settings, prepare_data_folder

PAGE = Path(str(resources.files("impasto.studio") / "page"))
DOCS_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>impasto's REST API</title>
<link rel="icon" href="/page/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/v1/docs/swagger-ui.css"></head>
<body><div id="api"></div><script src="/v1/docs/swagger-ui-bundle.js"></script>
<script src="/page/api-docs.js"></script></body></html>
"""


class StudioApp(FastAPI):
    """An application whose description has the models of errors and of the data of events."""

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI description."""
        description = super().openapi()
        for model in (problems.Problem, QueuedProgress, StepProgress):
            description["components"]["schemas"][model.__name__] = model.model_json_schema()
        return description


def create_app(settings: Settings, inherited: tuple[int, ...] = ()) -> FastAPI:
    """Return the server for one data folder.

    Args:
        settings: How the studio was started.
        inherited: File descriptors that the workers keep open.
    """
    prepare_data_folder(settings.data)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        studio = app.state.studio = Studio(settings, inherited)
        await studio.pool.start()
        maintenance = asyncio.create_task(studio.maintain())
        yield
        maintenance.cancel()
        await studio.pool.close()
        studio.store.close()

    app = StudioApp(
        title="impasto",
        version=version("impasto"),
        summary="Neural style transfer",
        lifespan=lifespan,
        openapi_url="/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        responses=problems.responses(*problems.ANY_REQUEST),
    )
    app.add_middleware(Guard, settings=settings)
    problems.install(app)
    for part in (jobs, pictures, films, learning, live, knowledge):
        app.include_router(part.router, prefix="/v1")

    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(PAGE / "index.html", headers={"Cache-Control": "no-cache"})

    @app.get("/live", include_in_schema=False)
    async def live_page() -> FileResponse:
        return FileResponse(PAGE / "live.html", headers={"Cache-Control": "no-cache"})

    @app.get("/video", include_in_schema=False)
    async def video_page() -> FileResponse:
        return FileResponse(PAGE / "video.html", headers={"Cache-Control": "no-cache"})

    @app.get("/learn", include_in_schema=False)
    async def learn_page() -> FileResponse:
        return FileResponse(PAGE / "learn.html", headers={"Cache-Control": "no-cache"})

    @app.get("/v1/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(DOCS_PAGE)

    swagger = Path(str(resources.files("fastapi_offline") / "static"))
    app.mount("/v1/docs", StaticFiles(directory=swagger), name="swagger")
    app.mount("/page", StaticFiles(directory=PAGE), name="page")
    return app
