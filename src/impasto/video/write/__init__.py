"""Writing frames: work files, the films made of them, and numbered images."""

from __future__ import annotations
