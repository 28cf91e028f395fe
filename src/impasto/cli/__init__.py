"""The command line: one file per command, all of them thin."""

from __future__ import annotations
