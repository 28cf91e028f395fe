"""The models of a job: the request, the progress, and the job as the REST API shows it.

The database keeps requests and progress as JSON, so their keys stay readable for later versions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, JsonValue, Tag, TypeAdapter

from impasto.base.errors import RecipeError
from impasto.learning.settings import LearnSettings
from impasto.settings.methods import METHODS, MethodInfo, bounds

MAX_QUICK_S = 5.0
"""A method is quick if a picture of 512 px takes at most so long on two cores. Its pictures are
painted between two steps of other jobs, and it paints its own previews."""
PREVIEW_METHOD = "instant"
"""Paints the previews of the methods that aren't quick."""
MIN_STRENGTH, MAX_STRENGTH = bounds("strength")
MIN_STYLE_SCALE, MAX_STYLE_SCALE = bounds("style_scale")
JobState = Literal["queued", "running", "done", "stopped", "failed"]
"""The states of a job. The last three are final."""
RecordState = Literal["queued", "running", "done", "stopped", "failed", "dropping"]
"""The states of a record. A job in the state ``dropping`` is deleted once its worker lets go."""
JobKind = Literal["picture", "film", "learn"]
JsonObject = dict[str, JsonValue]


def is_quick(method: MethodInfo) -> bool:
    """Return whether a method's pictures take so little time that they needn't wait."""
    return method.typical_seconds <= MAX_QUICK_S


class StoredRecipe(BaseModel):
    """All settings of a run, as ``/v1/recipe-schema`` describes them.

    The settings were checked when the job was made. They aren't checked again when they are read,
    so that the jobs of an earlier version can still be shown.
    """

    model_config = ConfigDict(extra="allow", frozen=True)
    __pydantic_extra__: dict[str, JsonValue] = Field(init=False)

    method: str

    @property
    def steps(self) -> int:
        """The number of steps, or 0 for a method without steps."""
        steps = (self.model_extra or {}).get("steps")
        return steps if isinstance(steps, int) else 0

    @property
    def method_info(self) -> MethodInfo | None:
        """The method, or None if the package that it came with is gone or can't be imported."""
        try:
            return METHODS[self.method]
        except RecipeError:
            return None

    @property
    def is_quick(self) -> bool:
        """Whether a picture takes so little time that it needn't wait for others."""
        return self.method_info is not None and is_quick(self.method_info)

    @property
    def can_continue(self) -> bool:
        """Whether the method can take more steps from a picture on."""
        known = {} if self.method_info is None else self.method_info.settings.model_fields
        return {"init", "steps"} <= known.keys()

    def settings(self) -> JsonObject:
        """Return all settings by their names."""
        return self.model_dump(mode="json")


class ContentFile(BaseModel):
    """The photo or the film of a job."""

    file: str
    """The name of the file in the job's folder."""
    name: str
    """The name that its owner gave it."""
    width: int
    height: int


class StyleFile(BaseModel):
    """A style of a job: a painting, a style file or a built-in style."""

    file: str | None
    """The name of the file in the job's folder, or None for a built-in style."""
    name: str
    weight: float
    built_in: bool
    learned: bool = False
    """Whether the file is a style file."""


class FilmSettings(BaseModel):
    """The settings of a film; see ``impasto.Film``. None: the default of ``Film``."""

    model_config = ConfigDict(extra="forbid")

    stability: float | None = Field(None, ge=0, le=1)
    strength: float | None = Field(None, ge=MIN_STRENGTH, le=MAX_STRENGTH)
    style_scale: float | None = Field(None, ge=MIN_STYLE_SCALE, le=MAX_STYLE_SCALE)
    color: str | None = Field(None, pattern="^(style|content)$")
    size: int | None = Field(None, ge=64, le=4096)
    start: float | None = Field(None, ge=0, le=1e6)
    end: float | None = Field(None, gt=0, le=1e6)
    crf: int | None = Field(None, ge=0, le=51)


class _Request(BaseModel):
    """The fields that all requests have in common."""

    name: str
    content: ContentFile | None = None
    styles: list[StyleFile]
    mask: str | None = None
    """The name of the mask in the job's folder."""
    mask_name: str | None = None
    """The name that the owner gave the mask."""
    recipe: StoredRecipe
    parent: str | None = None
    """The ID of the job that this one continues."""
    init: str | None = None
    """The name of the initial image in the job's folder."""

    @property
    def file_names(self) -> dict[str, str]:
        """The owner's names of the files, by their names in the job's folder."""
        names = {part.file: part.name for part in self.styles if part.file is not None}
        if self.content is not None:
            names[self.content.file] = self.content.name
        if self.mask is not None:
            names[self.mask] = self.mask_name or "the mask"
        return names


class PictureRequest(_Request):
    """A request for a picture."""

    kind: Literal["picture"] = "picture"
    content: ContentFile


class FilmRequest(_Request):
    """A request for a film."""

    kind: Literal["film"] = "film"
    content: ContentFile
    settings: FilmSettings


class LearnRequest(_Request):
    """A request for a training. Its recipe is that of pictures in the learned style."""

    kind: Literal["learn"] = "learn"
    settings: LearnSettings


def _kind(value: object) -> str:
    """Return the kind of a request. Requests of early versions have none: they are of pictures."""
    if isinstance(value, Mapping):
        return str(value.get("kind", "picture"))
    return str(getattr(value, "kind", "picture"))


JobRequest = Annotated[
    Annotated[PictureRequest, Tag("picture")]
    | Annotated[FilmRequest, Tag("film")]
    | Annotated[LearnRequest, Tag("learn")],
    Discriminator(_kind),
]
JOB_REQUEST: TypeAdapter[PictureRequest | FilmRequest | LearnRequest] = TypeAdapter(JobRequest)


class PictureSize(BaseModel):
    """The size of a picture or a film, in pixels."""

    width: int
    height: int


class StepProgress(BaseModel):
    """The state of a running job after a step. The data of the event ``progress``."""

    step: int
    steps: int
    scale: int
    losses: dict[str, float | None] | None
    seconds: float
    eta: float | None
    preview: int
    """The number of previews so far."""
    share: float | None = None
    """The share of a training that is done, 0 to 1. None for other jobs."""


class FinalProgress(BaseModel):
    """The state of a job at its end."""

    step: int
    steps: int
    scale: int
    losses: dict[str, float | None] | None
    seconds: float
    eta: float | None
    preview: int | None = None
    """The number of previews before the last one, if the worker counts them."""
    share: float | None = None
    result: PictureSize | None
    """The size of the picture or film. None for a training."""
    style: str | None = None
    """The name of the learned style in the user's library. None if it isn't there."""
    device: str
    notes: list[str] = []


class JobProgress(BaseModel):
    """The state of a job so far, as the database keeps it."""

    model_config = ConfigDict(validate_by_name=True, serialize_by_alias=True)

    step: int = 0
    steps: int | None = None
    scale: int | None = None
    losses: dict[str, float | None] | None = None
    seconds: float = 0.0
    eta: float | None = None
    preview: int = 0
    position: int | None = None
    """The number of jobs before it in the queue, as last announced."""
    estimate: float | None = None
    """The expected duration in seconds."""
    is_stop_requested: bool = Field(
        default=False, validation_alias="stop", serialization_alias="stop"
    )
    share: float | None = None
    result: PictureSize | None = None
    style: str | None = None
    device: str | None = None
    notes: list[str] = []

    def update(self, progress: StepProgress | FinalProgress) -> None:
        """Take over what a worker reported."""
        for name in type(progress).model_fields:
            value = getattr(progress, name)
            if name != "preview" or value is not None:
                setattr(self, name, value)


class QueuedProgress(BaseModel):
    """The place of a job in the queue. The data of the event ``queued``."""

    position: int
    eta: float | None


class JobContent(BaseModel):
    """The photo of a job, as the API shows it. The size of a film isn't known: 0."""

    name: str
    width: int
    height: int


class JobStyle(BaseModel):
    """A painting of a job, as the API shows it."""

    name: str
    weight: float
    built_in: bool
    learned: bool = Field(description="whether it is a style file")


class JobResponse(BaseModel):
    """A job, as the API shows it."""

    id: str
    state: JobState
    kind: JobKind
    name: str
    method: str
    unit: Literal["step", "percent"] = Field(description="what ``step`` and ``steps`` count")
    can_continue: bool = Field(description="whether the method can take more steps from there on")
    created: str
    started: str | None
    finished: str | None
    content: JobContent | None = Field(description="the photo or film; null for a training")
    styles: list[JobStyle]
    mask: bool
    recipe: StoredRecipe
    step: int
    steps: int
    scale: int | None = Field(description="the long side that is being painted, px")
    losses: dict[str, float | None] | None
    seconds: float
    eta: float | None = Field(description="seconds until it is done, with the queue")
    position: int | None = Field(description="how many jobs are before it in the queue")
    preview: int = Field(description="the number of previews so far")
    share: float | None = Field(description="the share of a training that is done, 0 to 1")
    result: PictureSize | None
    style: str | None = Field(description="the name of the learned style in the library")
    device: str | None
    notes: list[str]
    error: str | None = Field(description="one sentence, if it failed")
    parent: str | None = Field(description="the job that it goes on from")


class EstimateResponse(PictureSize):
    """The size of a picture, and the time and memory that it would take."""

    seconds: float
    memory_mb: int
