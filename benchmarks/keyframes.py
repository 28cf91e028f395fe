"""Films made from key frames, compared with films made by the method instant.

    python benchmarks/keyframes.py [--seconds 3] [--learn-time 3m] [--keep FOLDER]

The clip is a panning photo with a moving object in front of it. Frames are stylized with the preset
studio. Some of them are the key frames; the others, halfway between key frames, are held out. The
films are compared with the held-out frames, as in benchmarks/pairs.py, and by their warping error.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import common
import numpy as np
import pairs
import video
from PIL import Image

import impasto
from impasto.base import devices
from impasto.images.sheet import Panel, contact_sheet
from impasto.video.frames import WHOLE
from impasto.video.keyframes import frame_at
from impasto.video.read.opening import open_source

PAINTING = common.EXAMPLES / "paintings/cafe_terrace.webp"


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--painting", type=Path, default=PAINTING)
    parser.add_argument("--preset", default="studio", help="preset of the painted frames")
    parser.add_argument("--seconds", type=float, default=3, help="length of the clip")
    parser.add_argument("--count", type=int, default=2, help="number of key frames")
    parser.add_argument("--learn-time", default="3m", help="length of the training")
    parser.add_argument(
        "--keep", type=Path, metavar="FOLDER", help="folder in which the films are kept"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = arguments.keep or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        print(f"{devices.machine()}\n")
        common.finish(arguments, measured(folder, arguments))


def measured(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Make the films, and return their measurements."""
    clip = video.make_clips(folder, round(arguments.seconds * video.RATE))["pan"]
    last = arguments.seconds - 2 / video.RATE
    times = np.linspace(0, last, 2 * arguments.count - 1).round(2).tolist()
    key_times, held_out = times[::2], times[1::2]
    painted = {
        time: paint(frame(clip, time), arguments.painting, arguments.preset) for time in times
    }
    keys: list[object] = []
    for time in key_times:
        path = folder / f"key_{time:.2f}.png"
        Image.fromarray(painted[time]).save(path)
        keys += ["--keyframe", f"{time}:{path}"]
    films = folder / "keyframes.mp4", folder / "instant.mp4"
    video.run("video", clip, *keys, "--learn-time", arguments.learn_time, "-o", films[0])
    instant = ["--method", "instant", "--stability", "0"]
    video.run("video", clip, arguments.painting, *instant, "-o", films[1])
    rows = {}
    columns = [[frame(clip, time) for time in held_out], [painted[time] for time in held_out]]
    for path in films:
        pictures = [frame(path, time) for time in held_out]
        columns.append(pictures)
        errors = [
            pairs.differences(picture, painted[time])
            for picture, time in zip(pictures, held_out, strict=True)
        ]
        means = [statistics.fmean(column) for column in zip(*errors, strict=True)]
        rows[path.stem] = {
            **dict(zip(("lab", "tone", "features"), means, strict=True)),
            **evaluated(clip, path),
        }
        print(path.stem, {key: round(value, 4) for key, value in rows[path.stem].items()})
    if arguments.keep:
        sheet = [
            [Panel(Image.fromarray(image)) for image in row] for row in zip(*columns, strict=True)
        ]
        labels = ("frame", "studio", "key frames", "instant")
        contact_sheet(sheet, column_labels=labels).save(folder / "keyframes.png")
    return {"key frames": key_times, "held out": held_out, **rows}


def paint(pixels: np.ndarray, painting: Path, preset: str) -> np.ndarray:
    """Return a stylized frame, (H, W, 3), uint8."""
    size = max(pixels.shape[:2])
    return np.asarray(impasto.stylize(pixels, str(painting), preset=preset, size=size).image)


def frame(film: Path, time: float) -> np.ndarray:
    """Return the frame of a film at a time, (H, W, 3), uint8."""
    return np.ascontiguousarray(frame_at(open_source(str(film), None), WHOLE, time).pixels[..., :3])


def evaluated(clip: Path, film: Path) -> dict[str, float]:
    """Return the warping error and the sharpness of a film."""
    command = [sys.executable, "-m", "impasto", "evaluate", film, "--video", "--content", clip]
    process = subprocess.run(
        [*map(str, command), "--json"], capture_output=True, text=True, check=True
    )
    figures = json.loads(process.stdout)
    return {name: figures[name] for name in ("warping_error", "sharpness")}


if __name__ == "__main__":
    main()
