"""``impasto live SOURCE SINK``: live pictures in another style."""

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
from impasto.cli.options import debug_option, force_option, json_option
from impasto.cli.running import stoppable
from impasto.cli.stylize import weighted_style

if TYPE_CHECKING:
    from impasto.live.live import LiveProgress
    from impasto.live.stylist import Stylist

LINE_EVERY_S = 5.0


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
    help="Pictures a second that are wanted: they are painted as large as there is time for. By"
    " default the source's.",
)
@click.option(
    "--size", type=click.IntRange(64, 4096), metavar="N", help="Long side to paint at most, px."
)
@click.option("--stability", type=click.FloatRange(0, 1), default=0.9, show_default=True)
@click.option("--strength", type=click.FloatRange(0), help="How strong the style is.")
@click.option("--style-scale", type=click.FloatRange(0.1, 10), help="Size of the strokes.")
@click.option("--seconds", type=click.FloatRange(0), metavar="N", help="Stop after so long.")
@force_option
@json_option
@click.option("--quiet", is_flag=True, help="Nothing on standard error.")
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
    """Paint live pictures as they come, and send them on.

    SOURCE is camera, camera:1, screen, a file (played as if it were live), or an address (rtsp,
    rtmp, udp, http …). SINK is window, studio (the Live tab of one that runs here, or
    studio:ADDRESS), a file, an address (rtmp, udp, rtsp, srt …), or a virtual camera (/dev/video9).
    Pictures that there is no time for are left out, so that what is shown is never late.

    While it runs it reads orders from standard input: style NAME, strength 0.5, strokes 1.5, quit.
    """
    given = {"strength": strength, "style_scale": style_scale}
    settings = {name: value for name, value in given.items() if value is not None}
    with stoppable() as stop:
        from impasto.live.window import Window

        window = Window() if sink == "window" else None  # first of all: see there
        from impasto.live.live import live as run
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
        wanted = rate or pictures.rate or 25.0
        shown = window or open_sink(sink, wanted, force=force)
        stylist.painted(first.pixels)  # the first one takes longest
        stylist.rate = wanted
        orders = Orders(stylist)
        stop.start()
        started = time.monotonic()
        last, said = None, 0.0
        try:
            for last in run(pictures, stylist, shown):
                now = time.monotonic()
                if not quiet and (last.message or now - said > LINE_EVERY_S):
                    click.echo(_line(last), err=True)
                    said = now
                if stop.signal_number or orders.quit or (seconds and now - started > seconds):
                    break
        finally:
            pictures.close()
            stop.writing = True
            shown.close()
        if pictures.failure is not None and (last is None or not last.shown):
            raise pictures.failure
        if as_json:
            summary = _summary(last, time.monotonic() - started, pictures.damaged)
            click.echo(json.dumps(summary))
    return 0


class Orders:
    """Lines on standard input, heard in a thread."""

    def __init__(self, stylist: Stylist) -> None:
        self.stylist, self.quit = stylist, False
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        for line in sys.stdin:
            word, _, value = line.strip().partition(" ")
            if word in ("quit", "q"):
                self.quit = True
            elif word:
                try:
                    self._obey(word, value.strip())
                except ImpastoError as error:
                    click.echo(str(error), err=True)

    def _obey(self, word: str, value: str) -> None:
        from impasto.live.stylist import ORDERS, setting

        if word == "style" and value:
            self.stylist.change(style=[weighted_style(value)])
        elif word in ORDERS:
            self.stylist.change(**setting(word, _number(value)))
        else:
            raise RecipeError("an order is style NAME, strength X, strokes X or quit")


def _number(text: str) -> float:
    """What is none becomes one that is refused."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def _line(progress: LiveProgress) -> str:
    said = f"{progress.message}  " if progress.message else ""
    return (
        f"{said}{progress.rate:.1f} pictures/s, {progress.latency * 1000:.0f} ms,"
        f" painted at {progress.side} px, {progress.dropped} left out"
    )


def _summary(last: LiveProgress | None, seconds: float, damaged: int) -> dict[str, Any]:
    """What ``--json`` prints."""
    always = {"damaged": damaged, "seconds": round(seconds, 2)}
    if last is None:
        return {"shown": 0, "dropped": 0, **always}
    return {
        "shown": last.shown,
        "dropped": last.dropped,
        **always,
        "rate": round(last.rate, 2),
        "latency_ms": round(last.latency * 1000, 1),
        "side": last.side,
    }
