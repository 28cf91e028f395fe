"""Settings as typed keyword arguments, and the types that a Stylizer returns."""

from __future__ import annotations

import importlib.util
from typing import assert_type

import numpy as np
import torch
from conftest import ROOT
from PIL import Image

import impasto
from impasto.settings.keywords import SettingsKeywords
from impasto.settings.methods import METHODS


def test_the_keywords_are_made_from_the_schemas():
    path = ROOT / "scripts" / "make_keywords.py"
    spec = importlib.util.spec_from_file_location("make_keywords", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made = module.keywords()
    assert module.PATH.read_text(encoding="utf-8") == made, "run: python scripts/make_keywords.py"


def test_every_setting_of_the_built_in_methods_is_a_keyword():
    built_in = {
        name for method in METHODS.built_in for name in METHODS[method].settings.model_fields
    }
    assert SettingsKeywords.__annotations__.keys() == built_in - {"preset"}


def test_a_stylizer_returns_the_type_that_it_takes(photo_image, painting_image):
    paint = impasto.Stylizer(painting_image, size=48)
    array = np.asarray(photo_image)
    tensor = torch.from_numpy(array.copy()).permute(2, 0, 1)
    photo: Image.Image = photo_image
    assert isinstance(assert_type(paint(photo), Image.Image), Image.Image)
    assert isinstance(assert_type(paint(array), np.ndarray), np.ndarray)
    assert isinstance(assert_type(paint(tensor), torch.Tensor), torch.Tensor)
    assert isinstance(assert_type(paint([array]), list[np.ndarray]), list)
