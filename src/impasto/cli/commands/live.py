"""``impasto live SOURCE SINK``: stylize live pictures."""

from __future__ import annotations

import json
import math
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from impasto.base import files
from impasto.base.errors import ImpastoError, RecipeError
from impasto.cli.inputs import weighted_style
from impasto.cli.interrupts import handle_stop_signals
from impasto.cli.options import debug_option, force_option, given, json_option, setting_range

if TYPE_CHECKING:
    from impasto.live.session import LiveProgress
    from impasto.live.stylist import Stylist

SECONDS_BETWEEN_LINES = 5.0
DEFAULT_RATE = 25.0
"""Pictures per second of a source that doesn't tell its rate."""


@click.command
@click.argument("source")
@click.argument("sink")
@click.option(
    "--style",
    "styles",
    multiple=True,
    required=True,
    metavar="NAME[:WEIGHT]",
    help="A built-in style (impasto styles), or a painting; several are blended.",
)
@click.option(
    "--rate",
    type=click.FloatRange(1, 120),
    metavar="N",
    help="Target rate, pictures per second; the size is adapted to it. By default the source's.",
)
@click.option(
    "--size", type=click.IntRange(64, 4096), metavar="N", help="Largest long side to paint at, px."
)
@click.option("--stability", type=click.FloatRange(0, 1), default=0.9, show_default=True)
@click.option("--strength", type=setting_range("strength"), help="Strength of the style.")
@click.option("--style-scale", type=setting_range("style_scale"), help="Size of the strokes.")
@click.option("--seconds", type=click.FloatRange(0), metavar="N", help="Stop after N seconds.")
@force_option
@json_option
@click.option("--quiet", is_flag=True, help="No progress on standard error.")
@debug_option
def live(
    source: str,
    sink: str,
    styles: tuple[str, ...],
    rate: float | None,
    size: int | None,
    stability: float,
    strength: float | None,
    style_scale: float | None,
    seconds: float | None,
    force: bool,
    as_json: bool,
    quiet: bool,
    debug: bool,
) -> int:
    """Stylize live pictures and send them to SINK.

    SOURCE is camera, camera:1, screen, a file (played in real time), or an address (rtsp,
    rtmp, udp, http …). SINK is window, studio (the Live tab of one that runs here, or
    studio:ADDRESS), a file, an address (rtmp, udp, rtsp, srt …), or a virtual camera (/dev/video9).
    Pictures are left out if there is no time for them, so that what is shown is never late.

    It reads commands from standard input: style NAME, strength 0.5, strokes 1.5, quit.
    """
    settings = given({"strength": strength, "style_scale": style_scale})
    with handle_stop_signals() as stop:
        from impasto.live.window import Window

        # A window has to be opened before PyAV is imported, see there.
        window = Window() if sink == "window" else None
        from impasto.live.session import stylize_live
        from impasto.live.sinks import open_sink
        from impasto.live.sources import LiveSource
        from impasto.live.stylist import Stylist

        stylist = Stylist(
            [weighted_style(style) for style in styles],
            size=size or 0,
            stability=stability,
            **settings,
        )
        files.check_apart(Path(sink), Path(source))
        pictures = LiveSource(source)
        first = pictures.start()
        target_rate = rate or pictures.rate or DEFAULT_RATE
        output = window or open_sink(sink, target_rate, should_replace=force)
        stylist.painted(first.pixels)  # the first picture takes the longest
        stylist.rate = target_rate
        commands = CommandReader(stylist)
        stop.start()
        start_time = time.monotonic()
        last, last_line_time = None, 0.0
        try:
            for last in stylize_live(pictures, stylist, output):
                now = time.monotonic()
                if not quiet and (last.message or now - last_line_time > SECONDS_BETWEEN_LINES):
                    click.echo(_progress_line(last), err=True)
                    last_line_time = now
                is_over_time = seconds and now - start_time > seconds
                if stop.signal_number or commands.should_quit or is_over_time:
                    break
        finally:
            pictures.close()
            stop.is_writing = True
            output.close()
        if pictures.failure is not None and (last is None or not last.shown):
            raise pictures.failure
        if as_json:
            summary = _summary(last, time.monotonic() - start_time, pictures.damaged_count)
            click.echo(json.dumps(summary))
    return 0


class CommandReader:
    """Reads commands from standard input, in a thread, and applies them to a stylist.

    Attributes:
        should_quit: Whether the command ``quit`` was read.
    """

    def __init__(self, stylist: Stylist) -> None:
        self.stylist, self.should_quit = stylist, False
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in sys.stdin:
            word, _, value = line.strip().partition(" ")
            if word in ("quit", "q"):
                self.should_quit = True
            elif word:
                try:
                    self._apply(word, value.strip())
                except ImpastoError as error:
                    click.echo(str(error), err=True)

    def _apply(self, word: str, value: str) -> None:
        from impasto.live.stylist import ORDERS, setting

        if word == "style" and value:
            self.stylist.change(style=[weighted_style(value)])
        elif word in ORDERS:
            self.stylist.change(**setting(word, _parse_number(value)))
        else:
            raise RecipeError("an order is style NAME, strength X, strokes X or quit")


def _parse_number(text: str) -> float:
    """Return a number, or NaN, which every setting refuses, if the text isn't one."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def _progress_line(progress: LiveProgress) -> str:
    message = f"{progress.message}  " if progress.message else ""
    return (
        f"{message}{progress.rate:.1f} pictures/s, {progress.latency * 1000:.0f} ms,"
        f" painted at {progress.side} px, {progress.dropped} left out"
    )


def _summary(last: LiveProgress | None, seconds: float, damaged: int) -> dict[str, Any]:
    """Return what ``--json`` prints."""
    totals = {"damaged": damaged, "seconds": round(seconds, 2)}
    if last is None:
        return {"shown": 0, "dropped": 0, **totals}
    return {
        "shown": last.shown,
        "dropped": last.dropped,
        **totals,
        "rate": round(last.rate, 2),
        "latency_ms": round(last.latency * 1000, 1),
        "side": last.side,
    }
