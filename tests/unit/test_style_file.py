"""Style files: what is written is read, and files of strangers are checked."""

from __future__ import annotations

import json
import struct
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from style_files import SMALL, WHOLE, style_bytes

from impasto.base.errors import StyleFileError
from impasto.networks.learned import initial_parameters
from impasto.networks.network_shape import SHAPES
from impasto.styles import style_file

VALID = style_bytes()
MAX_BYTES = 2_500_000


def with_header(data: bytes, change) -> bytes:
    """A file whose header was changed."""
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + length])
    change(header)
    changed = json.dumps(header).encode()
    return struct.pack("<Q", len(changed)) + changed + data[8 + length :]


def with_info(data: bytes, **fields) -> bytes:
    """A file whose description was changed."""

    def change(header):
        info = json.loads(header["__metadata__"]["impasto_style"])
        header["__metadata__"]["impasto_style"] = json.dumps(info | fields)

    return with_header(data, change)


@pytest.mark.parametrize("shape", [SMALL, WHOLE])
def test_what_is_written_is_read(shape):
    data = style_bytes(shape, seed=3, author="Ada", licence="CC0-1.0")
    info, parameters = style_file.read_parameters(data, "x.style")
    assert (info.author, info.licence, info.shape) == ("Ada", "CC0-1.0", shape)
    for name, value in initial_parameters(shape, 3).items():
        assert np.allclose(parameters[name], value, atol=1e-3), name


def test_the_description_is_read_without_the_tensors():
    end = 8 + struct.unpack("<Q", VALID[:8])[0]
    assert style_file.read_info(VALID[:end], "x").name == "random"


@pytest.mark.parametrize("network", SHAPES)
def test_a_file_is_small(network):
    assert len(style_bytes(SHAPES[network])) < MAX_BYTES


def test_an_image_is_not_a_style_file(photo):
    assert not style_file.is_style_file(photo.read_bytes()[:16])
    with pytest.raises(StyleFileError, match="isn't a style file"):
        style_file.read_info(photo.read_bytes(), "photo.png")


@pytest.mark.parametrize("share", [0.001, 0.05, 0.5, 0.999])
def test_a_file_cut_short(share):
    with pytest.raises(StyleFileError, match="x.style (isn't a style file|is (damaged|cut short))"):
        style_file.read_parameters(VALID[: int(len(VALID) * share)], "x.style")


def test_a_file_of_another_version():
    with pytest.raises(
        StyleFileError, match="is a style file of version 2; this impasto reads 1|version 1"
    ):
        style_file.read_info(with_info(VALID, format_version=2), "x.style")


@pytest.mark.parametrize(
    "fields",
    [
        {"shape": {"blocks": 10**6, "full": 8, "half": 8, "quarter": 8}},
        {"shape": {"blocks": 1, "full": 8, "half": 8, "quarter": 10**9}},
        {"size": -1},
        {"name": "x" * 10_000},
        {"thumbnail": "not base64!"},
        {"history": [{"step": 1, "seconds": "nan", "content": 0, "style": 0, "total": 0}]},
        {"sources": [{"name": "a", "weight": 1e400}]},
    ],
)
def test_a_description_out_of_bounds(fields):
    with pytest.raises(StyleFileError, match=r"x\.style is damaged: "):
        style_file.read_info(with_info(VALID, **fields), "x.style")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("dtype", "F64"),
        ("shape", [10**9, 10**9]),
        ("data_offsets", [0, 10**15]),
        ("data_offsets", "everywhere"),
    ],
)
def test_a_tensor_out_of_bounds(key, value):
    def change(header):
        header["contract1.weight"][key] = value

    with pytest.raises(StyleFileError, match="is damaged: contract1.weight"):
        style_file.read_info(with_header(VALID, change), "x.style")


def test_parameters_that_are_no_numbers():
    parameters = {name: value.numpy() for name, value in initial_parameters(SMALL, 0).items()}
    parameters["style"][0, 0] = np.nan
    info, _ = style_file.read_parameters(VALID, "x")
    with pytest.raises(StyleFileError, match="isn't a finite number"):
        style_file.read_parameters(style_file.encode(info, parameters), "x.style")


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.integers(0, len(VALID) - 1), st.binary(min_size=1, max_size=12))
def test_any_damage_is_one_sentence_or_no_harm(place, junk):
    damaged = VALID[:place] + junk + VALID[place + len(junk) :]
    with suppress(StyleFileError):
        info, parameters = style_file.read_parameters(damaged, "x.style")
        assert {name: value.shape for name, value in parameters.items()} == dict(info.shape.tensors)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_refused(data):
    with pytest.raises(StyleFileError):
        style_file.read_parameters(data, "x.style")
