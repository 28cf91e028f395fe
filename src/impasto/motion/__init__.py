"""Motion between the frames of a film."""

from __future__ import annotations

from impasto.base import extras

extras.require("video")
