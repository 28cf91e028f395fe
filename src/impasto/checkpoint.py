"""A run in a file: everything needed to go on from one Progress, bit for bit."""

from __future__ import annotations

import io
import pickle
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from impasto import files
from impasto.errors import CheckpointError, reason
from impasto.images.picture import Picture
from impasto.methods.optimize import plan_scales
from impasto.networks import kernels
from impasto.recipe import ADDED_SETTINGS, validate
from impasto.result import Job, Progress, Snapshot

FORMAT_VERSION = 3


def save(progress: Progress, path: Path) -> None:
    """Write the checkpoint of ``progress``, atomically, at once or later.

    Raises CheckpointError: the run can't be gone on with; OutputError.
    """
    job, snapshot = progress.job, progress.snapshot
    if snapshot is None:
        raise CheckpointError(f"a run of the method {job.recipe.method} can't be gone on with")
    buffer = io.BytesIO()
    torch.save(
        {
            "impasto checkpoint": FORMAT_VERSION,
            "recipe": job.recipe.model_dump(mode="json"),
            "content": asdict(job.content),
            "styles": [asdict(style) for style in job.styles],
            "style_weights": list(job.style_weights),
            "mask": job.mask,
            "regions": [(mask, asdict(style)) for mask, style in job.regions],
            "precision": job.device.precision,
            "snapshot": {**vars(snapshot), "solver": snapshot.solver()},
        },
        buffer,
    )
    files.write_atomically(path, buffer.getvalue())
    files.remove_abandoned(path)


def load(path: Path, *, steps: int | None = None) -> tuple[Job, Snapshot]:
    """The job and the snapshot to go on from; ``steps`` replaces the recipe's number of them.

    Raises CheckpointError: not there, damaged, or not a checkpoint; RecipeError, DeviceError.
    """
    content = _read(path)
    try:
        recipe = validate(
            {
                **ADDED_SETTINGS,
                **content["recipe"],
                **({} if steps is None else {"steps": steps}),
            }
        )
        solver = content["snapshot"]["solver"]
        snapshot = Snapshot(**{**content["snapshot"], "solver": lambda: solver})
        if snapshot.step > recipe.steps:
            raise CheckpointError(
                f"{path} is at step {snapshot.step} already; step {recipe.steps} lies before that"
            )
        if steps is not None and steps != content["recipe"]["steps"]:
            if len(plan_scales(recipe, *content["content"]["rgb"].shape[-2:])) > 1:
                raise CheckpointError(
                    f"{path} goes through several sizes; its number of steps can't be changed"
                )
            # The last row of a finished run is off the grid; it isn't the last any more.
            if snapshot.rows and snapshot.rows[-1]["step"] % recipe.trace_every:
                snapshot = replace(snapshot, rows=snapshot.rows[:-1])
        job = Job(
            recipe=recipe,
            content=Picture(**content["content"]),
            styles=tuple(Picture(**style) for style in content["styles"]),
            style_weights=tuple(content["style_weights"]),
            mask=content["mask"],
            regions=tuple((mask, Picture(**style)) for mask, style in content["regions"]),
            device=kernels.choose(recipe.device, content["precision"], recipe.kernel, strict=False),
        )
    except (KeyError, TypeError) as error:
        raise CheckpointError(f"{path} is a checkpoint of another version of impasto") from error
    return job, snapshot


def _read(path: Path) -> dict[str, Any]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: there is no such checkpoint") from error
    except IsADirectoryError as error:
        raise CheckpointError(f"{path} is a folder, not a checkpoint") from error
    except (RuntimeError, ValueError, EOFError, KeyError, pickle.UnpicklingError) as error:
        raise CheckpointError(f"{path} is damaged, or isn't a checkpoint") from error
    except OSError as error:
        raise CheckpointError(f"{path} can't be read: {reason(error)}") from error
    if not isinstance(content, dict) or content.get("impasto checkpoint") != FORMAT_VERSION:
        raise CheckpointError(f"{path} isn't a checkpoint of this version of impasto")
    return content
