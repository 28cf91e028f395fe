"""The notebook runs from top to bottom, and what it is made of works."""

from __future__ import annotations

import itertools
import re
from typing import Any

import nbformat
import numpy as np
import pytest
from conftest import ROOT
from nbclient import NotebookClient

import impasto
from impasto.views import notebook, plots

NOTEBOOK = ROOT / "examples/tutorial.ipynb"
QUICK: dict[str, Any] = {"preset": "draft", "size": 48, "steps": 6}
TOY_SETTINGS = {"size=256": "size=96", "size=192": "size=64", "steps=80": "steps=10"}
"""Replacements that make the notebook's own settings quick."""


def test_the_tutorial_runs_from_top_to_bottom():
    book = nbformat.read(NOTEBOOK, as_version=4)
    for cell, (setting, toy) in itertools.product(book.cells, TOY_SETTINGS.items()):
        cell.source = cell.source.replace(setting, toy)
    resources = {"metadata": {"path": str(NOTEBOOK.parent)}}
    NotebookClient(book, timeout=280, resources=resources).execute()
    for cell in book.cells:
        if cell.cell_type == "code" and cell.source.startswith(("notebook.", "plots.", "history")):
            assert cell.outputs, cell.source
            kinds = {kind for output in cell.outputs for kind in output.get("data", {})}
            assert kinds & {"text/html", "image/jpeg"}, cell.source


def test_every_step_is_a_line_or_two():
    book = nbformat.read(NOTEBOOK, as_version=4)
    for cell in book.cells[3:]:
        if cell.cell_type == "code":
            assert len(cell.source.splitlines()) <= 3, cell.source
    assert NOTEBOOK.stat().st_size < 3_500_000


class Shown:
    """Stands for IPython's display: keeps what would be seen."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def display(self, shown: notebook.Html, display_id: bool) -> Shown:
        assert display_id
        self.update(shown)
        return self

    def update(self, shown: notebook.Html) -> None:
        self.seen.append(shown._repr_html_())


@pytest.fixture
def shown(monkeypatch) -> Shown:
    shown = Shown()
    monkeypatch.setattr(notebook, "_display", lambda: shown.display)
    return shown


def test_watch_redraws_and_returns_the_result(shown, photo, painting):
    history = impasto.History()
    events = history.keep(impasto.iterate(photo, painting, **QUICK))
    result = notebook.watch(events, every=0)
    assert result.steps == 6
    assert len(shown.seen) > 6
    assert "step 3 of 6" in "".join(shown.seen)
    assert "done: step 6 of 6" in shown.seen[-1]
    assert "data:image/svg+xml" in shown.seen[-1]
    assert [point.step for point in history.points][-1] == 6


def test_interrupting_keeps_the_picture(shown, photo, painting):
    def interrupted():
        for progress in impasto.iterate(photo, painting, **QUICK):
            yield progress
            if progress.step == 2:
                raise KeyboardInterrupt

    result = notebook.watch(interrupted(), every=0)
    assert (result.steps, result.width) == (2, 48)
    assert "stopped: step 2 of 6" in shown.seen[-1]


def test_pictures_side_by_side_and_a_wipe_need_no_kernel(photo, painting):
    result = impasto.stylize(photo, painting, method="instant")
    row = notebook.side_by_side(photo, painting, result, titles=["photo", "<b>"])._repr_html_()
    assert row.count("data:image/png;base64,") == 3
    assert "&lt;b&gt;" in row
    wipe = notebook.wipe(photo, result)._repr_html_()
    assert 'type="range"' in wipe
    assert "http" not in re.sub(r"base64,[^\"]+", "", wipe)


def test_download_is_a_link(photo, painting):
    result = impasto.stylize(photo, painting, method="instant")
    link = notebook.download(result, "cat.jpg")._repr_html_()
    assert 'download="cat.jpg"' in link


def test_every_figure_is_a_figure(photo, painting, tmp_path):
    history = impasto.History()
    *_, last = history.keep(impasto.iterate(photo, painting, **QUICK))
    seen = impasto.look(photo, painting, size=64)
    figures = [
        plots.inputs(photo, painting),
        plots.edges(photo),
        plots.feature_maps(seen.features),
        plots.gram_matrices(seen.grams),
        plots.losses(history),
        plots.losses(history, over="seconds"),
        plots.losses(history, by="layer"),
        plots.convergence({"draft": history}),
        plots.contact_sheet({"photo": photo, "painting": painting}),
        plots.pipeline(photo, painting, last.result().array, last.job.recipe),
    ]
    for number, figure in enumerate(figures):
        path = tmp_path / f"{number}.png"
        path.write_bytes(plots.as_png(figure))
        assert np.asarray(impasto.read(path).rgb).std() > 0.01
    names = {line.get_label() for line in figures[6].axes[0].lines}
    assert {"content block4_conv2", "style block1_conv1"} <= names
    assert "VGG-19" in seen._repr_html_()


def test_sobel_finds_edges_where_they_are():
    image = np.zeros((40, 40, 3), np.float32)
    image[:, 20:] = 1
    along_y, along_x = plots.sobel(impasto.read(image).rgb)
    assert along_y.abs().max() == 0
    assert along_x[..., 10, 19:21].tolist() == [[[4, 4]] * 3]
    assert along_x[..., 10, :18].abs().max() == 0


def test_layers_add_up_to_their_terms(photo, painting):
    history = impasto.History()
    for _ in history.keep(impasto.iterate(photo, painting, **QUICK)):
        pass
    for point in history.points:
        for term in ("content", "style"):
            parts = [value for name, value in point.layers.items() if name.startswith(term)]
            assert sum(parts) == pytest.approx(getattr(point, term))
    again = impasto.History.from_list(history.as_list())
    assert again.points == history.points
