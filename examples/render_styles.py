"""Render the style images that no painter made: engraving, ink, watercolour, dots and mosaic.

    python examples/render_styles.py [FOLDER]

Their subjects are the bundled public-domain paintings; the rest is drawn by the functions below.
They stand for kinds of image that style transfer should master, where no scan with certain rights
was at hand. See SOURCES.md.
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Array = NDArray[np.float32]

PAINTINGS = Path(__file__).parent / "paintings"
LONG_SIDE_PX = 800
OVERSAMPLING = 3
"""Lines are drawn this much larger and then reduced, so that they are smooth."""


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else PAINTINGS
    rendered = {
        "engraving": engraving(subject("shipwreck")),
        "ink": ink(subject("langlois_bridge")),
        "watercolour": watercolour(subject("harvest")[18:-18, 18:-18]),
        "pointillist": pointillist(subject("painter_on_the_road")),
        "mosaic": mosaic(),
    }
    for name, image in rendered.items():
        pixels = (image.clip(0, 1) * 255).round().astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{name}.webp", quality=90, method=6)


def subject(name: str, scale: int = 1) -> Array:
    """A bundled painting, (H, W, 3) in [0, 1]."""
    image = Image.open(PAINTINGS / f"{name}.webp").convert("RGB")
    factor = scale * LONG_SIDE_PX / max(image.size)
    size = round(image.width * factor), round(image.height * factor)
    return np.asarray(image.resize(size, Image.Resampling.LANCZOS), np.float32) / 255


def tones(image: Array, blur: float) -> Array:
    """Evened-out brightness, (H, W) in [0, 1]: a drawing uses the whole range from paper to ink."""
    grey = cv2.cvtColor((image * 255).astype(np.uint8), cv2.COLOR_RGB2GRAY)
    evened = cv2.createCLAHE(3.0, (6, 6)).apply(grey).astype(np.float32) / 255
    return cv2.GaussianBlur(evened, (0, 0), blur)


def noise(shape: tuple[int, ...], size: float, seed: int) -> Array:
    """Smooth noise, (H, W), of mean 0 and deviation 1, with blobs of about ``size`` px."""
    rng = np.random.default_rng(seed)
    blobs = cv2.GaussianBlur(rng.standard_normal(shape[:2]).astype(np.float32), (0, 0), size)
    return (blobs - blobs.mean()) / blobs.std()


def enlarged(plane: Array, factor: int = OVERSAMPLING) -> Array:
    return cv2.resize(plane, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)


def reduced(plane: Array, factor: int = OVERSAMPLING) -> Array:
    return cv2.resize(plane, None, fx=1 / factor, fy=1 / factor, interpolation=cv2.INTER_AREA)


def inked(ink: Array, paper: tuple[float, float, float], tint: tuple[float, float, float]) -> Array:
    """Ink coverage (H, W) as an image (H, W, 3): ``tint`` on ``paper``."""
    return ink[..., None] * np.float32(tint) + (1 - ink[..., None]) * np.float32(paper)


def engraving(image: Array) -> Array:
    """Swelling parallel lines that follow the forms, crossed where it is dark."""
    tone = enlarged(tones(image, 1.5))
    height, width = tone.shape
    y, x = np.mgrid[:height, :width].astype(np.float32)
    relief = enlarged(tones(image, 12)) * 40 * OVERSAMPLING  # lines bend over bright forms
    ink = np.zeros_like(tone)
    # Each set of lines: direction in degrees, period in px, and the darkness at which it begins.
    for angle, period, begin in ((8, 5.0, 0.06), (68, 5.6, 0.48), (-52, 6.2, 0.74)):
        a = np.deg2rad(angle)
        along = x * np.sin(a) + y * np.cos(a) + relief * np.cos(a - 0.4)
        wave = 0.5 + 0.5 * np.cos(2 * np.pi * along / (period * OVERSAMPLING))
        share = np.clip((1 - tone - begin) / (1 - begin), 0, 1) * 0.92
        threshold = 0.5 + 0.5 * np.cos(np.pi * share)  # the wave is above it over ``share``
        lines = np.clip((wave - threshold) * 8, 0, 1) * (share > 0.02)
        ink = np.maximum(ink, lines)
    return inked(reduced(ink), (0.95, 0.93, 0.87), (0.08, 0.07, 0.08))


def ink(image: Array) -> Array:
    """Pen contours and loose hatching on white paper."""
    rng = np.random.default_rng(7)
    smooth = (image * 255).astype(np.uint8)
    for _ in range(3):  # strokes of the brush are not to become contours
        smooth = cv2.bilateralFilter(smooth, 13, 38, 9)
    tone = tones(smooth.astype(np.float32) / 255, 1.2)
    height, width = tone.shape
    fine = cv2.GaussianBlur(tone, (0, 0), 1.6) - 0.985 * cv2.GaussianBlur(tone, (0, 0), 2.9)
    contours = np.clip(-(fine + 0.002) * 70, 0, 1)
    contours = np.clip(cv2.GaussianBlur(contours, (0, 0), 1.0) * 2.2 - 0.55, 0, 1)
    canvas = np.zeros((height * OVERSAMPLING, width * OVERSAMPLING), np.uint8)
    soft = cv2.GaussianBlur(tone, (0, 0), 6)
    for _ in range(16_000):
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        dark = 1 - soft[int(y), int(x)]
        if rng.uniform() > np.clip((dark - 0.45) * 2.6, 0, 1):
            continue
        angle = np.deg2rad((-55 if dark < 0.72 or rng.uniform() < 0.5 else 35) + rng.normal(0, 6))
        length, bend = rng.uniform(10, 26), rng.normal(0, 2)
        t = np.linspace(-0.5, 0.5, 8)
        px = x + np.cos(angle) * t * length - np.sin(angle) * bend * (4 * t * t)
        py = y + np.sin(angle) * t * length + np.cos(angle) * bend * (4 * t * t)
        points = (np.stack([px, py], 1) * OVERSAMPLING).astype(np.int32)
        cv2.polylines(canvas, [points], False, 255, int(rng.integers(2, 5)), cv2.LINE_AA)
    hatching = reduced(canvas.astype(np.float32) / 255)
    return inked(np.maximum(contours, hatching * 0.95), (0.99, 0.985, 0.97), (0.06, 0.06, 0.10))


def watercolour(image: Array) -> Array:
    """Flat, transparent washes with darker rims and granulation, on rough white paper."""
    pixels = (image * 255).astype(np.uint8)
    for _ in range(2):
        pixels = cv2.pyrMeanShiftFiltering(pixels, 14, 26)
    height, width = pixels.shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    wobble = [noise(pixels.shape, 7, seed) * 3.2 for seed in (1, 2)]
    flat = cv2.remap(
        pixels, x + wobble[0], y + wobble[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
    )
    flat = cv2.medianBlur(flat, 9).astype(np.float32) / 255
    absorbed = -np.log(np.clip(flat, 0.08, 1)) * 0.75
    edges = np.abs(absorbed - cv2.GaussianBlur(absorbed, (0, 0), 5)).mean(2)
    rims = np.clip(cv2.GaussianBlur(edges, (0, 0), 0.8) * 3.0, 0, 0.9)
    paper = noise(pixels.shape, 1.2, 3) * 0.5 + noise(pixels.shape, 3.0, 4) * 0.5
    pools = noise(pixels.shape, 28, 5)
    density = 1 + 0.7 * rims + 0.16 * paper + 0.22 * pools
    washed = np.exp(-absorbed * np.clip(density, 0.3, 2.5)[..., None])
    dry = np.clip((noise(pixels.shape, 5, 6) + 0.5 * paper - 2.7) * 3, 0, 1)[..., None]
    sheet = np.float32((0.985, 0.975, 0.95)) * (1 + 0.015 * paper[..., None])
    return washed * sheet * (1 - dry) + sheet * dry


def pointillist(image: Array) -> Array:
    """Round dabs of unmixed colour, large ones first, on a cream ground."""
    rng = np.random.default_rng(11)
    soft = cv2.bilateralFilter(image, 9, 0.15, 9)
    height, width = soft.shape[:2]
    canvas = np.full((height * OVERSAMPLING, width * OVERSAMPLING, 3), (0.93, 0.88, 0.76), "f4")
    hsv = cv2.cvtColor(soft, cv2.COLOR_RGB2HSV)
    for radius, count in ((4.6, 14_000), (3.4, 22_000), (2.5, 18_000)):
        for _ in range(count):
            x, y = rng.uniform(0, width), rng.uniform(0, height)
            hue, saturation, value = hsv[int(y), int(x)]
            # Divided colour: neighbouring hues, and now and then the complement.
            hue += rng.normal(0, 16) + (180 if rng.uniform() < 0.08 else 0)
            dab = np.float32([[[hue % 360, min(1, saturation * 1.35 + 0.08), 0]]])
            dab[..., 2] = np.clip(value * 1.08 + rng.normal(0, 0.09), 0.05, 1)
            colour = cv2.cvtColor(dab, cv2.COLOR_HSV2RGB)[0, 0].tolist()
            centre = int(x * OVERSAMPLING), int(y * OVERSAMPLING)
            size = radius * OVERSAMPLING * rng.uniform(0.75, 1.1)
            axes = int(size), int(size * rng.uniform(0.75, 1))
            cv2.ellipse(canvas, centre, axes, rng.uniform(0, 180), 0, 360, colour, -1, cv2.LINE_AA)
    return cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA)


def mosaic(side: int = LONG_SIDE_PX) -> Array:
    """Stone tesserae in bowed rows: a sun over waves and hills, designed here."""
    rng = np.random.default_rng(5)
    height, width = side * 3 // 4, side
    design = _sun_over_waves(height, width)
    tile = 13.0
    centres = np.stack(
        np.meshgrid(np.arange(tile / 2, width, tile), np.arange(tile / 2, height, tile)), -1
    )
    centres = centres.reshape(-1, 2)
    centres[:, 1] += 7 * np.sin(centres[:, 0] / 70) + rng.normal(0, 1.3, len(centres))
    centres[:, 0] += 6 * np.sin(centres[:, 1] / 60) + rng.normal(0, 1.3, len(centres))
    y, x = np.mgrid[: height * 2, : width * 2].astype(np.float32) / 2
    first = np.full(x.shape, np.inf, np.float32)
    second, owner = first.copy(), np.zeros(x.shape, np.int32)
    for index, (cx, cy) in enumerate(centres):
        window = np.s_[
            max(0, int(2 * cy - 4 * tile)) : int(2 * cy + 4 * tile),
            max(0, int(2 * cx - 4 * tile)) : int(2 * cx + 4 * tile),
        ]
        distance = np.hypot(x[window] - cx, y[window] - cy)
        nearer = distance < first[window]
        second[window] = np.where(nearer, first[window], np.minimum(second[window], distance))
        owner[window][nearer] = index
        first[window] = np.where(nearer, distance, first[window])
    gap = second - first
    row = np.clip(centres[:, 1].astype(int), 0, height - 1)
    column = np.clip(centres[:, 0].astype(int), 0, width - 1)
    stones = design[row, column] * (1 + rng.normal(0, 0.13, (len(centres), 1)))
    stones += rng.normal(0, 0.025, stones.shape)
    bevel = np.clip(gap / 4, 0, 1)[..., None] * 0.18 + 0.86
    grain = 1 + 0.03 * noise(x.shape, 1.5, 8)[..., None]
    stone = stones[owner].astype(np.float32) * bevel * grain
    grout = np.float32((0.80, 0.76, 0.69)) * grain
    covered = np.clip((gap - 1.1) * 1.5, 0, 1)[..., None]
    return reduced(stone * covered + grout * (1 - covered), 2)


def _sun_over_waves(height: int, width: int) -> Array:
    y, x = np.mgrid[:height, :width].astype(np.float32)
    y, x = y / height, x / width
    design = np.zeros((height, width, 3), np.float32)
    distance, angle = np.hypot((x - 0.3) * 1.33, y - 0.3), np.arctan2(y - 0.3, (x - 0.3) * 1.33)
    rays = np.sin(angle * 16) > 0
    design[:] = np.where(rays[..., None], (0.36, 0.58, 0.74), (0.25, 0.44, 0.66))
    for radius, colour in (
        (0.25, (0.93, 0.62, 0.18)),
        (0.20, (0.98, 0.83, 0.34)),
        (0.14, (0.90, 0.42, 0.13)),
        (0.10, (0.99, 0.93, 0.62)),
    ):
        design[distance < radius] = colour
    hills = (
        (0.60, 0.09, 5.0, (0.42, 0.55, 0.26)),
        (0.68, 0.06, 9.0, (0.22, 0.40, 0.22)),
        (0.76, 0.03, 22.0, (0.12, 0.33, 0.52)),
        (0.83, 0.03, 26.0, (0.16, 0.50, 0.62)),
        (0.90, 0.03, 30.0, (0.86, 0.88, 0.84)),
        (0.95, 0.02, 34.0, (0.55, 0.16, 0.14)),
    )
    for base, swing, waves, colour in hills:
        design[y > base + swing * np.sin(x * waves)] = colour
    return design


if __name__ == "__main__":
    main()
