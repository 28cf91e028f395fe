"""The limits of uploaded images, for every process that reads one."""

from __future__ import annotations

from impasto.images.limits import Limits

UPLOADS = Limits(max_megabytes=64, max_megapixels=100)
