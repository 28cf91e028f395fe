"""Properties that hold for every name, recipe and note."""

from __future__ import annotations

import io
import json
import os
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from impasto.base import files
from impasto.base.errors import ImageError, RecipeError
from impasto.cli.target import OutputTarget
from impasto.images import metadata
from impasto.images.read import read
from impasto.images.write import FORMATS, Encoding, encode
from impasto.settings.build import build
from impasto.settings.methods import METHODS, all_settings

QUICK = settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
TEXT = st.text(st.characters(exclude_categories=()), max_size=12)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
"""Any JSON value, with NaN, infinities and unpaired surrogates."""
SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        "size": st.integers(64, 4096),
        "steps": st.integers(1, 2000),
        "strength": st.floats(0, 2),
        "mix": st.floats(0, 1),
        "style_scale": st.floats(0.25, 4),
        "style_weight": st.floats(1e-6, 1e6),
        "solver": st.sampled_from(["adam", "lbfgs"]),
        "color": st.sampled_from(["style", "content", "match", "histogram"]),
        "style_loss": st.dictionaries(
            st.sampled_from(["gram", "moments", "w2", "nearest"]), st.floats(0.1, 10), min_size=1
        ),
        "seed": st.integers(0, 2**31),
    },
)
SIGNATURES = [b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"RIFF", b"GIF89a", b"BM"]
NAMES = st.binary(min_size=1, max_size=250).filter(
    lambda name: name not in (b".", b"..") and not {0, ord("/")} & {*name}
)
"""Any name that a file can have on Linux, also one that isn't text, as bytes."""
PIXELS = np.full((32, 32, 3), 0.5, np.float32)


@pytest.mark.parametrize("format", FORMATS)
@QUICK
@given(note=st.dictionaries(TEXT, JSON, max_size=3))
def test_a_note_is_read_as_it_was_written(format, note):
    note = {"recipe": {}, "anything": json.loads(json.dumps(note))}
    written = encode(PIXELS, Encoding(format, note=note))
    found = metadata.note_in(io.BytesIO(written), "picture")
    expected = json.loads(metadata.to_text(note))
    assert json.dumps(found) == json.dumps(expected)  # NaN isn't equal to itself


@QUICK
@given(photo=NAMES, painting=NAMES, suffix=st.sampled_from(["", "_texture", "_preview"]))
def test_the_default_name_of_a_picture_is_legal_and_new(photo, painting, suffix, tmp_path):
    content, style = (tmp_path / os.fsdecode(name) for name in (photo, painting))
    job: Any = SimpleNamespace(
        content=SimpleNamespace(name=str(content)), styles=[SimpleNamespace(name=str(style))]
    )
    target = OutputTarget(None, None, 8, has_metadata=True, should_replace=False, suffix=suffix)
    path = target.path_for(job)
    assert path.parent == tmp_path
    assert len(os.fsencode(path.name)) <= files.MAX_NAME_BYTES
    files.write_atomically(path, b"a picture")
    assert target.path_for(job) != path
    path.unlink()


@QUICK
@given(name=NAMES, length=st.integers(0, 260))
def test_a_name_is_cut_at_a_character(name, length):
    text = os.fsdecode(name)
    cut = files.shortened(text, length)
    assert text.startswith(cut)
    assert len(os.fsencode(cut)) <= length


@QUICK
@given(asked=SETTINGS)
def test_a_recipe_inside_a_picture_is_the_recipe(asked):
    recipe = build(asked)
    note = {"recipe": recipe.model_dump(mode="json")}
    written = encode(PIXELS, Encoding("png", note=note))
    found = metadata.note_in(io.BytesIO(written), "picture")["recipe"]
    assert build(recipe=found) == recipe


@QUICK
@given(
    method=st.sampled_from(METHODS.names()),
    name=st.sampled_from(sorted(all_settings())),
    value=JSON,
)
def test_a_setting_is_understood_or_refused(method, name, value):
    with suppress(RecipeError):
        recipe = build({"method": method, name: value})
        assert isinstance(recipe, METHODS[recipe.method].settings)


@QUICK
@given(start=st.sampled_from(SIGNATURES), data=st.binary(max_size=200))
def test_bytes_are_an_image_or_refused(start, data):
    with suppress(ImageError):
        picture = read(start + data)
        assert 0 <= float(picture.rgb.min()) <= float(picture.rgb.max()) <= 1
