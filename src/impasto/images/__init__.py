"""Pixels in and out: whatever the user has becomes a float32 tensor, and back."""

from __future__ import annotations
