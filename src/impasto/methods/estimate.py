"""Kept for a moment."""

from impasto.plan import Estimate, Scale

__all__ = ["Estimate", "Scale"]
