"""Pre-trained networks as plain torch modules, and where their weights come from."""

from __future__ import annotations
