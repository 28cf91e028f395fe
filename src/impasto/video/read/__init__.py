"""Reading films, animated images and folders of images as frames, upright and in sRGB."""

from __future__ import annotations
