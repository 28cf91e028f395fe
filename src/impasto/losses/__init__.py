"""What makes a good picture, in numbers: pure functions, one family per file."""

from __future__ import annotations
