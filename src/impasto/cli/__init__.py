"""The command line: ``app.py`` finds the command, ``commands/`` has one module per command."""

from __future__ import annotations
