"""A run: its plan, events, result, checkpoint, history and time-lapse film."""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
