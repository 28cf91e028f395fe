"""The commands: one module each, named after its command. Commands do not import each other."""

from __future__ import annotations
