"""Films: how steady, how sharp, how fast, and how much memory, from file to file.

    python benchmarks/video.py [--seconds 4] [--keep FOLDER] [--output FILE.json]
    python benchmarks/video.py --example docs/images/video

Three clips of 640×360 px are made: a panning photo with something moving before it, a still scene
with a sensor's noise, and a cut between the two; painted frame by frame and steady. Then 640×360
and 1920×1080 for speed and memory, each in a process of its own, and a clip four times as long,
whose memory should be the same. ``--keep`` leaves the films, and strips and x–t slices of them.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import common
import cv2
import numpy as np
from PIL import Image

from impasto.base import devices

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import clips  # type: ignore[import-not-found]

PHOTO = common.EXAMPLES / "photos/coffee.png"
FOREGROUND = common.EXAMPLES / "photos/chelsea.png"
PAINTINGS = (
    common.EXAMPLES / "paintings/cafe_terrace.webp",
    common.EXAMPLES / "paintings/harvest.webp",
)
WIDTH, HEIGHT = 640, 360
RATE = 25
WARPING_TARGET, SHARPNESS_TARGET, FLICKER_TARGET = 0.5, 0.95, 0.3
STEADY_RATE, PLAIN_RATE, MOST_MB = 20, 30, 1500
EXAMPLE_SIZE = 480, 270
EXAMPLE_STYLE = common.EXAMPLES / "paintings/church_at_auvers.webp"
SIZES = "640x360,640x360,1920x1080"
LENGTHS = (2, 8, None)
"""Clip length for each of the sizes, in units of ``--seconds``; None means 40 frames."""
STEADY = """
Steady over frame by frame. Targets: warping error under {}, sharpness over {}, flicker of the noise
under {}.
"""
FAST = """
Targets: 640×360 {} frames/s steady and {} without, on two cores with AMX; 1920×1080 under {} MB.
"""
STRIP = (10, 30, 50, 70)
RUN = """
import json, sys
from impasto.base import devices
from impasto.cli.app import main
try:
    main(sys.argv[1:])
finally:
    print(json.dumps({"rss_mb": devices.peak_rss_mb()}))
"""


def photo(path: Path, width: int, height: int) -> np.ndarray:
    """A photo that covers that size, 1.5 times."""
    image = Image.open(path).convert("RGB")
    factor = 1.5 * max(width / image.width, height / image.height)
    size = round(image.width * factor), round(image.height * factor)
    return np.asarray(image.resize(size, Image.Resampling.LANCZOS))


def make_clips(folder: Path, frames: int) -> dict[str, Path]:
    """The three clips, lossless, so that their noise is a sensor's and not an encoder's."""
    still = photo(PHOTO, WIDTH, HEIGHT)
    disc = photo(FOREGROUND, HEIGHT // 3, HEIGHT // 3)
    pan = list(clips.panning(still, disc, WIDTH, HEIGHT, frames))
    noise = list(clips.noisy(still[100 : 100 + HEIGHT, 100 : 100 + WIDTH], 2 * frames))
    made = {"pan": pan, "noise": noise, "cut": [*pan[: frames // 2], *noise[: frames // 2]]}
    return {
        name: clips.write(folder / f"{name}.mp4", pictures, sound=True, options={"qp": "0"})
        for name, pictures in made.items()
    }


def run(*arguments: object) -> dict[str, Any]:
    """``impasto video`` in a process of its own: what it says, and its peak memory."""
    command = [sys.executable, "-c", RUN, *map(str, arguments), "--quiet", "--json", "--force"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    *_, said, memory = done.stdout.strip().splitlines()
    return {**json.loads(said), **json.loads(memory)}


def steadiness(folder: Path, clip: Path, painting: Path) -> dict[str, Any]:
    """A clip frame by frame and steady, measured."""
    films = {}
    for name, stability in (("plain", "0"), ("steady", "0.9")):
        films[name] = folder / f"{clip.stem}_{painting.stem}_{name}.mp4"
        run("video", clip, painting, "-o", films[name], "--stability", stability, "--crf", "1")
    told = subprocess.run(
        [
            *(sys.executable, "-m", "impasto", "evaluate", str(films["steady"]), "--video"),
            *("--content", str(clip), "--reference", str(films["plain"]), "--json"),
        ],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    after = json.loads(told.stdout)
    before = after.pop("reference")
    ratios = {
        name: after[name] / before[name] if before[name] else None
        for name in ("warping_error", "frame_difference", "flicker", "sharpness")
    }
    return {"clip": clip.stem, "painting": painting.stem, "plain": before, "steady": after,
            "ratios": ratios}  # fmt: skip


def speed(folder: Path, width: int, height: int, frames: int) -> list[dict[str, Any]]:
    """File to file, with stability and without."""
    still = photo(PHOTO, width, height)
    disc = photo(FOREGROUND, height // 3, height // 3)
    source = clips.write(
        folder / f"{width}x{height}_{frames}.mp4",
        clips.panning(still, disc, width, height, frames), sound=True,
        options={"preset": "fast"},
    )  # fmt: skip
    rows = []
    for stability in ("0.9", "0"):
        output = folder / f"speed_{width}_{stability}.mp4"
        told = run("video", source, PAINTINGS[0], "-o", output, "--stability", stability)
        rows.append(
            {"size": f"{width}×{height}", "frames": frames, "stability": float(stability),
             "frames_per_second": told["frames_per_second"], "rss_mb": round(told["rss_mb"])}
        )  # fmt: skip
    return rows


def example(folder: Path) -> None:
    """The clip of the docs, with sound, and how it looks painted."""
    folder.mkdir(parents=True, exist_ok=True)
    width, height = EXAMPLE_SIZE
    still, disc = photo(PHOTO, width, height), photo(FOREGROUND, height // 3, height // 3)
    source = clips.write(
        folder / "clip.mp4", clips.panning(still, disc, width, height, 4 * RATE), sound=True,
        options={"crf": "26"},
    )  # fmt: skip
    run("video", source, EXAMPLE_STYLE, "-o", folder / "painted.mp4", "--crf", "30")


def pictures(path: Path) -> list[np.ndarray]:
    from impasto.video.read.opening import open_source  # noqa: PLC0415, after the runs

    return [frame.pixels for frame in open_source(str(path), None).frames()]


def strips(folder: Path, clip: str, painting: Path) -> Image.Image:
    """Frames of the source, frame by frame and steady; and below each x–t slice: how the middle row
    changes over time, downwards.
    """
    films = [folder / f"{clip}.mp4"]
    films += [folder / f"{clip}_{painting.stem}_{name}.mp4" for name in ("plain", "steady")]
    columns = []
    for film in films:
        frames = pictures(film)
        shown = [cv2.resize(frames[i], (320, 180), interpolation=cv2.INTER_AREA)
                 for i in STRIP if i < len(frames)]  # fmt: skip
        detail = frames[min(50, len(frames) - 1)][90:270, 200:520]
        slice_ = np.stack([frame[HEIGHT // 2] for frame in frames])
        slice_ = cv2.resize(slice_[:, 160:480], (320, 270), interpolation=cv2.INTER_NEAREST)
        columns.append(np.concatenate([*shown[1:3], detail, slice_]))
    return Image.fromarray(np.concatenate(columns, axis=1))


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--clips", default="pan,noise,cut")
    parser.add_argument("--paintings", type=int, default=len(PAINTINGS))
    parser.add_argument("--sizes", default=SIZES, help="WIDTHxHEIGHT,… for the speed table")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="leave the films there")
    parser.add_argument("--example", type=Path, metavar="FOLDER", help="only the docs' clip")
    arguments = parser.parse_args()
    if arguments.example:
        example(arguments.example)
        return
    frames = round(arguments.seconds * RATE)
    with tempfile.TemporaryDirectory() as name:
        folder = arguments.keep or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        print(f"{devices.machine()}\n")
        print("| clip | painting | warping error | frame difference | flicker | sharpness |")
        print("|---|---|---|---|---|---|")
        rows = []
        made = make_clips(folder, frames)
        for clip in (made[name] for name in arguments.clips.split(",")):
            for painting in PAINTINGS[: arguments.paintings]:
                row = steadiness(folder, clip, painting)
                rows.append(row)
                shown = [
                    "–" if ratio is None else f"{ratio:.3f}" for ratio in row["ratios"].values()
                ]
                print(f"| {clip.stem} | {painting.stem} | {' | '.join(shown)} |", flush=True)
                if arguments.keep:
                    sheet = strips(folder, clip.stem, painting)
                    sheet.save(folder / f"{clip.stem}_{painting.stem}.jpg", quality=90)
        print(STEADY.format(WARPING_TARGET, SHARPNESS_TARGET, FLICKER_TARGET))
        print("| size | frames | stability | frames/s | peak MB |\n|---|---|---|---|---|")
        rates = []
        for size, length in zip(arguments.sizes.split(","), LENGTHS, strict=False):
            width, height = map(int, size.split("x"))
            count = 40 if length is None else frames * length
            for row in speed(folder, width, height, count):
                rates.append(row)
                print("| " + " | ".join(str(value) for value in row.values()) + " |", flush=True)
        print(FAST.format(STEADY_RATE, PLAIN_RATE, MOST_MB))
    common.finish(arguments, {"steadiness": rows, "speed": rates})


if __name__ == "__main__":
    main()
