"""Films in another style."""

from __future__ import annotations

from impasto.base import extras

extras.require("video")
