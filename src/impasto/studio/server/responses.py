"""The answers of the REST API that aren't about one job; those are in ``jobs/models.py``."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from impasto.settings.recipe import MAX_SIZE_PX
from impasto.studio.jobs.models import JobResponse, JsonObject, StoredRecipe
from impasto.studio.server.problems import Responses
from impasto.styles.catalogue import Origin


def content(*media_types: str) -> Responses:
    """Return the description of an answer that is a file, for the ``responses`` of a route."""
    binary = {"schema": {"type": "string", "format": "binary"}}
    return {200: {"content": dict.fromkeys(media_types, binary)}}


class JobList(BaseModel):
    """All jobs, the newest first."""

    jobs: list[JobResponse]


class EstimateRequest(BaseModel):
    """A recipe, and the size of a photo."""

    model_config = ConfigDict(extra="forbid")
    recipe: JsonObject = Field(default_factory=dict)
    width: int = Field(ge=32, le=MAX_SIZE_PX)
    height: int = Field(ge=32, le=MAX_SIZE_PX)


class StyleSummary(BaseModel):
    """A style that can be selected by its name."""

    name: str
    title: str
    kind: Literal["painting", "learned", "style"] = Field(
        description="a painting, a style file, or a style of the method instant"
    )
    origin: Origin = Field(
        description="the user's library, bundled with impasto, or of the method instant"
    )
    learned: bool = Field(description="whether there is a style file for it")
    thumbnail: str = Field(description="the address of a JPEG")


class StyleList(BaseModel):
    """All styles: the user's library, the bundled styles and the built-in styles."""

    styles: list[StyleSummary]


class ExampleInfo(BaseModel):
    """An example photo."""

    name: str
    title: str


class ExampleList(BaseModel):
    """All example photos."""

    examples: list[ExampleInfo]


class PresetInfo(BaseModel):
    """A preset, and the settings that it begins with."""

    name: str
    about: str
    recipe: StoredRecipe


class PresetList(BaseModel):
    """All presets."""

    presets: list[PresetInfo]


class MethodDescription(BaseModel):
    """A method, and what it can do."""

    name: str
    summary: str
    preset: str = Field(description="the preset that its settings start from")
    settings: list[str] = Field(description="the settings that it has")
    style_images: bool = Field(description="whether it takes paintings")
    learned_styles: bool = Field(description="whether it takes style files")
    built_in_styles: bool = Field(description="whether it knows the built-in styles")
    quick: bool = Field(description="whether it paints its own previews")


class RecipeSchema(BaseModel):
    """The JSON Schema of all settings, and the methods that have them."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, JsonValue] = Field(init=False)
    methods: list[MethodDescription]


class RecipeInside(BaseModel):
    """The recipe inside a picture, and the names of the images that it was made from."""

    recipe: JsonValue
    content: JsonValue
    styles: JsonValue


class Health(BaseModel):
    """The state of the studio: whether it takes jobs, and how many it has."""

    status: Literal["ok", "starting"]
    version: str
    workers: int
    queued: int
    running: int
    device: str | None
