"""``impasto video CLIP STYLE``: a film in another style."""

from __future__ import annotations

import json
import math
import re
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from impasto.base import files
from impasto.base.errors import ImageError, OutputError, RecipeError
from impasto.cli.console import film_display
from impasto.cli.options import (
    debug_option,
    force_option,
    given,
    json_option,
    preset_option,
    recipe_options_without,
)
from impasto.cli.running import Stop, stoppable
from impasto.cli.stylize import weighted_style
from impasto.cli.target import short_stem

if TYPE_CHECKING:
    from impasto.video.film import Film, FilmProgress

OWN = ("size", "mask", "print", "dpi", "init", "seamless", "enlarge", "work_size")
"""Settings that are the command's own, or mean nothing to it."""
NUMBER = re.compile(r"[-_.]?%0?\d*d")
MOST_RATE = 1000
TIME = r"(?:\d+:){0,2}\d+(\.\d+)?"


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
    help="A style from that time on; between two of them they are blended. May be repeated.",
)
@click.option(
    "--stability",
    type=click.FloatRange(0, 1),
    default=0.9,
    show_default=True,
    help="0: frame by frame; 1: as steady as can be.",
)
@click.option("--method", type=click.Choice(["instant", "optimize"]), help="The algorithm.")
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
@click.option("--rate", metavar="N", help="Frames a second of a sequence of images; 25.")
@click.option("--mask", metavar="FILE", help="An image or a film, white where to paint.")
@click.option("--codec", metavar="NAME", help="h264, hevc, vp9, av1, prores or ffv1.")
@click.option("--crf", type=int, metavar="N", help="The codec's quality; less is better.")
@click.option(
    "--preview",
    type=click.IntRange(1, 100),
    metavar="N",
    help="Only paint N frames, on a contact sheet.",
)
@click.option("--resume", is_flag=True, help="Go on with one that was interrupted.")
@recipe_options_without(*OWN)
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
    resume: bool,
    force: bool,
    as_json: bool,
    quiet: bool,
    debug: bool,
    **settings: Any,
) -> int:
    """Paint the film CLIP as STYLE is painted, without flicker, its sound and subtitles kept.

    CLIP is a film, a folder of images, or a pattern (frame-%04d.png). By the method instant;
    --method optimize, or a --preset, is for short films. Ctrl-C stops and keeps what is done;
    --resume goes on from there.
    """
    paintings = [weighted_style(style) for style in (*styles, *named)]
    keys = [_key(text) for text in styles_at]
    chosen: dict[str, Any] = {**given(settings), **({"preset": preset} if preset else {})}
    if method is not None:
        chosen["method"] = method
    target = _target(clip, output, [*paintings, *(style for _, style in keys)], preview, resume)
    with stoppable() as stop:
        from impasto.video.film import Film
        from impasto.video.frames import Cut

        film = Film(
            clip,
            paintings or None,
            target if preview is None else files.named(target, f".{target.stem}", ".mp4"),
            stability=stability,
            styles_at=keys,
            cut=Cut(_seconds(start), math.inf if end is None else _seconds(end), every, size or 0),
            mask=mask,
            codec=codec if preview is None else None,
            crf=crf if preview is None else None,
            rate=None if rate is None else _rate(rate),
            resume=resume,
            force=force or preview is not None,
            **chosen,
        )
        if preview is not None:
            _write_sheet(film, preview, target, force=force)
            click.echo(json.dumps({"output": str(target)}) if as_json else str(target))
            return 0
        stop.start()
        last = _drain(film, stop, quiet=quiet)
        stop.writing = True
        notes = film.finish()
        for note in notes:
            click.echo(note, err=True)
        if as_json:
            click.echo(json.dumps(_summary(film, last, notes)))
        else:
            click.echo(str(target))
        if stop.signal_number:
            more = "; --resume goes on with it" if film.can_go_on else ""
            click.echo(f"stopped after {film.done} frames{more}", err=True)
            return stop.exit_code
    return 0


def _target(
    clip: str,
    output: str | None,
    styles: list[tuple[str, float]],
    preview: int | None,
    resume: bool,
) -> Path:
    """Where it goes: by default beside the clip."""
    if output is not None:
        return Path(output)
    if not styles:
        raise RecipeError("no style image was given; at least one is needed")
    if not clip:
        raise ImageError("the name of the film is empty")
    source = Path(NUMBER.sub("", clip)) if NUMBER.search(clip) else Path(clip)
    if source.is_dir():  # "." has a name, too
        source = source.resolve()
    if not source.name:
        raise OutputError(f"a film of {clip} has no name of its own; give one with -o")
    name = f"{short_stem(source)}_{short_stem(Path(styles[0][0]))}"
    path = source.with_name(f"{name}.mp4" if preview is None else f"{name}_preview.jpg")
    return path if resume else files.free_name(path)


def _key(text: str) -> tuple[float, tuple[str, float]]:
    """``"5:painting.jpg"`` → seconds and the style. Raises RecipeError."""
    found = re.fullmatch(rf"({TIME}):(.+)", text)
    if found is None:
        raise RecipeError(f"a style at a time is SECONDS:STYLE, as in 5:painting.jpg, not {text}")
    return _seconds(found[1]), (found[3], 1.0)


def _seconds(text: str) -> float:
    """``"90"``, ``"1:30"`` and ``"0:01:30"`` → 90.0. Raises RecipeError."""
    if not re.fullmatch(TIME, text.strip()):
        raise RecipeError(f"a time is seconds or 1:02:03, not {text}")
    total = 0.0
    for part in text.split(":"):
        total = total * 60 + float(part)
    return total


def _rate(text: str) -> Fraction:
    """``"25"``, ``"29.97"`` or ``"30000/1001"``. Raises RecipeError."""
    try:
        rate = Fraction(text)
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if not 0 < rate <= MOST_RATE:
        raise RecipeError(f"a rate is a number of frames a second, as 25 or 30000/1001, not {text}")
    return rate


def _drain(film: Film, stop: Stop, *, quiet: bool) -> FilmProgress | None:
    """Make the film, until it is done or a signal comes."""
    last = None
    with film_display(quiet=quiet) as shown:
        for last in film:
            shown.show(last)
            if stop.signal_number:
                break
    return last


def _summary(film: Film, last: FilmProgress | None, notes: list[str]) -> dict[str, Any]:
    """What ``--json`` prints."""
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


def _write_sheet(film: Film, count: int, target: Path, *, force: bool) -> None:
    """Some frames, and below each how it looks painted."""
    from PIL import Image

    from impasto.images.sheet import Panel, contact_sheet
    from impasto.images.write import Encoding, encode_image, format_for
    from impasto.video.film import previews

    encoding = Encoding(format_for(target))
    files.check_writable(target, force=force)
    pairs = previews(film, count)
    rows = [[Panel(Image.fromarray(pair[row])) for pair in pairs] for row in (0, 1)]
    files.write_atomically(target, encode_image(contact_sheet(rows), encoding))
