"""``impasto video CLIP STYLE``: stylize a film."""

from __future__ import annotations

import json
import math
import re
import shlex
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from impasto.base import files
from impasto.base.errors import ImageError, OutputError, RecipeError
from impasto.cli.inputs import weighted_style
from impasto.cli.interrupts import StopHandler, handle_stop_signals
from impasto.cli.keyframes import learn_keyframes
from impasto.cli.options import (
    debug_option,
    force_option,
    given,
    json_option,
    preset_option,
    recipe_options_without,
)
from impasto.cli.target import short_stem
from impasto.settings.methods import METHODS

if TYPE_CHECKING:
    from impasto.video.film import Film
    from impasto.video.progress import FilmProgress

EXCLUDED_SETTINGS = ("size", "mask", "print", "dpi", "init", "seamless", "enlarge", "work_size")
"""Settings that the command defines itself, or that have no meaning for it."""
FRAME_NUMBER = re.compile(r"[-_.]?%0?\d*d")
MAX_RATE = 1000
"""Frames per second."""
TIME_PATTERN = r"(?:\d+:){0,2}\d+(\.\d+)?"


@click.command
@click.argument("clip")
@click.argument("styles", nargs=-1, metavar="[STYLE ...]")
@click.option(
    "-o",
    "--output",
    metavar="OUT",
    help="A film (.mp4, .mov, .mkv, .webm, .gif), a folder, or a pattern of PNGs"
    " (frame-%04d.png). By default a new MP4 beside CLIP.",
)
@click.option(
    "--style",
    "named",
    multiple=True,
    metavar="NAME[:WEIGHT]",
    help="A built-in style (impasto styles), or a painting; may be repeated.",
)
@click.option(
    "--style-at",
    "styles_at",
    multiple=True,
    metavar="SECONDS:STYLE",
    help="A style from that time on; between two times, styles are blended. May be repeated.",
)
@click.option(
    "--stability",
    type=click.FloatRange(0, 1),
    default=0.9,
    show_default=True,
    help="Temporal stability: 0 paints frame by frame, 1 is the most stable.",
)
@click.option("--method", type=click.Choice(METHODS.names()), help="The algorithm.")
@preset_option
@click.option(
    "--size",
    type=click.IntRange(32, 8192),
    metavar="N",
    help="Long side of the film, px. By default its own.",
)
@click.option("--start", default="0", metavar="TIME", help="Where to begin: seconds, or 1:02:03.")
@click.option("--end", metavar="TIME", help="Where to end.")
@click.option(
    "--every", type=click.IntRange(1), default=1, metavar="N", help="Only every N-th frame."
)
@click.option("--rate", metavar="N", help="Frames per second of images; 25 by default.")
@click.option("--mask", metavar="FILE", help="An image or a film, white where to paint.")
@click.option("--codec", metavar="NAME", help="h264, hevc, vp9, av1, prores or ffv1.")
@click.option("--crf", type=int, metavar="N", help="The codec's quality; lower is better.")
@click.option(
    "--preview",
    type=click.IntRange(1, 100),
    metavar="N",
    help="Only paint N frames, and write a contact sheet.",
)
@click.option(
    "--keyframe",
    "keyframes",
    multiple=True,
    metavar="TIME:PAINTED",
    help="A painted frame of the film, and its time, to learn from instead of a style; may be"
    " repeated.",
)
@click.option(
    "--learn-time",
    metavar="TIME",
    help="Length of the training with the key frames; by default 3m, on a GPU 40s.",
)
@click.option(
    "--frames-for-keyframes",
    "proposed",
    type=click.IntRange(min=1),
    metavar="N",
    help="Only write the N frames that are best painted as key frames, as PNG files.",
)
@click.option("--resume", is_flag=True, help="Resume an interrupted film.")
@recipe_options_without(*EXCLUDED_SETTINGS)
@force_option
@json_option
@click.option("--quiet", is_flag=True, help="No progress on standard error.")
@debug_option
def video(
    clip: str,
    styles: tuple[str, ...],
    output: str | None,
    named: tuple[str, ...],
    styles_at: tuple[str, ...],
    stability: float,
    method: str | None,
    preset: str | None,
    size: int | None,
    start: str,
    end: str | None,
    every: int,
    rate: str | None,
    mask: str | None,
    codec: str | None,
    crf: int | None,
    preview: int | None,
    keyframes: tuple[str, ...],
    learn_time: str | None,
    proposed: int | None,
    resume: bool,
    force: bool,
    as_json: bool,
    quiet: bool,
    debug: bool,
    **settings: Any,
) -> int:
    """Stylize the film CLIP like STYLE, without flicker. Sound and subtitles are kept.

    CLIP is a film, a folder of images, or a pattern (frame-%04d.png). By the method instant;
    --method optimize, or a --preset, is for short films. Ctrl-C stops and keeps what is done;
    --resume goes on from there.
    """
    paintings = [weighted_style(style) for style in (*styles, *named)]
    later_styles = [_parse_style_at(text) for text in styles_at]
    chosen: dict[str, Any] = {**given(settings), **({"preset": preset} if preset else {})}
    if method is not None:
        chosen["method"] = method
    part = _parse_seconds(start), math.inf if end is None else _parse_seconds(end)
    frame_rate = None if rate is None else _parse_rate(rate)
    if proposed is not None:
        return _propose_keyframes(
            clip,
            output,
            proposed,
            part,
            frame_rate,
            should_replace=force,
            as_json=as_json,
        )
    all_styles = [*paintings, *(style for _, style in later_styles)]
    painted = [_parse_keyframe(text) for text in keyframes]
    if painted and (all_styles or method or preset):
        raise RecipeError("--keyframe takes the place of a style, a method and a preset")
    if learn_time is not None and not painted:
        raise RecipeError("--learn-time is for --keyframe")
    if painted:
        all_styles = [("keyframes", 1.0)]  # for the name of the film
    target = _output_path(clip, output, all_styles, preview, resume)
    with handle_stop_signals() as stop:
        from impasto.video.film import Film
        from impasto.video.frames import Cut

        cut = Cut(*part, every, size or 0)
        if painted:
            later_styles = learn_keyframes(
                clip,
                target,
                painted,
                cut,
                frame_rate,
                learn_time,
                stop,
                should_replace=force,
                can_reuse=resume,
                is_quiet=quiet,
            )
        film = Film(
            clip,
            paintings or None,
            target if preview is None else files.named(target, f".{target.stem}", ".mp4"),
            stability=stability,
            styles_at=later_styles,
            cut=cut,
            mask=mask,
            codec=codec if preview is None else None,
            crf=crf if preview is None else None,
            rate=frame_rate,
            resume=resume,
            force=force or preview is not None,
            **chosen,
        )
        if preview is not None:
            _write_preview(film, preview, target, should_replace=force)
            click.echo(json.dumps({"output": str(target)}) if as_json else str(target))
            return 0
        stop.start()
        last = _run_until_stopped(film, stop, is_quiet=quiet)
        stop.is_writing = True
        notes = film.finish()
        for note in notes:
            click.echo(note, err=True)
        if as_json:
            click.echo(json.dumps(_summary(film, last, notes)))
        else:
            click.echo(str(target))
        if stop.signal_number:
            hint = "; --resume goes on with it" if film.can_go_on else ""
            click.echo(f"stopped after {film.done} frames{hint}", err=True)
            return stop.exit_code
    return 0


def _propose_keyframes(
    clip: str,
    output: str | None,
    count: int,
    part: tuple[float, float],
    rate: Fraction | None,
    *,
    should_replace: bool,
    as_json: bool,
) -> int:
    """Write the frames to paint as key frames, and print the command that uses them.

    Args:
        clip: The film.
        output: A folder for the frames, or None for files beside the film.
        count: The number of frames.
        part: The start and end of the part of the film, seconds.
        rate: The frames per second of a sequence of images.
        should_replace: Whether existing files may be replaced.
        as_json: Whether to print the times and files as JSON.

    Returns:
        The exit code.
    """
    from impasto.images.write import Encoding, encode_image
    from impasto.video import keyframes
    from impasto.video.frames import Cut, as_image
    from impasto.video.read.opening import open_source

    source, cut = open_source(clip, None, rate), Cut(*part)
    folder = Path(clip).parent if output is None else Path(output)
    files.make_folder(folder)
    times = keyframes.propose(source, cut, count)
    paths = [folder / f"{short_stem(Path(clip))}_{time:.2f}s.png" for time in times]
    for path in paths:
        files.check_writable(path, force=should_replace)
    for time, path in zip(times, paths, strict=True):
        image = as_image(keyframes.frame_at(source, cut, time).pixels)
        files.write_atomically(path, encode_image(image, Encoding("png")))
    rows = [{"seconds": time, "file": str(path)} for time, path in zip(times, paths, strict=True)]
    if as_json:
        click.echo(json.dumps(rows))
        return 0
    for path in paths:
        click.echo(str(path))
    flags = " ".join(
        f"--keyframe {time:.2f}:{shlex.quote(str(path))}"
        for time, path in zip(times, paths, strict=True)
    )
    click.echo(f"paint them, then: impasto video {shlex.quote(clip)} {flags}", err=True)
    return 0


def _output_path(
    clip: str,
    output: str | None,
    styles: list[tuple[str, float]],
    preview: int | None,
    resume: bool,
) -> Path:
    """Return the output file, by default a new one beside the clip."""
    if output is not None:
        return Path(output)
    if not styles:
        raise RecipeError("no style image was given; at least one is needed")
    if not clip:
        raise ImageError("the name of the film is empty")
    source = Path(FRAME_NUMBER.sub("", clip)) if FRAME_NUMBER.search(clip) else Path(clip)
    if source.is_dir():  # "." has a name, too
        source = source.resolve()
    if not source.name:
        raise OutputError(f"a film of {clip} has no name of its own; give one with -o")
    name = f"{short_stem(source)}_{short_stem(Path(styles[0][0]))}"
    path = source.with_name(f"{name}.mp4" if preview is None else f"{name}_preview.jpg")
    return path if resume else files.free_name(path)


def _parse_style_at(text: str) -> tuple[float, tuple[str, float]]:
    """Return seconds and weighted style of ``"5:painting.jpg"``. Raises RecipeError."""
    found = re.fullmatch(rf"({TIME_PATTERN}):(.+)", text)
    if found is None:
        raise RecipeError(f"a style at a time is SECONDS:STYLE, as in 5:painting.jpg, not {text}")
    return _parse_seconds(found[1]), (found[3], 1.0)


def _parse_keyframe(text: str) -> tuple[float, str]:
    """Return seconds and file of ``"4.5:painted.png"``. Raises RecipeError."""
    found = re.fullmatch(rf"({TIME_PATTERN}):(.+)", text)
    if found is None:
        raise RecipeError(f"a key frame is SECONDS:PAINTED, as in 4.5:painted.png, not {text}")
    return _parse_seconds(found[1]), found[3]


def _parse_seconds(text: str) -> float:
    """Return the seconds of ``"90"``, ``"1:30"`` or ``"0:01:30"``. Raises RecipeError."""
    if not re.fullmatch(TIME_PATTERN, text.strip()):
        raise RecipeError(f"a time is seconds or 1:02:03, not {text}")
    total = 0.0
    for part in text.split(":"):
        total = total * 60 + float(part)
    return total


def _parse_rate(text: str) -> Fraction:
    """Return the rate of ``"25"``, ``"29.97"`` or ``"30000/1001"``. Raises RecipeError."""
    try:
        rate = Fraction(text)
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if not 0 < rate <= MAX_RATE:
        raise RecipeError(f"a rate is a number of frames a second, as 25 or 30000/1001, not {text}")
    return rate


def _run_until_stopped(film: Film, stop: StopHandler, *, is_quiet: bool) -> FilmProgress | None:
    """Paint the film until its end or a stop signal. Returns the last progress event."""
    from impasto.cli.console import film_display

    last = None
    with film_display(is_quiet=is_quiet) as display:
        for last in film:
            display.show(last)
            if stop.signal_number:
                break
    return last


def _summary(film: Film, last: FilmProgress | None, notes: list[str]) -> dict[str, Any]:
    """Return what ``--json`` prints."""
    return {
        "output": str(film.output),
        "width": film.width,
        "height": film.height,
        "frames": film.done,
        "skipped": film.missing,
        "seconds": None if last is None else round(last.seconds, 2),
        "frames_per_second": None if last is None else round(last.frame_rate, 2),
        "complete": film.complete,
        "notes": [*film.notes, *notes],
    }


def _write_preview(film: Film, count: int, target: Path, *, should_replace: bool) -> None:
    """Write a sheet of some frames, each above its stylized version."""
    from PIL import Image

    from impasto.images.sheet import Panel, contact_sheet
    from impasto.images.write import Encoding, encode_image, format_for
    from impasto.video.previews import previews

    encoding = Encoding(format_for(target))
    files.check_writable(target, force=should_replace)
    pairs = previews(film, count)
    rows = [[Panel(Image.fromarray(pair[row])) for pair in pairs] for row in (0, 1)]
    files.write_atomically(target, encode_image(contact_sheet(rows), encoding))
