"""The losses, one family per file, and the objective that is their weighted sum."""

from __future__ import annotations
