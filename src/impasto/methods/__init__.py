"""Algorithms that make a stylized image: one per file, each a generator of Progress."""

from __future__ import annotations
