"""In a notebook (Jupyter, VS Code, Colab): pictures as they form, and beside each other.

>>> from impasto import notebook
>>> result = notebook.watch(impasto.iterate("photo.jpg", "painting.jpg"))
>>> notebook.wipe("photo.jpg", result)
"""

from __future__ import annotations

import base64
import importlib
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from PIL import Image

from impasto.base.errors import ImpastoError
from impasto.images import write
from impasto.images.read import Source, read
from impasto.runs.history import History
from impasto.runs.progress import Progress
from impasto.runs.result import Result
from impasto.views import html, plots

REDRAW_S = 0.5
WATCHED_PX = 512
"""Long side of the picture that is redrawn."""
SHOWN_PX = 768
"""Of pictures side by side and under a wipe: notebooks are kept in files."""


class Html:
    """A piece of HTML that a notebook shows."""

    def __init__(self, text: str) -> None:
        self.text = text

    def _repr_html_(self) -> str:
        return self.text


def watch(events: Iterable[Progress], *, every: float = REDRAW_S) -> Result:
    """Run to the end and show the picture as it forms, its loss curve and how long it takes still,
    redrawn in place every so many seconds. Interrupting the cell stops the run and keeps the
    picture: the Result is returned all the same.

    Raises ImpastoError: there is no IPython, which comes with every notebook.
    """
    display = _display()
    history = History()
    shown = display(Html("<p>starting …</p>"), display_id=True)
    last: Progress | None = None
    drawn, stopped = 0.0, ""
    try:
        for last in history.keep(events):
            if time.monotonic() - drawn > every:
                shown.update(Html(_state(last, history)))
                drawn = time.monotonic()
    except KeyboardInterrupt:
        stopped = "stopped: "
    if last is None:
        raise KeyboardInterrupt
    shown.update(Html(_state(last, history, stopped or "done: ")))
    return last.result()


def _state(progress: Progress, history: History, word: str = "") -> str:
    image = progress.image.convert("RGB")
    image.thumbnail((WATCHED_PX, WATCHED_PX))
    eta = "" if word or progress.eta == float("inf") else f", {progress.eta:.0f} s left"
    words = f"{word}step {progress.step} of {progress.steps}, {progress.seconds:.1f} s{eta}"
    has_curve = len(history.points) > 1
    return html.progress(image, words, plots.losses(history, width=4.5) if has_curve else None)


def side_by_side(*images: Source | Result, titles: Iterable[str] = ()) -> Html:
    """Pictures (anything that ``impasto.read`` takes, or Results) in a row."""
    names = [*titles, *([""] * len(images))]
    shown = {names[index] or f"{index + 1}": _image(image) for index, image in enumerate(images)}
    return Html(html.side_by_side(shown))


def wipe(before: Source | Result, after: Source | Result) -> Html:
    """Two pictures with a slider between them, which works in the saved notebook too."""
    return Html(html.wipe(_image(before), _image(after)))


def losses_plot(history: History, **settings: Any) -> Any:
    """The curves of a run's losses: ``impasto.views.plots.losses``."""
    return plots.losses(history, **settings)


def download(result: Result, name: str = "stylized.png") -> Html | None:
    """Hand the picture to the person: Colab's download there, elsewhere a link to click."""
    path = Path(name)
    data = result.encode(write.format_for(path))
    try:
        colab = importlib.import_module("google.colab.files")
    except ImportError:
        address = f"data:application/octet-stream;base64,{base64.b64encode(data).decode()}"
        text = f"Download {name} ({len(data) / 1e6:.1f} MB)"
        return Html(html.download_link(address, name, text))
    path.write_bytes(data)
    colab.download(name)
    return None


def _image(source: Source | Result) -> Image.Image:
    if isinstance(source, Result):
        image = source.image
    else:
        image = Image.fromarray(write.quantize(plots.array(read(source)), 8))
    image = image.convert("RGB")
    image.thumbnail((SHOWN_PX, SHOWN_PX))
    return image


def _display() -> Any:
    try:
        return importlib.import_module("IPython.display").display
    except ImportError:
        raise ImpastoError("there is no IPython here; impasto.notebook is for notebooks") from None
