"""Live pictures from a camera, a screen or a stream, stylized for a window, a file or a stream."""

from __future__ import annotations

from impasto.base import extras

extras.require("video")
