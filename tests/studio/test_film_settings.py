"""The settings of a film that is uploaded."""

from __future__ import annotations

import json

import pytest

from impasto.base.errors import RecipeError
from impasto.settings.methods import bounds
from impasto.studio.jobs.film_uploads import settings_from


@pytest.mark.parametrize("name", ["strength", "style_scale"])
def test_numbers_have_the_bounds_of_the_recipe(name):
    low, high = bounds(name)
    for allowed in (low, high):
        assert getattr(settings_from(json.dumps({name: allowed})), name) == allowed
    for refused in (low - 0.01, high + 0.01):
        with pytest.raises(RecipeError, match=f"{name}: input should be"):
            settings_from(json.dumps({name: refused}))
