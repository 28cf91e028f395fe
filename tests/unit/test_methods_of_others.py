"""Methods of other packages that don't keep to the interface, or use it in unusual ways."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from typing import Any, Literal

import pytest
import torch
from pydantic import BaseModel, Field

import impasto
from impasto.base.errors import RecipeError, bug
from impasto.cli.app import COMMANDS, app
from impasto.cli.series import method_of_series, start_from_noise
from impasto.losses.style import MomentsLoss
from impasto.runs.job import Job
from impasto.runs.progress import Snapshot
from impasto.settings.build import build
from impasto.settings.methods import METHODS, RESERVED, all_settings
from impasto.settings.recipe_files import load_preset, presets, with_paths
from impasto.studio.jobs.continuation import Continuation, continued
from impasto.studio.jobs.errors import ProblemError
from impasto.studio.jobs.models import ContentFile, PictureRequest, StyleFile
from impasto.studio.jobs.store import JobRecord
from impasto.studio.jobs.uploads import whole_recipe


class EchoSettings(impasto.Recipe):
    """The settings of every method, and a seed."""

    method: Literal["echo"] = "echo"
    seed: int = Field(default=0, ge=0, description="counts for nothing")


class Echo(impasto.Method):
    """Yields the photo as it is."""

    name = "echo"
    summary = 'the "photo" as it is, \\ and 🙂'
    settings = EchoSettings

    def run(self, job: Job, snapshot: Snapshot | None = None) -> Iterator[impasto.Progress]:
        yield impasto.Progress(step=1, steps=1, scale=64, job=job, pixels=job.content.rgb)


@pytest.fixture(autouse=True)
def _forget_methods(monkeypatch):
    monkeypatch.setattr(METHODS, "loaded", dict(METHODS.loaded))


class Required(EchoSettings):
    must: int


class Flag(EchoSettings):
    style: str = "x"


class Shadowing(EchoSettings):
    size: str = "512"  # type: ignore[assignment]


class WithoutJson(EchoSettings):
    kind: Any = torch.float32


class Foreign(BaseModel):
    method: str = "echo"


class Narrow(EchoSettings):
    color: Literal["style", "content"] = "style"
    size: int = Field(default=256, ge=0, le=512, description="small")


@pytest.mark.parametrize(
    ("schema", "sentence"),
    [
        (Required, "its setting must should have a default"),
        (Flag, "its setting style should have another name: style is a flag"),
        (Shadowing, "its setting size should have the type that all methods know"),
        (WithoutJson, "its settings can't be written as JSON"),
        (Foreign, "its settings should be a subclass of impasto.Recipe"),
    ],
)
def test_settings_that_would_break_something_are_refused(schema, sentence):
    method = Echo()
    method.settings = schema
    with pytest.raises(ValueError, match=sentence):
        impasto.register_method(method)


def test_a_class_is_no_method():
    with pytest.raises(ValueError, match="an instance of a subclass of impasto.Method"):
        impasto.register_method(Echo)  # type: ignore[arg-type]


def test_settings_may_be_narrower():
    method = Echo()
    method.settings = Narrow
    impasto.register_method(method)
    assert build({"method": "echo"}).size == 256


def test_no_setting_has_the_name_of_a_flag():
    """Both the name of the parameter and of the flag would be given twice."""
    for command in ("stylize", "video"):
        assert command in COMMANDS
        found = app.get_command(None, command)  # type: ignore[arg-type]
        names = {
            name.lstrip("-").replace("-", "_")
            for option in found.params
            for name in (str(option.name), *option.opts)
        }
        assert {name for name in names - all_settings().keys() if len(name) > 1} <= RESERVED
    assert not RESERVED & (all_settings().keys() - {"preset"})


@pytest.mark.parametrize("preset", ["echo", "loud"])
def test_the_defaults_of_a_method_are_a_preset(preset, monkeypatch):
    monkeypatch.setattr(Echo, "preset", preset)
    impasto.register_method(Echo())
    assert load_preset(preset) == {"method": "echo"}
    assert tomllib.loads(presets()[preset].text()) == {"about": Echo.summary, "method": "echo"}
    assert build({"method": "echo"}).preset == build(preset=preset).preset == preset


@pytest.fixture
def pair(photo_image, painting_image):
    return photo_image.resize((96, 64)), painting_image.resize((96, 64))


def echo(events: Any) -> Echo:
    """Register the method with another ``run``."""
    kind = type("Changed", (Echo,), {"run": lambda self, job, snapshot=None: events(job)})
    impasto.register_method(kind())
    return kind()


def an_event(job: Job, pixels: torch.Tensor) -> impasto.Progress:
    return impasto.Progress(step=0, steps=2, scale=64, job=job, pixels=pixels)


def fails(job: Job) -> Iterator[impasto.Progress]:
    yield an_event(job, job.content.rgb)
    raise ZeroDivisionError("by hand")


@pytest.mark.parametrize(
    ("events", "error", "sentence"),
    [
        (lambda job: [], RuntimeError, "there is no picture"),
        (lambda job: None, TypeError, "'NoneType' object is not iterable"),
        (fails, ZeroDivisionError, "by hand"),
        (
            lambda job: (an_event(job, job.content.rgb[:, :1]) for _ in range(1)),
            ValueError,
            r"pixels should be \(1, 3, H, W\), not \(1, 1, 43, 64\)",
        ),
        (
            lambda job: (an_event(job, job.content.rgb.byte()) for _ in range(1)),
            ValueError,
            "pixels should be from 0 to 1, not torch.uint8",
        ),
    ],
)
def test_the_errors_of_a_run_name_the_method(events, error, sentence, pair):
    echo(events)
    with pytest.raises(error, match=sentence) as caught:
        impasto.stylize(*pair, method="echo", size=64)
    assert caught.value.__notes__ == ["in the method echo"]
    assert bug(caught.value).endswith("in the method echo")


@pytest.mark.parametrize("size", [(20, 30), (200, 300)])
def test_a_picture_of_another_size_is_brought_to_the_size_of_the_result(size, pair):
    echo(lambda job: [an_event(job, torch.full((1, 3, *size), 0.5))])
    result = impasto.stylize(*pair, method="echo", size=64)
    assert (result.width, result.height) == (64, 43)
    assert abs(result.array.mean() - 0.5) < 0.05


def test_a_method_without_a_run_is_refused():
    kind = type("Idle", (impasto.Method,), {"name": "idle", "settings": EchoSettings})
    with pytest.raises(TypeError, match="abstract"):
        kind()


def test_seeds_of_a_method_without_an_initial_image_vary_nothing_else():
    impasto.register_method(Echo())
    varied, settings = {"seed": [1, 2]}, {"method": "echo"}
    method = method_of_series(varied, settings, None, None)
    assert method == method_of_series(varied, {}, "echo", None) == "echo"
    assert not start_from_noise(varied, settings, method)
    assert settings == {"method": "echo"}


class TableSettings(EchoSettings):
    """A setting that is a number for the method optimize names a file here."""

    palette: str | None = Field(default=None, json_schema_extra={"file": ["none"]})


@pytest.fixture
def _table(monkeypatch):
    monkeypatch.setattr(Echo, "settings", TableSettings)
    impasto.register_method(Echo())


@pytest.mark.usefixtures("_table")
def test_a_setting_may_name_a_file_for_one_method_alone():
    assert with_paths({"method": "echo", "palette": "a/b.txt"}, str.upper)["palette"] == "A/B.TXT"
    assert with_paths({"method": "echo", "palette": "none"}, str.upper)["palette"] == "none"
    assert with_paths({"method": "optimize", "palette": "a"}, str.upper)["palette"] == "a"


@pytest.mark.usefixtures("_table")
@pytest.mark.parametrize("for_preview", [False, True])
def test_no_client_of_the_studio_names_a_file(for_preview):
    styles = [StyleFile(file="style-0", name="a", weight=1, built_in=False)]
    for settings in ({"method": "echo"}, {"preset": "echo"}):
        with pytest.raises(RecipeError, match="palette is one of none here, not a file"):
            whole_recipe(
                {**settings, "palette": "/etc/passwd"}, styles=styles, for_preview=for_preview
            )
        whole_recipe({**settings, "palette": "none"}, styles=styles, for_preview=for_preview)
    whole_recipe({"palette": 0.5}, styles=styles, for_preview=for_preview)


def test_a_stopped_run_is_finished_from_its_checkpoint_without_an_initial_image(tmp_path):
    impasto.register_method(Echo())
    styles = [StyleFile(file="style-0", name="a", weight=1, built_in=False)]
    request = PictureRequest(
        name="a_b",
        content=ContentFile(file="content", name="b", width=64, height=64),
        styles=styles,
        recipe=whole_recipe({"method": "echo"}, styles=styles),
    )
    source, folder = tmp_path / "source", tmp_path / "folder"
    for place in (source, folder):
        place.mkdir()
    for name in ("content", "style-0"):
        (source / name).write_bytes(b"")
    job = JobRecord(id="abc", request=request, state="stopped")
    assert not request.recipe.can_continue
    with pytest.raises(ProblemError, match="can only be made larger"):
        continued(job, source, folder, Continuation())
    (source / "checkpoint").write_bytes(b"it")
    with pytest.raises(ProblemError, match="can only be made larger"):
        continued(job, source, folder, Continuation(steps=5))
    assert continued(job, source, folder, Continuation()).recipe == request.recipe
    assert (folder / "checkpoint").read_bytes() == b"it"


@pytest.mark.parametrize("loss", [object(), MomentsLoss])
def test_an_object_that_is_no_style_loss_is_refused(loss):
    with pytest.raises(ValueError, match="a style loss is an object with has_goal, gatherer"):
        impasto.register_loss("odd", loss)
