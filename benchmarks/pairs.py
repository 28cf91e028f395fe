"""Training with pairs by procedural artists, whose artworks of other photos are known.

    python benchmarks/pairs.py [--artists hatching,oil] [--time 150] [--into sheets]

A network is trained with one pair and stylizes photos that it hasn't seen. The same photos are
stylized by the method ``instant`` with the artwork as style image, and by a colour map fitted to
the pair. Each picture is compared with the artwork that the artist makes from the photo:

    lab      mean absolute difference of the pixels in CIELAB
    tone     the same after a blur, because the exact position of strokes and tiles is unknown
    features squared distance of features that no training uses, relative to the artwork's features

Lower is better. With ``--into``, a contact sheet per artist is written.
"""

from __future__ import annotations

import argparse
import statistics
from collections import deque
from pathlib import Path
from typing import Any

import artists
import common
import cv2
import numpy as np
import torch
from PIL import Image

import impasto
from impasto.images.sheet import Panel, contact_sheet
from impasto.learning import api
from impasto.learning.style import style_bytes
from impasto.measures.evaluation import CONTENT_LAYERS
from impasto.networks.load import load_encoder

PHOTOS = common.EXAMPLES / "photos"
PAIR_PHOTO = PHOTOS / "astronaut.png"
HELD_OUT = (PHOTOS / "chelsea.png", PHOTOS / "coffee.png", PHOTOS / "rocket.jpg")
LAYERS = ("block3_conv3", *CONTENT_LAYERS)
TONE_BLUR_PX = 4.0
METHODS = ("learned", "instant", "colour map")


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--artists", default=",".join(artists.ARTISTS))
    parser.add_argument("--photo", type=Path, default=PAIR_PHOTO, help="the photo of the pair")
    parser.add_argument("--held-out", type=Path, nargs="+", default=HELD_OUT, metavar="PHOTO")
    parser.add_argument("--size", type=int, default=512, help="long side of all pictures, px")
    parser.add_argument("--time", default="150s", help="length of each training in time")
    parser.add_argument("--steps", type=int, help="length of each training in steps")
    parser.add_argument("--crop", type=int, default=192)
    parser.add_argument(
        "--into", type=Path, metavar="FOLDER", help="write a contact sheet per artist"
    )
    arguments = parser.parse_args()
    print(f"{'artist':10}{'steps':>6}  " + "".join(f"{name:>30}" for name in METHODS))
    print(" " * 18 + f"{'lab   tone   features':>30}" * len(METHODS))
    rows = {name: measured(name, arguments) for name in arguments.artists.split(",")}
    common.finish(arguments, {"time": arguments.time, "size": arguments.size, "artists": rows})


def measured(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Train with a pair by an artist, and return the mean errors of each method."""
    artist, photo = artists.ARTISTS[name], read(arguments.photo, arguments.size)
    artwork = artist(photo)
    length = {"steps": arguments.steps} if arguments.steps else {"time": arguments.time}
    training_job = api.prepare_pair_training([(photo, artwork)], crop=arguments.crop, **length)
    (progress,) = deque(api.iterate_training(training_job), maxlen=1)
    style, colours = style_bytes(progress), ColourMap(photo, artwork)
    errors: dict[str, list[tuple[float, ...]]] = {method: [] for method in METHODS}
    sheet = [[photo, artwork, *[None] * len(METHODS)]]
    for path in arguments.held_out:
        other = read(path, arguments.size)
        expected = artist(other)
        pictures = {
            "learned": painted(other, style, method="learned", size=arguments.size),
            "instant": painted(other, artwork, method="instant", size=arguments.size),
            "colour map": colours(other),
        }
        for method, picture in pictures.items():
            errors[method].append(differences(picture, expected))
        sheet.append([other, expected, *pictures.values()])
    means = {
        method: [statistics.fmean(column) for column in zip(*rows, strict=True)]
        for method, rows in errors.items()
    }
    print(f"{name:10}{progress.step:6}  " + "".join(f"{text(row):>30}" for row in means.values()))
    if arguments.into:
        write_sheet(arguments.into / f"{name}.png", sheet)
    return {"steps": progress.step, "trusted": bool(training_job.pairs), **means}


def text(row: list[float]) -> str:
    """Return the errors of a method as three columns."""
    lab, tone, features = row
    return f"{lab:5.2f}  {tone:5.2f}  {features:6.3f}"


def read(path: Path, size: int) -> np.ndarray:
    """Read a photo and resize it to a long side of ``size`` px, (H, W, 3), uint8."""
    image = Image.open(path).convert("RGB")
    factor = size / max(image.size)
    new_size = round(image.width * factor), round(image.height * factor)
    return np.asarray(image.resize(new_size, Image.Resampling.LANCZOS)).copy()


def painted(photo: np.ndarray, style: Any, **settings: Any) -> np.ndarray:
    """Return a stylized photo, (H, W, 3), uint8."""
    return np.asarray(impasto.stylize(photo, style, **settings).image)


class ColourMap:
    """A quadratic colour map, fitted to the pixels of a pair by least squares."""

    def __init__(self, photo: np.ndarray, artwork: np.ndarray) -> None:
        colours = artwork.reshape(-1, 3) / 255
        self.coefficients = np.linalg.lstsq(_terms(photo), colours, rcond=None)[0]  # (10, 3)

    def __call__(self, photo: np.ndarray) -> np.ndarray:
        mapped = np.clip(_terms(photo) @ self.coefficients, 0, 1)
        picture: np.ndarray = (255 * mapped).round().astype(np.uint8).reshape(photo.shape)
        return picture


def _terms(image: np.ndarray) -> np.ndarray:
    """Return the quadratic terms of the colours of an image: (H, W, 3) → (H·W, 10)."""
    r, g, b = (image.reshape(-1, 3) / 255).T
    return np.stack([np.ones_like(r), r, g, b, r * r, g * g, b * b, r * g, r * b, g * b], 1)


def differences(picture: np.ndarray, expected: np.ndarray) -> tuple[float, float, float]:
    """Return the errors of a picture, compared with the expected one: lab, tone, features."""
    images = [image.astype(np.float32) / 255 for image in (picture, expected)]
    blurred = [cv2.GaussianBlur(image, (0, 0), TONE_BLUR_PX) for image in images]
    return lab_difference(*images), lab_difference(*blurred), feature_distance(*images)


def lab_difference(picture: np.ndarray, expected: np.ndarray) -> float:
    """Return the mean absolute difference of two images (H, W, 3) in [0, 1], in CIELAB."""
    lab = [cv2.cvtColor(image, cv2.COLOR_RGB2LAB) for image in (picture, expected)]
    return float(np.abs(lab[0] - lab[1]).mean())


@torch.no_grad()
def feature_distance(picture: np.ndarray, expected: np.ndarray) -> float:
    """Return the mean over the layers of the relative squared distance of the features."""
    features, targets = (
        load_encoder()(torch.from_numpy(image).permute(2, 0, 1)[None], LAYERS)
        for image in (picture, expected)
    )
    return statistics.fmean(
        float((features[layer] - targets[layer]).square().sum() / targets[layer].square().sum())
        for layer in LAYERS
    )


def write_sheet(path: Path, rows: list[list[Any]]) -> None:
    """Write a contact sheet of images; None is an empty panel."""
    path.parent.mkdir(parents=True, exist_ok=True)
    panels = [
        [Panel(None if image is None else Image.fromarray(image)) for image in row] for row in rows
    ]
    labels = ("photo", "the artist", *METHODS)
    contact_sheet(panels, column_labels=labels).save(path)


if __name__ == "__main__":
    main()
